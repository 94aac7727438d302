//! What machine and guest show at one moment.

use std::collections::{BTreeMap, BTreeSet};

use dimmer::events::{Event, MachineEvent, What};
use dimmer_devices::memory::MemoryStatus;

use crate::layout::{Block, Layout};

/// What machine and guest show at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The guest's memory, with its groups.
    pub layout: Layout,
    /// The memory devices.
    pub devices: Vec<MemoryStatus>,
    /// The latest events, oldest first.
    pub events: Vec<Event>,
    /// Blocks that virtio-mem devices have plugged only a part of, with the plugged bytes.
    pub partly: BTreeMap<u64, u64>,
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

    /// The blocks in which a memory error was reported to the guest since it booted.
    pub fn poisoned(&self) -> BTreeSet<u64> {
        let size = self.layout.block_size.max(1);
        let mut blocks = BTreeSet::new();
        for event in &self.events {
            match &event.what {
                What::Machine(MachineEvent::MachineCheck { address, .. }) => {
                    blocks.insert(address / size);
                }
                What::Machine(MachineEvent::Booting) => blocks.clear(),
                _ => {}
            }
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_errors_are_remembered_until_the_next_boot() {
        let event = |sequence, mut what: serde_json::Value| {
            what["sequence"] = json!(sequence);
            what["timestamp"] = json!({"secs": 1, "nanos": 0});
            serde_json::from_value::<Event>(what).unwrap()
        };
        let error = |sequence, address: u64| {
            event(sequence, json!({"event": "machine_check", "address": address, "severity": "ao"}))
        };
        let mut seen = Seen::default();
        seen.layout.block_size = 128 << 20;
        seen.events =
            vec![error(1, 48 << 27), event(2, json!({"event": "booting"})), error(3, (50 << 27) + 1)];
        assert_eq!(seen.poisoned(), [50].into());
    }
}
