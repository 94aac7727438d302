//! The guest's memory layout, and what the lab makes of it: runs of equal blocks, text, differences.

mod difference;
mod runs;
pub mod sample;
mod text;

pub use difference::difference;
pub use dimmer_report::{Block, BlockState, Group, GroupKind, Layout, Zone};
pub use runs::{Run, runs};
pub use text::text;
