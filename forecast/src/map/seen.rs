//! What machine and guest show at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dimmer_plan::memory::MemoryStatus;

use crate::layout::{Block, Layout};

/// What machine and guest show at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The guest's memory, with its groups.
    pub layout: Layout,
    /// The memory devices.
    pub devices: Vec<MemoryStatus>,
    /// The latest events, oldest first.
    pub events: Vec<Told>,
    /// The blocks in which a memory error was reported to the guest since it booted.
    pub poisoned: BTreeSet<u64>,
    /// Blocks that virtio-mem devices have plugged only a part of, with the plugged bytes.
    pub partly: BTreeMap<u64, u64>,
}

/// An event of the machine's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub sequence: u64,
    /// When it was, by the machine's clock.
    pub timestamp: Duration,
    /// What happened, in words.
    pub text: String,
}

impl Seen {
    /// A block of the guest's.
    pub fn block(&self, index: u64) -> Option<&Block> {
        let blocks = &self.layout.blocks;
        blocks.binary_search_by_key(&index, |block| block.index).ok().map(|place| &blocks[place])
    }

    /// The device that holds the first byte of block `index`; none for boot memory.
    pub fn device(&self, index: u64) -> Option<&MemoryStatus> {
        let address = index.checked_mul(self.layout.block_size)?;
        self.devices.iter().find(|device| {
            device.ranges.iter().any(|range| address >= range.start && address - range.start < range.size)
        })
    }
}
