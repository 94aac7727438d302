//! Where a machine's memory lies, as its documentation promises: boot memory by its flags, ACPI memory
//! devices at the lowest free address of their window.

use std::collections::BTreeMap;
use std::ops::Range;

use clap::Parser;
use dimmer::cli::{Cli, Command, RangesArg};
use dimmer::layout::Layout;
use dimmer::spec::{MachineSpec, WindowSpec};
use dimmer_devices::dimm::Dimm;
use dimmer_guest_firmware::{Kind, memory_map};

use super::{Machine, NotifyWord, Plug};
use crate::oracle::boot::BootMemory;
use crate::oracle::virtio_mem::DeviceSpec;

/// Physical address bits that a scenario may use: what Linux maps with page tables of four levels. Whether the CPU of a
/// real machine has that many is its own business.
const ADDRESS_BITS: u8 = 46;
/// Devices of at least this size are aligned to it, smaller ones to a memory section.
const BIG: u64 = 1 << 30;
const SMALL: u64 = 128 << 20;

/// Addresses of one machine.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Boot memory.
    pub boot: BootMemory,
    /// Each virtio-mem device with its name and the size that is asked for at first.
    pub virtio_mem: Vec<(String, DeviceSpec, u64)>,
    /// ACPI memory devices that are there at boot.
    pub at_boot: Vec<Plug>,
    window: Option<Range<u64>>,
    /// What each ACPI memory device takes of the window, gaps included.
    taken: BTreeMap<String, Range<u64>>,
}

impl Addresses {
    /// Plans the addresses of `machine`.
    ///
    /// # Errors
    /// What `dimmer run` would say to these flags.
    pub fn plan(machine: &Machine) -> Result<Self, String> {
        let spec = spec(machine)?;
        let layout = Layout::plan(&spec, ADDRESS_BITS).map_err(|error| error.to_string())?;
        let mut virtio_mem = Vec::new();
        let mut window = None;
        for (wanted, range) in spec.windows.iter().zip(&layout.windows) {
            let bytes = range.start..range.end();
            match wanted {
                WindowSpec::Acpi { .. } => window = Some(bytes),
                WindowSpec::VirtioMem(device) => {
                    let spec = DeviceSpec { region: bytes, block_size: device.block_size, node: device.node };
                    virtio_mem.push((device.id.clone(), spec, device.requested));
                }
            }
        }
        let boot = boot_memory(&layout);
        Ok(Self {
            boot,
            virtio_mem,
            at_boot: spec.dimms.iter().map(at_boot).collect(),
            window,
            taken: BTreeMap::new(),
        })
    }

    /// Most memory that the guest may ever have, in bytes.
    pub fn size(&self) -> u64 {
        let bytes = |range: &Range<u64>| range.end - range.start;
        let boot: u64 = self.boot.usable.iter().map(bytes).sum();
        let virtio_mem: u64 = self.virtio_mem.iter().map(|(_, device, _)| bytes(&device.region)).sum();
        boot + virtio_mem + self.window.as_ref().map_or(0, bytes)
    }

    /// In words, what these bytes are for; nothing when they are for no memory at all.
    pub fn place_of(&self, bytes: &Range<u64>) -> Option<String> {
        let meets = |range: &Range<u64>| range.start < bytes.end && bytes.start < range.end;
        if self.boot.usable.iter().any(meets) {
            return Some("boot memory".to_owned());
        }
        if self.window.as_ref().is_some_and(meets) {
            return Some("the window for DIMMs".to_owned());
        }
        let device = self.virtio_mem.iter().find(|(_, device, _)| meets(&device.region));
        device.map(|(id, ..)| format!("the region of {id}"))
    }

    /// Gives the device `id` its addresses: the ranges in the order of `_CRS`.
    ///
    /// # Errors
    /// When there is no window, or not enough room in it, or the ranges cannot be read.
    pub fn place(&mut self, id: &str, plug: &Plug) -> Result<Vec<Range<u64>>, String> {
        let sizes = sizes(plug)?;
        let size: u64 = sizes.iter().map(|(size, _)| size).sum();
        let span: u64 = size + sizes.iter().map(|(_, gap)| gap).sum::<u64>();
        let alignment = if size < BIG { SMALL } else { BIG };
        let window = self.window.clone().ok_or("the machine has no slots for DIMMs")?;
        let mut start = window.start.next_multiple_of(alignment);
        let mut taken: Vec<_> = self.taken.values().cloned().collect();
        taken.sort_by_key(|range| range.start);
        for range in taken {
            if start + span <= range.start {
                break;
            }
            start = start.max(range.end.next_multiple_of(alignment));
        }
        if start + span > window.end {
            return Err(format!("{span} bytes are not free in the window for DIMMs"));
        }
        self.taken.insert(id.to_owned(), start..start + span);
        Ok(ranges(start, span, &sizes, plug.descending))
    }

    /// The addresses of the device `id` are free again.
    pub fn give_back(&mut self, id: &str) {
        self.taken.remove(id);
    }
}

fn spec(machine: &Machine) -> Result<MachineSpec, String> {
    let mut words = vec!["dimmer".to_owned(), "run".into(), "--kernel".into(), "vmlinux".into()];
    words.extend(machine.arguments());
    match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
        Command::Run(arguments) => arguments.into_spec().map_err(|error| error.to_string()),
        Command::Ctl(_) => unreachable!("the words say run"),
    }
}

fn boot_memory(layout: &Layout) -> BootMemory {
    let ram: Vec<_> = layout.ram.iter().map(|range| (range.start, range.size)).collect();
    let map = memory_map(&ram, &[]);
    let usable = map.iter().filter(|entry| entry.kind == Kind::Ram);
    let usable = usable.map(|entry| entry.start..entry.start + entry.size).collect();
    let nodes = layout.nodes.iter().map(|piece| (piece.range.start..piece.range.end(), piece.node)).collect();
    BootMemory { usable, nodes }
}

fn at_boot(dimm: &Dimm) -> Plug {
    let ranges: Vec<String> =
        dimm.ranges.iter().map(|range| format!("{}~{}", range.size, range.gap)).collect();
    Plug {
        id: dimm.id.clone(),
        count: None,
        size: None,
        ranges: Some(ranges.join("+")),
        descending: dimm.descending,
        unaligned: dimm.unaligned,
        node: dimm.node,
        notify: NotifyWord::DeviceCheck,
    }
}

/// Size and gap of each range.
fn sizes(plug: &Plug) -> Result<Vec<(u64, u64)>, String> {
    if let Some(size) = plug.size {
        return Ok(vec![(size.0, 0)]);
    }
    let RangesArg(ranges) = plug.ranges.as_deref().unwrap_or_default().parse()?;
    Ok(ranges.iter().map(|range| (range.size, range.gap)).collect())
}

fn ranges(start: u64, span: u64, sizes: &[(u64, u64)], descending: bool) -> Vec<Range<u64>> {
    let (mut low, mut high) = (start, start + span);
    let range = |(size, gap): &(u64, u64)| {
        if descending {
            let range = high - size..high;
            high = range.start - gap.min(&(range.start - start));
            range
        } else {
            let range = low..low + size;
            low = range.end + gap;
            range
        }
    };
    sizes.iter().map(range).collect()
}
