//! The guest's memory layout, and what the lab makes of it: runs of equal blocks, text, differences.

mod difference;
mod runs;
mod text;

pub use difference::difference;
pub use dimmer_agent::report::{Block, BlockState, Group, GroupKind, Layout, Zone};
pub use runs::{Run, runs};
pub use text::text;

/// Layouts for tests.
#[cfg(test)]
pub(crate) mod sample;
