//! What the tables describe: a plain description of the platform, made by the VMM.

/// Everything the ACPI tables say about one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// The processors, in the order of their APIC ids; also those that can be plugged later.
    pub cpus: Vec<Cpu>,
    /// First I/O port of the register block [`crate::processors`], when processors can come and go.
    pub processor_port: Option<u16>,
    /// Boot RAM and hot-pluggable windows, ascending; they become SRAT entries.
    pub memory: Vec<MemoryRange>,
    /// Persistent memory that is there at boot, at most 65535 ranges; the NFIT is left out when there is none.
    pub persistent: Vec<MemoryRange>,
    /// Distance from node `i` to node `j` as `distances[i][j]`; the SLIT is left out when there
    /// are fewer than two nodes. A square matrix with 10 on its diagonal, with a row for every node that
    /// processors or memory can ever be in.
    pub distances: Vec<Vec<u8>>,
    /// How fast memory is, for the nodes of which that is known; the HMAT is left out when there are none. Each node once.
    pub performance: Vec<MemoryPerformance>,
    /// The memory-hotplug register block, when the machine has DIMM slots.
    pub memory_slots: Option<MemorySlots>,
    /// virtio-mmio transports; each becomes an `LNRO0005` device.
    pub virtio: Vec<VirtioMmio>,
    /// Places for virtio devices that come and go, if there are any.
    pub places: Option<Places>,
    /// The 16550 serial port (`PNP0501`).
    pub serial: IoDevice,
    /// The Generic Event Device and its register (see [`crate::ged`]).
    pub ged: IoDevice,
    /// I/O port of the sleep control, sleep status and reset registers (see [`crate::power`]).
    pub power_port: u16,
    /// I/O port of the pvpanic device (see [`crate::pvpanic`]).
    pub pvpanic_port: u16,
    /// First I/O port of the watchdog's registers (see [`crate::watchdog`]), if there is one.
    pub watchdog_port: Option<u16>,
    /// Physical address of the generation ID (see [`crate::generation`]), a multiple of
    /// [`ALIGNMENT`](crate::generation::ALIGNMENT).
    pub generation_id: u64,
    /// I/O APIC and local APIC addresses.
    pub io_apic: u32,
    /// Physical address of the local APICs.
    pub local_apic: u32,
}

/// One processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// Its number, and the `_UID` of its device.
    pub uid: u32,
    /// Local APIC id.
    pub apic_id: u32,
    /// Proximity domain.
    pub node: u32,
    /// Whether it is there when the guest boots, rather than to be plugged.
    pub present: bool,
}

/// A range of guest-physical memory and its proximity domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryRange {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub size: u64,
    /// Proximity domain.
    pub node: u32,
    /// Whether memory can be plugged here later (a window) rather than being there at boot.
    pub hot_pluggable: bool,
}

/// How fast the nearest processors reach a node's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPerformance {
    /// Proximity domain of the memory.
    pub node: u32,
    /// Nanoseconds of a read or write, up to [`crate::hmat::MOST`].
    pub latency: u32,
    /// MB/s of reads or writes, up to [`crate::hmat::MOST`] times the largest of [`crate::hmat::BANDWIDTH_UNITS`].
    pub bandwidth: u32,
}

/// The memory-device slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemorySlots {
    /// Number of slots, 1 to [`crate::hotplug::MAX_SLOTS`].
    pub count: u16,
    /// First I/O port of the register block [`crate::hotplug`].
    pub port: u16,
}

/// One virtio-mmio transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtioMmio {
    /// Physical address of the register block.
    pub address: u32,
    /// Length of the register block in bytes.
    pub size: u32,
    /// Global system interrupt; level-triggered, active high.
    pub gsi: u32,
}

/// Places for virtio devices that come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// First I/O port of the registers [`crate::places`].
    pub port: u16,
    /// The transport of each place, 1 to [`crate::places::MAX_PLACES`].
    pub transports: Vec<VirtioMmio>,
}

/// A device with I/O ports and one interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoDevice {
    /// First I/O port.
    pub port: u16,
    /// Global system interrupt; level-triggered, active high.
    pub gsi: u32,
}
