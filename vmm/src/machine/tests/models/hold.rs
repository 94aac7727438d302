//! The hold, as in `machine.rs`, with locks that the scheduler knows of.

#[path = "../../hold/inside.rs"]
#[expect(clippy::duplicate_mod, reason = "the same with other locks")]
pub mod inside;
