//! Where everything lies: guest-physical memory, device registers, I/O ports and interrupts.
//!
//! ```text
//! 0                    RAM below 4 GiB, at most `low` bytes
//! 3 GiB .. 4 GiB       registers: virtio-mmio from VIRTIO_START, I/O APIC, local APICs
//! 4 GiB, or `high`     the rest of boot RAM
//! behind it            other ranges of the firmware's memory map, unless they were given an address
//! next 1 GiB boundary  windows for memory devices, in the order given, unless they were given an address
//! behind them          persistent memory, in the order given, each at such a boundary, or in a gap that is left before
//! ```
//! Where RAM ends at 64 GiB or above, guests have larger memory blocks: windows are at a boundary of 2 GiB then, and
//! devices in them [aligned](Alignment::Natural) to what they are a multiple of.

mod firmware;
mod taken;
mod windows;

use crate::memory::GuestRange;
use crate::placement::Alignment;

use crate::spec::{FirmwareRangeKind, MachineSpec, MemorySpec, NodeSpec};
use crate::units::{Bytes, GIB};

pub use firmware::FirmwareRange;
use taken::Taken;

/// Where RAM continues above the registers, unless it is given another place.
pub const HIGH_RAM_START: u64 = 4 * GIB;

/// What lies between low RAM and 4 GiB: device registers.
const REGISTERS: GuestRange = GuestRange::new(3 * GIB, GIB);

/// First virtio-mmio register block; each takes [`VIRTIO_SIZE`].
pub const VIRTIO_START: u32 = 0xd000_0000; // 3.25 GiB
/// Bytes between virtio-mmio register blocks, one page.
pub const VIRTIO_SIZE: u32 = 0x1000;
/// The I/O APIC, where KVM's is.
pub const IO_APIC: u32 = 0xfec0_0000;
/// The local APICs, where KVM's are.
pub const LOCAL_APIC: u32 = 0xfee0_0000;
/// One page for KVM's identity map; only Intel hosts use it.
pub const KVM_IDENTITY_MAP: u64 = 0xfffb_c000;
/// Three pages for KVM's task state segment; only Intel hosts use them.
pub const KVM_TSS: u64 = KVM_IDENTITY_MAP + 0x1000;

/// First I/O port of the keyboard controller.
pub const I8042_PORT: u16 = 0x60;
/// I/O port of the serial console, COM1's.
pub const SERIAL_PORT: u16 = 0x3f8;
/// First I/O port of the memory-hotplug register block.
pub const HOTPLUG_PORT: u16 = 0xa00;
/// First I/O port of the processor-hotplug register block.
pub const PROCESSOR_PORT: u16 = 0xa40;
/// First I/O port of the registers of places for virtio-mem devices.
pub const PLACES_PORT: u16 = 0xa80;
/// First I/O port of the watchdog's registers.
pub const WATCHDOG_PORT: u16 = 0xb20;
/// First I/O port of PCI configuration space, where all PCs have it.
pub const PCI_PORT: u16 = 0xcf8;
/// I/O port of the pvpanic device, where QEMU has it.
pub const PVPANIC_PORT: u16 = 0x505;
/// I/O port of the Generic Event Device's register.
pub const GED_PORT: u16 = 0xb00;
/// First I/O port of the sleep and reset registers.
pub const POWER_PORT: u16 = 0xb10;

/// Interrupt of the serial console, COM1's.
pub const SERIAL_GSI: u32 = 4;
/// Interrupt of the Generic Event Device.
pub const GED_GSI: u32 = 9;
/// Interrupts of virtio devices: the I/O APIC's other pins above those that PCs give to timers.
pub const VIRTIO_GSIS: [u32; 17] = [5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];

/// A piece of boot RAM that belongs to one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RamRange {
    /// Where it lies.
    pub range: GuestRange,
    /// Its node.
    pub node: u32,
}

/// The plan of one machine's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Boot RAM, ascending, without holes inside a range; at most one range below 4 GiB and one
    /// above.
    pub ram: Vec<GuestRange>,
    /// The same RAM cut at node boundaries.
    pub nodes: Vec<RamRange>,
    /// Ranges other than RAM in the firmware's memory map, ascending.
    pub firmware: Vec<FirmwareRange>,
    /// One window for each [`MachineSpec::windows`], in that order.
    pub windows: Vec<GuestRange>,
    /// Persistent memory, one range for each [`MachineSpec::pmems`], in that order.
    pub pmems: Vec<GuestRange>,
    /// How memory devices are aligned that do not say it themselves.
    pub alignment: Alignment,
}

/// The machine does not fit into the address space.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Past what the CPU can address.
    #[error(
        "--memory-hotplug: window {index} ({size}) would end at {end:#x}, past this CPU's {bits} physical \
         address bits ({limit}); with this boot RAM and the windows before it, size may be at most {most}"
    )]
    PastCpu {
        /// Which window, counted from 1.
        index: usize,
        /// Its size.
        size: Bytes,
        /// The first address behind it.
        end: u128,
        /// The CPU's address width.
        bits: u8,
        /// The same in bytes.
        limit: Bytes,
        /// The largest size that fits.
        most: Bytes,
    },
    /// Boot RAM alone is too large.
    #[error("--memory: {key}={value} reaches past this CPU's {bits} physical address bits ({limit})")]
    RamPastCpu {
        /// The key of the flag.
        key: &'static str,
        /// Its value.
        value: Bytes,
        /// The CPU's address width.
        bits: u8,
        /// The same in bytes.
        limit: Bytes,
    },
    /// A window, or a range of the firmware's memory map, cannot lie where it was asked for.
    #[error("{flag}: {range:#x?} {what}")]
    Place {
        /// The flag that asked for it.
        flag: &'static str,
        /// First address and first address behind it.
        range: std::ops::Range<u64>,
        /// What is wrong with it.
        what: String,
    },
}

impl Layout {
    /// The first address at which a kernel that lays out its address space at random (KASLR) may not be able to have memory:
    /// the end of RAM, rounded up to a TiB, and 10 TiB (`kernel_randomize_memory`, arch/x86/mm/kaslr.c in Linux).
    pub fn reach_with_kaslr(&self) -> u64 {
        const TIB: u64 = 1024 * GIB;
        let end = self.ram.iter().map(GuestRange::end).max().unwrap_or(0);
        end.next_multiple_of(TIB) + 10 * TIB
    }

    /// The soft-reserved ranges of the firmware's memory map, ascending.
    pub fn soft_reserved(&self) -> impl Iterator<Item = &FirmwareRange> {
        self.firmware.iter().filter(|piece| piece.kind == FirmwareRangeKind::SoftReserved)
    }

    /// The ranges of persistent memory that the NFIT describes, likewise.
    pub fn nvdimms(&self) -> impl Iterator<Item = &FirmwareRange> {
        self.firmware.iter().filter(|piece| piece.kind == FirmwareRangeKind::Nvdimm)
    }

    /// Plans the memory of `spec` for a CPU with `bits` physical address bits.
    ///
    /// # Errors
    /// [`LayoutError`] when something would lie past what the CPU can address, or on something else.
    pub fn plan(spec: &MachineSpec, bits: u8) -> Result<Self, LayoutError> {
        let limit = 1u64 << bits.min(52);
        let ram = ram_ranges(&spec.memory);
        let ram_end = ram.iter().map(|range| range.start.saturating_add(range.size)).max().unwrap_or(0);
        if ram_end > limit {
            let high = spec.memory.high;
            let (key, value) = if high > limit { ("high", high) } else { ("size", spec.memory.size) };
            return Err(LayoutError::RamPastCpu { key, value: Bytes(value), bits, limit: Bytes(limit) });
        }
        let mut taken = Taken::new(&ram, limit);
        let firmware = firmware::place(spec, ram_end, &mut taken)?;
        let end = firmware.iter().map(|piece| piece.range.end()).fold(ram_end, u64::max);
        let nodes = node_ranges(&ram, &spec.numa);
        let alignment = windows::alignment(ram_end);
        let windows = windows::place(&spec.windows, end, alignment, bits, &mut taken)?;
        let pmems = windows::place_pmems(&spec.pmems, end, alignment, &mut taken)?;
        Ok(Self { windows, ram, nodes, firmware, pmems, alignment })
    }
}

/// Boot RAM, at most `low` bytes of it below 4 GiB and the rest from `high`.
fn ram_ranges(memory: &MemorySpec) -> Vec<GuestRange> {
    let below = GuestRange::new(0, memory.size.min(memory.low));
    let above = GuestRange::new(memory.high, memory.size - below.size);
    [below, above].into_iter().filter(|range| range.size > 0).collect()
}

/// Cuts `ram` at node boundaries; without nodes everything is in node 0.
fn node_ranges(ram: &[GuestRange], nodes: &[NodeSpec]) -> Vec<RamRange> {
    if nodes.is_empty() {
        return ram.iter().map(|range| RamRange { range: *range, node: 0 }).collect();
    }
    let mut pieces = Vec::new();
    let mut left = ram.to_vec();
    for node in nodes {
        let mut wanted = node.memory;
        while wanted > 0 && !left.is_empty() {
            let size = left[0].size.min(wanted);
            pieces.push(RamRange { range: GuestRange::new(left[0].start, size), node: node.id });
            wanted -= size;
            left[0] = GuestRange::new(left[0].start + size, left[0].size - size);
            left.retain(|range| range.size > 0);
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
