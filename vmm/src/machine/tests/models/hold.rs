//! The hold, as in `machine.rs`, with locks that the scheduler knows of.

#[path = "../../hold/inside.rs"]
pub mod inside;
