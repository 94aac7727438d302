//! What a machine is asked to be: plain data, made of flags ([`Flags`](crate::flags::Flags), `dimmer run`) or by a test.

mod balloon;
mod check;
mod disk;
mod net;
mod pmem;
mod rate;
mod restore;
pub mod sample;
mod sandbox;
mod vsock;

use std::path::PathBuf;

use crate::dimm::{Dimm, Notify};
use crate::fault::Fault;
use crate::memory::GuestRange;
use crate::placement::Placement;
use crate::room::Room;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use balloon::BalloonSpec;
pub use check::{BadValue, PMEM_UNIT, SpecError, check_id};
pub use disk::{DiskFormat, DiskSpec, SERIAL};
pub use net::{Mac, NetSpec, WireSpec};
pub use pmem::PmemSpec;
pub use rate::RateSpec;
pub use restore::{Clock, ForkSpec, RestoreSpec, RestoredMemory, SnapshotSpec, Source, Start};
pub use sandbox::{KvmSpec, Limit, SandboxMode, SandboxSpec, SocketSpec};
pub use vsock::VsockSpec;

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// bzImage or ELF vmlinux.
    pub kernel: PathBuf,
    /// Initial RAM file system.
    pub initramfs: Option<PathBuf>,
    /// Kernel command line, used exactly as it stands.
    pub cmdline: String,
    /// Number of virtual CPUs at boot, at least 1.
    pub cpus: u32,
    /// Most virtual CPUs that there can be, at least as many.
    pub max_cpus: u32,
    /// Boot RAM.
    pub memory: MemorySpec,
    /// NUMA nodes; empty means one node with everything in it.
    pub numa: Vec<NodeSpec>,
    /// Windows for memory devices, in the order given.
    pub windows: Vec<WindowSpec>,
    /// ACPI memory devices that are there at boot, in the order given.
    pub dimms: Vec<Dimm>,
    /// Ranges other than RAM in the firmware's memory map, in the order given.
    pub firmware_ranges: Vec<FirmwareRangeSpec>,
    /// Disks, in the order given.
    pub disks: Vec<DiskSpec>,
    /// Persistent memory, in the order given.
    #[serde(default)]
    pub pmems: Vec<PmemSpec>,
    /// Network devices, in the order given.
    pub nets: Vec<NetSpec>,
    /// Whether there is a device with random bytes.
    pub rng: bool,
    /// The balloon, if there is one.
    pub balloon: Option<BalloonSpec>,
    /// The socket device, if there is one.
    pub vsock: Option<VsockSpec>,
    /// What happens when the guest's watchdog bites, if it has one.
    pub watchdog: Option<WatchdogAction>,
    /// The CPU vendor that the guest sees; the host's when `None`.
    pub cpu_vendor: Option<CpuVendor>,
    /// Whether the guest sees the CPU's virtualization, VMX or SVM.
    pub nested: bool,
    /// What is to go wrong.
    pub faults: Vec<Fault>,
    /// UNIX socket of the REST API.
    pub api_socket: Option<PathBuf>,
    /// UNIX socket that carries the guest agent's port.
    pub agent_socket: Option<PathBuf>,
    /// What the serial console is connected to.
    pub serial: SerialSpec,
    /// Whether the words of a kernel panic on the serial console count as one.
    pub watch_console: bool,
}

/// Boot RAM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorySpec {
    /// Bytes in all.
    pub size: u64,
    /// Most bytes below 4 GiB.
    pub low: u64,
    /// Where RAM goes on above 4 GiB.
    pub high: u64,
    /// Where host memory comes from; also for memory devices.
    pub backing: Backing,
    /// Whether host memory is populated before the guest gets it.
    pub prealloc: bool,
    /// Whether transparent huge pages are asked for.
    pub thp: bool,
    /// Whether the host sets memory aside (commits to it) when the guest gets it, so that a shortage
    /// shows at once.
    pub reserve: bool,
}

/// Where host memory comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backing {
    /// Private anonymous memory.
    Anon,
    /// A shared memfd.
    Memfd,
    /// The host's pool of huge pages of this size in bytes.
    Hugetlb(u64),
    /// A shared mapping of a file: this file, or an unnamed one in this directory.
    File(PathBuf),
}

/// A range other than RAM that the firmware's memory map names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirmwareRangeSpec {
    /// What it is.
    pub kind: FirmwareRangeKind,
    /// First address; the end of boot RAM, or of the range before, when `None`.
    pub start: Option<u64>,
    /// Bytes.
    pub size: u64,
    /// The node that the firmware says it is of; 0 for kinds of which it does not.
    #[serde(default)]
    pub node: u32,
}

/// What a range of the firmware's memory map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareRangeKind {
    /// Persistent memory (type 12 of the memory map, which Linux calls "Persistent Memory (legacy)"), with
    /// host memory behind it.
    Pmem,
    /// Persistent memory (type 7) that ACPI's NFIT describes, with host memory behind it.
    Nvdimm,
    /// Reserved (type 2), with nothing behind it.
    Reserved,
    /// Memory for a special purpose (type 0xefffffff, which Linux calls "Soft Reserved"), with host memory behind it: it
    /// is no RAM until a driver makes it that.
    SoftReserved,
}

impl FirmwareRangeKind {
    /// Whether there is host memory behind such a range.
    pub const fn has_memory(self) -> bool {
        match self {
            Self::Pmem | Self::Nvdimm | Self::SoftReserved => true,
            Self::Reserved => false,
        }
    }

    /// Whether the firmware says of such a range which node it is of.
    pub const fn has_node(self) -> bool {
        match self {
            Self::Nvdimm | Self::SoftReserved => true,
            Self::Pmem | Self::Reserved => false,
        }
    }
}

/// What happens when a guest that runs its watchdog shows no sign of life in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WatchdogAction {
    /// The machine is reset.
    Reset,
    /// The machine ends.
    Poweroff,
    /// The guest gets a non-maskable interrupt, on which it can panic and say where it was.
    Nmi,
    /// The machine is paused, to be looked at.
    Pause,
    /// Nothing but an event.
    None,
}

/// A CPU vendor, as CPUID leaf 0 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuVendor {
    /// "GenuineIntel".
    Intel,
    /// "AuthenticAMD".
    Amd,
}

/// One NUMA node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Its number.
    pub id: u32,
    /// Its CPUs.
    pub cpus: Vec<u32>,
    /// Its share of boot RAM in bytes; nodes take RAM in ascending order.
    pub memory: u64,
    /// Distances to other nodes (node, distance); 20 where not given.
    pub distances: Vec<(u32, u8)>,
    /// The host's nodes that its memory is bound to; empty for any.
    pub host_nodes: Vec<u32>,
    /// How fast the machine says that its memory is, if it does.
    pub performance: Option<PerformanceSpec>,
}

/// How fast the nearest processors reach a node's memory, as the guest is told (ACPI 6.5, section 5.2.28).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerformanceSpec {
    /// Nanoseconds of a read or write.
    pub latency: u32,
    /// MB/s of reads or writes.
    pub bandwidth: u32,
}

/// A window of guest-physical addresses for memory devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowSpec {
    /// Slots for ACPI memory devices.
    Acpi {
        /// Number of slots.
        slots: u16,
        /// Bytes of address space.
        size: u64,
        /// Where it lies; with an alignment, how its devices are aligned, too.
        placement: Placement,
    },
    /// One virtio-mem device.
    VirtioMem(VirtioMemSpec),
}

/// One virtio-mem device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioMemSpec {
    /// Its name.
    pub id: String,
    /// Bytes of its region.
    pub size: u64,
    /// Bytes of a device block; a power of two.
    pub block_size: u64,
    /// Its proximity domain.
    pub node: u32,
    /// Bytes asked for at start.
    pub requested: u64,
    /// Largest KVM memory slot in bytes: a power of two of at least the block size.
    pub slot_size: u64,
    /// Where its region lies.
    pub placement: Placement,
    /// Whether it takes drivers that may touch unplugged memory, as those before Linux 5.17.
    pub legacy: bool,
    /// Whether it is there at boot, rather than a place for one that comes later.
    pub present: bool,
}

impl VirtioMemSpec {
    /// What there is room for where it lies in `region`, if it is a place.
    pub fn room(&self, region: GuestRange) -> Room {
        Room {
            id: self.id.clone(),
            region,
            node: u16::try_from(self.node).unwrap_or(u16::MAX),
            block_size: self.block_size,
            max_block_size: self.slot_size,
            legacy: self.legacy,
        }
    }
}

impl MachineSpec {
    /// The virtio-mem devices that are there at boot.
    pub fn virtio_mem(&self) -> impl Iterator<Item = &VirtioMemSpec> {
        self.windows.iter().filter_map(|window| match window {
            WindowSpec::VirtioMem(device) => Some(device).filter(|device| device.present),
            WindowSpec::Acpi { .. } => None,
        })
    }
}

/// One ACPI memory device to plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimmSpec {
    /// The device.
    pub dimm: Dimm,
    /// How the guest is told of it.
    pub notify: Notify,
}

/// What the serial console is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SerialSpec {
    /// Standard input and output.
    Stdio,
    /// Nothing.
    Null,
    /// A file that is written.
    File(PathBuf),
    /// A UNIX socket that is listened on.
    Socket(PathBuf),
}
