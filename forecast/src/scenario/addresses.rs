//! Where a machine's memory lies: boot memory by its flags, ACPI memory devices where the machine would put them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use dimmer_oracle::boot::BootMemory;
use dimmer_oracle::virtio_mem::DeviceSpec;
use dimmer_plan::dimm::{Dimm, Notify, Window};
use dimmer_plan::flags::{CpusArg, Flags, KeyError, cpu_vendor};
use dimmer_plan::layout::Layout;
use dimmer_plan::memory::GuestRange;
use dimmer_plan::memory_map::{Kind, memory_map};
use dimmer_plan::placement::{Alignment, SMALLEST_BLOCK};
use dimmer_plan::spec::{DimmSpec, MachineSpec, WindowSpec};
use dimmer_plan::units::Bytes;

use super::{Machine, Scenario, Size};
use places::Place;

mod places;

/// Physical address bits that a scenario may use: what Linux maps with page tables of four levels. Whether the CPU of a
/// real machine has that many is its own business.
const ADDRESS_BITS: u8 = 46;

/// Addresses of one machine.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Boot memory.
    pub boot: BootMemory,
    /// Each virtio-mem device that is there at boot, with its name and the size that is asked for at first.
    pub virtio_mem: Vec<(String, DeviceSpec, u64)>,
    /// Each soft-reserved range with its node, ascending.
    pub soft_reserved: Vec<(Range<u64>, u32)>,
    /// The machine, as its flags say.
    pub machine: Arc<MachineSpec>,
    /// Where ACPI memory devices go, and how many there can be.
    window: Option<(Window, usize)>,
    /// Where virtio-mem devices can come.
    places: Vec<Place>,
    /// What each ACPI memory device takes of the window, gaps included.
    taken: BTreeMap<String, GuestRange>,
}

impl Addresses {
    /// Plans the addresses of a scenario's machine, with boot memory as its guest is told to see it (`mem=`, which cuts RAM
    /// of the firmware's memory map: `parse_memopt`, arch/x86/kernel/e820.c).
    ///
    /// # Errors
    /// What `dimmer run` would say to the machine's flags.
    pub fn of(scenario: &Scenario) -> Result<Self, String> {
        let mut all = Self::plan(&scenario.machine)?;
        if let Some(Size(end)) = scenario.guest.mem {
            all.boot.usable.iter_mut().for_each(|range| range.end = range.end.min(end));
            all.boot.usable.retain(|range| range.start < range.end);
        }
        if all.boot.usable.is_empty() {
            return Err("mem: it leaves no memory".to_owned());
        }
        Ok(all)
    }

    /// Plans the addresses of `machine`.
    ///
    /// # Errors
    /// What `dimmer run` would say to these flags.
    pub fn plan(machine: &Machine) -> Result<Self, String> {
        let spec = spec(machine)?;
        let layout = Layout::plan(&spec, ADDRESS_BITS).map_err(|error| error.to_string())?;
        let (mut virtio_mem, mut places) = (Vec::new(), Vec::new());
        let mut window = None;
        for (wanted, range) in spec.windows.iter().zip(&layout.windows) {
            let bytes = range.start..range.end();
            match wanted {
                WindowSpec::Acpi { slots, placement, .. } => {
                    let alignment = placement.align.map_or(layout.alignment, Alignment::Fixed);
                    window = Some((Window::new(*range, alignment), usize::from(*slots)));
                }
                WindowSpec::VirtioMem(device) if !device.present => {
                    places.push(Place::free(device.room(*range)))
                }
                WindowSpec::VirtioMem(device) => {
                    let spec = DeviceSpec { region: bytes, block_size: device.block_size, node: device.node };
                    virtio_mem.push((device.id.clone(), spec, device.requested));
                }
            }
        }
        let boot = boot_memory(&layout);
        let soft = layout.soft_reserved().map(|piece| (piece.range.start..piece.range.end(), piece.node));
        let soft_reserved = soft.collect();
        let machine = Arc::new(spec);
        Ok(Self { boot, virtio_mem, soft_reserved, machine, window, places, taken: BTreeMap::new() })
    }

    /// Whether the virtio-mem device `id` takes drivers that may touch unplugged memory.
    pub fn is_legacy(&self, id: &str) -> bool {
        let legacy = |window: &WindowSpec| match window {
            WindowSpec::VirtioMem(device) => device.present && device.legacy && device.id == id,
            WindowSpec::Acpi { .. } => false,
        };
        self.machine.windows.iter().any(legacy) || self.is_legacy_in_its_place(id)
    }

    /// Most memory that the guest may ever have, in bytes.
    pub fn size(&self) -> u64 {
        let bytes = |range: &Range<u64>| range.end - range.start;
        let boot: u64 = self.boot.usable.iter().map(bytes).sum();
        let soft_reserved: u64 = self.soft_reserved.iter().map(|(range, _)| bytes(range)).sum();
        let virtio_mem: u64 = self.virtio_mem.iter().map(|(_, device, _)| bytes(&device.region)).sum();
        let places: u64 = self.places.iter().map(|place| bytes(&place.bytes())).sum();
        boot + soft_reserved
            + virtio_mem
            + places
            + self.window.as_ref().map_or(0, |(window, _)| window.range().size)
    }

    /// In words, what these bytes are for; nothing when they are for no memory at all.
    pub fn place_of(&self, bytes: &Range<u64>) -> Option<String> {
        let meets = |range: &Range<u64>| range.start < bytes.end && bytes.start < range.end;
        if self.boot.usable.iter().any(meets) {
            return Some("boot memory".to_owned());
        }
        if self.soft_reserved.iter().any(|(range, _)| meets(range)) {
            return Some("a soft-reserved range".to_owned());
        }
        let window = self.window.as_ref().map(|(window, _)| window.range());
        if window.is_some_and(|window| meets(&(window.start..window.end()))) {
            return Some("the window for DIMMs".to_owned());
        }
        let devices = self.virtio_mem_devices();
        if let Some((id, _)) = devices.iter().find(|(_, device)| meets(&device.region)) {
            return Some(format!("the region of {id}"));
        }
        let place = self.places.iter().any(|place| meets(&place.bytes()));
        place.then(|| "a place for a virtio-mem device".to_owned())
    }

    /// Gives a device its addresses: the ranges in the order of `_CRS`.
    ///
    /// # Errors
    /// What the machine would say: when it can have no such device, or there is no slot left, or not enough room.
    pub fn place(&mut self, dimm: &Dimm) -> Result<Vec<Range<u64>>, String> {
        if self.window.is_none() {
            return Err("the machine has no slots for DIMMs".to_owned());
        }
        self.check(dimm)?;
        let (window, slots) = self.window.as_mut().expect("looked at before");
        if self.taken.len() >= *slots {
            return Err(format!("all {slots} slots have a device"));
        }
        let (size, span) = (dimm.size(), dimm.span());
        let Some(range) = window.find(span, size, dimm.placement) else {
            let place = dimm.placement.start.map_or_else(String::new, |start| format!(" at {start:#x}"));
            return Err(format!("{} are not free{place} in the window for DIMMs", Bytes(span)));
        };
        window.take(range);
        self.taken.insert(dimm.id.clone(), range);
        Ok(dimm.at(range.start).into_iter().map(|range| range.start..range.end()).collect())
    }

    fn check(&self, dimm: &Dimm) -> Result<(), String> {
        let spec = DimmSpec { dimm: dimm.clone(), notify: Notify::DeviceCheck };
        spec.check().and_then(|()| self.machine.check_dimm(dimm)).map_err(|bad| bad.to_string())?;
        self.check_name(&dimm.id)
    }

    /// No other memory device has this name.
    fn check_name(&self, id: &str) -> Result<(), String> {
        let is_virtio_mem = self.virtio_mem_devices().iter().any(|(other, _)| other == id);
        if is_virtio_mem || self.taken.contains_key(id) {
            return Err(format!("id: {id:?} is the name of another memory device"));
        }
        Ok(())
    }

    /// DIMMs are put wherever a block of 128 MiB may be; for a model that is wrong on purpose.
    pub fn forget_alignment(&mut self) {
        if let Some((window, _)) = &mut self.window {
            *window = Window::new(window.range(), Alignment::Fixed(SMALLEST_BLOCK));
        }
    }

    /// The addresses of the device `id` are free again.
    pub fn give_back(&mut self, id: &str) {
        if let (Some(range), Some((window, _))) = (self.taken.remove(id), &mut self.window) {
            window.give_back(range);
        }
    }
}

fn spec(machine: &Machine) -> Result<MachineSpec, String> {
    let vendor = machine
        .cpu_vendor
        .as_deref()
        .map(|name| cpu_vendor(name).map_err(|rule| format!("--cpu-vendor: {name:?} {rule}")));
    let flags = Flags {
        cpus: CpusArg { boot: machine.cpus, max: None },
        cpu_vendor: vendor.transpose()?,
        memory: Some(read("--memory", &machine.memory)?),
        numa: read_all("--numa", &machine.numa)?,
        memory_hotplug: read_all("--memory-hotplug", &machine.memory_hotplug)?,
        dimm: read_all("--dimm", &machine.dimm)?,
        firmware_range: read_all("--firmware-range", &machine.firmware_range)?,
    };
    let spec = flags.machine();
    spec.check().map_err(|error| error.to_string())?;
    Ok(spec)
}

fn read<T: FromStr<Err = KeyError>>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{flag}: {error}"))
}

fn read_all<T: FromStr<Err = KeyError>>(flag: &str, values: &[String]) -> Result<Vec<T>, String> {
    values.iter().map(|value| read(flag, value)).collect()
}

fn boot_memory(layout: &Layout) -> BootMemory {
    let ram: Vec<_> = layout.ram.iter().map(|range| (range.start, range.size)).collect();
    let map = memory_map(&ram, &[]);
    let usable = map.iter().filter(|entry| entry.kind == Kind::Ram);
    let usable = usable.map(|entry| entry.start..entry.start + entry.size).collect();
    let nodes = layout.nodes.iter().map(|piece| (piece.range.start..piece.range.end(), piece.node)).collect();
    BootMemory { usable, nodes }
}
