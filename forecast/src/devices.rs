//! Which memory device a block belongs to, and whether a device's blocks are there, from what the machine says of its
//! devices.

use std::collections::BTreeSet;
use std::ops::Range;

use dimmer_oracle::linux::{DaxDevice, Linux, PluggedDimm};
use dimmer_oracle::virtio_mem::VirtioMem;
use dimmer_plan::units::Bytes;
use serde_json::Value;

use crate::layout::Layout;

/// The memory devices of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devices(Vec<Device>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    id: String,
    is_dimm: bool,
    /// First addresses, and those behind the last ones.
    ranges: Vec<Range<u64>>,
    /// Bytes that are plugged by the device's own account.
    plugged: u64,
}

impl Device {
    fn read(body: &Value) -> Self {
        let range = |range: &Value| {
            let start = range["start"].as_u64()?;
            Some(start..start.saturating_add(range["size"].as_u64()?))
        };
        Self {
            id: body["id"].as_str().unwrap_or_default().to_owned(),
            is_dimm: body["kind"] == "dimm",
            ranges: body["ranges"].as_array().into_iter().flatten().filter_map(range).collect(),
            plugged: body["plugged_size"].as_u64().unwrap_or_default(),
        }
    }

    /// What is odd about its blocks in `layout`.
    fn doubt(&self, layout: &Layout) -> Option<String> {
        let Self { id, is_dimm, ranges, plugged } = self;
        if *plugged == 0 {
            return None;
        }
        // Linux adds memory only in whole blocks.
        let size = layout.block_size.max(1);
        let blocks = ranges.iter().flat_map(|range| range.start.div_ceil(size)..range.end / size);
        let seen: BTreeSet<_> = layout.blocks.iter().map(|block| block.index).collect();
        let (there, missing): (Vec<_>, Vec<_>) = blocks.partition(|index| seen.contains(index));
        match (there.as_slice(), missing.as_slice()) {
            ([], _) => {
                Some(format!("{id} has {} plugged, but the guest shows no block of it", Bytes(*plugged)))
            }
            (_, [_, ..]) if *is_dimm => {
                Some(format!("{id} is plugged, but the guest does not show its blocks {}", shorten(&missing)))
            }
            _ => None,
        }
    }
}

impl Devices {
    /// Reads the body of `GET /memory-devices`.
    pub fn read(body: &Value) -> Self {
        Self(body.as_array().into_iter().flatten().map(Device::read).collect())
    }

    /// The devices of a model, by the blocks and regions that they have.
    pub fn of(linux: &Linux) -> Self {
        let size = linux.memory.block_size();
        let dimm = |(id, dimm): (&String, &PluggedDimm)| Device {
            id: id.clone(),
            is_dimm: true,
            ranges: dimm.blocks.iter().map(|index| index * size..(index + 1) * size).collect(),
            plugged: dimm.blocks.len() as u64 * size,
        };
        let virtio_mem = |(id, device): (&String, &VirtioMem)| Device {
            id: id.clone(),
            is_dimm: false,
            ranges: vec![device.spec.region.clone()],
            plugged: device.plugged(),
        };
        let dax = |(id, device): (&String, &DaxDevice)| Device {
            id: id.clone(),
            is_dimm: false,
            ranges: std::iter::once(device.blocks().start * size..device.blocks().end * size).collect(),
            plugged: 0,
        };
        let dax = linux.dax.iter().map(dax);
        Self(linux.dimms.iter().map(dimm).chain(dax).chain(linux.virtio_mem.iter().map(virtio_mem)).collect())
    }

    /// The device that holds block `index`; empty for boot RAM.
    pub fn of_block(&self, index: u64, block_size: u64) -> String {
        let address = index * block_size;
        let holds = |device: &&Device| device.ranges.iter().any(|range| range.contains(&address));
        self.0.iter().find(holds).map_or_else(String::new, |device| device.id.clone())
    }

    /// The devices of the blocks `first` to `last`, in the order in which they first occur.
    pub fn of_run(&self, first: u64, last: u64, block_size: u64) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for index in first..=last {
            let name = self.of_block(index, block_size);
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The devices that have memory plugged by their own account, but not in the guest's; a sentence
    /// each. Linux reports an ACPI insert as done also when it could not add the memory.
    pub fn doubts(&self, layout: &Layout) -> Vec<String> {
        self.0.iter().filter_map(|device| device.doubt(layout)).collect()
    }
}

/// Ascending numbers as `48-50,52`.
fn shorten(numbers: &[u64]) -> String {
    let run = |run: &[u64]| match run {
        [first, .., last] => format!("{first}-{last}"),
        alone => alone.iter().map(u64::to_string).collect(),
    };
    numbers.chunk_by(|one, next| one + 1 == *next).map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::BlockState;
    use crate::layout::sample::{blocks, layout};

    #[test]
    fn a_block_belongs_to_the_device_that_holds_its_first_byte() {
        let body = json!([
            {"id": "d0", "ranges": [{"start": 0x1000, "size": 0x1000}]},
            {"id": "d1", "ranges": [{"start": 0x2000, "size": 0x2000}, {"start": 0x8000, "size": 0x1000}]},
        ]);
        let devices = Devices::read(&body);
        let names: Vec<_> = (0..10).map(|index| devices.of_block(index, 0x1000)).collect();
        assert_eq!(names, ["", "d0", "d1", "d1", "", "", "", "", "d1", ""]);
    }

    #[test]
    fn a_run_may_belong_to_several_devices() {
        let body = json!([
            {"id": "d1", "ranges": [{"start": 0x4000, "size": 0x2000}]},
            {"id": "d0", "ranges": [{"start": 0x2000, "size": 0x2000}]},
        ]);
        let devices = Devices::read(&body);
        assert_eq!(devices.of_run(0, 9, 0x1000), ["d0", "d1"]);
        assert_eq!(devices.of_run(4, 4, 0x1000), ["d1"]);
        assert_eq!(devices.of_run(6, 9, 0x1000), Vec::<String>::new());
    }

    #[test]
    fn plugged_memory_that_the_guest_does_not_show_is_in_doubt() {
        const BLOCK: u64 = 128 << 20;
        let layout = layout([blocks(48, 51, BlockState::Online, &["Movable"])]);
        let device = |id, kind, start: u64, size: u64, plugged: u64| {
            let ranges = [json!({"start": start, "size": size})];
            json!({"id": id, "kind": kind, "ranges": ranges, "plugged_size": plugged})
        };
        let body = json!([
            device("whole", "dimm", 48 * BLOCK, 2 * BLOCK, 2 * BLOCK),
            device("part", "dimm", 50 * BLOCK, 6 * BLOCK, 6 * BLOCK),
            device("none", "dimm", 80 * BLOCK, 2 * BLOCK, 2 * BLOCK),
            device("coming", "dimm", 90 * BLOCK, 2 * BLOCK, 0),
            device("odd", "dimm", 48 * BLOCK + 4096, BLOCK, BLOCK),
            device("empty", "virtio-mem", 64 * BLOCK, 8 * BLOCK, 0),
            device("lost", "virtio-mem", 64 * BLOCK, 8 * BLOCK, 2 << 20),
            device("grown", "virtio-mem", 50 * BLOCK, 8 * BLOCK, 2 << 20),
        ]);
        let expected = [
            "part is plugged, but the guest does not show its blocks 52-55",
            "none has 256 MiB plugged, but the guest shows no block of it",
            "odd has 128 MiB plugged, but the guest shows no block of it",
            "lost has 2 MiB plugged, but the guest shows no block of it",
        ];
        assert_eq!(Devices::read(&body).doubts(&layout), expected);
    }

    #[test]
    fn neighbouring_numbers_are_joined() {
        assert_eq!(shorten(&[48, 49, 50, 52, 60, 61]), "48-50,52,60-61");
        assert_eq!(shorten(&[]), "");
    }
}
