//! The model held against what a guest shows: every block, zone and memory group, and the memory in all.

use dimmer_report::Layout;

use dimmer_oracle::linux::Linux;
use dimmer_oracle::zone::Zone;

mod blocks;
mod groups;
pub mod report;
mod total;
mod zones;

pub use blocks::{block_agrees, blocks_agree};
pub use groups::groups;
pub use total::{Baseline, corrupted, total};

/// Something that is not as predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub what: What,
    /// As the model has it.
    pub expected: String,
    /// As the guest has it.
    pub seen: String,
    /// Why the model has it so, for the first block; empty where there is no more to say.
    pub why: String,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Neighbouring blocks.
    Blocks {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// The memory group of neighbouring blocks.
    Groups {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A zone of a node.
    Zone {
        /// The node.
        node: u32,
        /// The zone.
        zone: Zone,
    },
    /// The size of a memory block.
    BlockSize,
    /// The memory that the page allocator has.
    MemTotal,
    /// The memory that is poisoned.
    HardwareCorrupted,
}

/// All differences of blocks and zones, blocks first; nothing when the guest is as predicted.
pub fn differences(linux: &Linux, seen: &Layout) -> Vec<Difference> {
    let memory = &linux.memory;
    if memory.block_size() != seen.block_size {
        let (expected, seen) = (memory.block_size().to_string(), seen.block_size.to_string());
        return vec![Difference { what: What::BlockSize, expected, seen, why: String::new() }];
    }
    let mut all = blocks::differences(memory, seen);
    all.extend(zones::differences(memory, seen));
    all
}

/// Differences of what `seen` shows of blocks alone.
pub fn blocks(linux: &Linux, seen: &Layout) -> Vec<Difference> {
    blocks::differences(&linux.memory, seen)
}

/// Adds a difference of block `index` to `all`, or makes the last one longer when it is the same of the neighbour.
fn add_block(all: &mut Vec<Difference>, index: u64, new: Difference) {
    if let Some(last) = all.last_mut() {
        let same = last.expected == new.expected && last.seen == new.seen;
        match &mut last.what {
            What::Blocks { last, .. } | What::Groups { last, .. } if same && *last + 1 == index => {
                *last = index;
                return;
            }
            _ => {}
        }
    }
    all.push(new);
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Blocks { first, last } if first == last => write!(f, "block {first}"),
            Self::Blocks { first, last } => write!(f, "blocks {first}-{last}"),
            Self::Groups { first, last } if first == last => write!(f, "group of block {first}"),
            Self::Groups { first, last } => write!(f, "group of blocks {first}-{last}"),
            Self::Zone { node, zone } => write!(f, "zone {zone} of node {node}"),
            Self::BlockSize => write!(f, "block size"),
            Self::MemTotal => write!(f, "MemTotal"),
            Self::HardwareCorrupted => write!(f, "HardwareCorrupted"),
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}, seen {}", self.what, self.expected, self.seen)?;
        if !self.why.is_empty() {
            write!(f, " ({})", self.why)?;
        }
        Ok(())
    }
}
