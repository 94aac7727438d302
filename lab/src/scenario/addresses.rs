//! Where a machine's memory lies, as its documentation promises: boot memory by its flags, ACPI memory
//! devices at the lowest free address of their window.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use clap::Parser;
use dimmer::cli::{Cli, Command};
use dimmer::layout::Layout;
use dimmer::spec::{DimmSpec, MachineSpec, WindowSpec};
use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_guest_firmware::{Kind, memory_map};
use dimmer_oracle::boot::BootMemory;
use dimmer_oracle::virtio_mem::DeviceSpec;

use super::Machine;

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
    /// The machine, as its flags say.
    pub machine: Arc<MachineSpec>,
    /// Where ACPI memory devices go, and how many there can be.
    window: Option<(Range<u64>, usize)>,
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
                WindowSpec::Acpi { slots, .. } => window = Some((bytes, usize::from(*slots))),
                WindowSpec::VirtioMem(device) => {
                    let spec = DeviceSpec { region: bytes, block_size: device.block_size, node: device.node };
                    virtio_mem.push((device.id.clone(), spec, device.requested));
                }
            }
        }
        let boot = boot_memory(&layout);
        Ok(Self { boot, virtio_mem, machine: Arc::new(spec), window, taken: BTreeMap::new() })
    }

    /// Most memory that the guest may ever have, in bytes.
    pub fn size(&self) -> u64 {
        let bytes = |range: &Range<u64>| range.end - range.start;
        let boot: u64 = self.boot.usable.iter().map(bytes).sum();
        let virtio_mem: u64 = self.virtio_mem.iter().map(|(_, device, _)| bytes(&device.region)).sum();
        boot + virtio_mem + self.window.as_ref().map_or(0, |(window, _)| bytes(window))
    }

    /// In words, what these bytes are for; nothing when they are for no memory at all.
    pub fn place_of(&self, bytes: &Range<u64>) -> Option<String> {
        let meets = |range: &Range<u64>| range.start < bytes.end && bytes.start < range.end;
        if self.boot.usable.iter().any(meets) {
            return Some("boot memory".to_owned());
        }
        if self.window.as_ref().is_some_and(|(window, _)| meets(window)) {
            return Some("the window for DIMMs".to_owned());
        }
        let device = self.virtio_mem.iter().find(|(_, device, _)| meets(&device.region));
        device.map(|(id, ..)| format!("the region of {id}"))
    }

    /// Gives a device its addresses: the ranges in the order of `_CRS`.
    ///
    /// # Errors
    /// What the machine would say: when it can have no such device, or there is no slot left, or not enough room.
    pub fn place(&mut self, dimm: &Dimm) -> Result<Vec<Range<u64>>, String> {
        let (window, slots) = self.window.clone().ok_or("the machine has no slots for DIMMs")?;
        self.check(dimm)?;
        if self.taken.len() >= slots {
            return Err(format!("all {slots} slots have a device"));
        }
        let size = dimm.size();
        let span = dimm.ranges.iter().fold(size, |sum, range| sum.saturating_add(range.gap));
        let full = || format!("{span} bytes are not free in the window for DIMMs");
        if span > window.end - window.start {
            return Err(full());
        }
        let alignment = if size < BIG { SMALL } else { BIG };
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
            return Err(full());
        }
        self.taken.insert(dimm.id.clone(), start..start + span);
        Ok(ranges(start, span, dimm))
    }

    fn check(&self, dimm: &Dimm) -> Result<(), String> {
        let spec = DimmSpec { dimm: dimm.clone(), notify: Notify::DeviceCheck };
        spec.check().and_then(|()| self.machine.check_dimm(dimm)).map_err(|bad| bad.to_string())?;
        let is_virtio_mem = self.virtio_mem.iter().any(|(id, ..)| *id == dimm.id);
        if is_virtio_mem || self.taken.contains_key(&dimm.id) {
            return Err(format!("id: {:?} is the name of another memory device", dimm.id));
        }
        Ok(())
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

fn ranges(start: u64, span: u64, dimm: &Dimm) -> Vec<Range<u64>> {
    let (mut low, mut high) = (start, start + span);
    let range = |DimmRange { size, gap }: &DimmRange| {
        if dimm.descending {
            let range = high - size..high;
            high = range.start - gap.min(&(range.start - start));
            range
        } else {
            let range = low..low + size;
            low = range.end + gap;
            range
        }
    };
    dimm.ranges.iter().map(range).collect()
}
