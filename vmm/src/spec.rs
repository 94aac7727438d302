//! What a machine is asked to be: plain data, made by the command line (`cli`) or by a test.

mod check;

use std::path::PathBuf;

pub use check::{BadValue, SpecError, check_id};

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSpec {
    /// bzImage or ELF vmlinux.
    pub kernel: PathBuf,
    /// Initial RAM file system.
    pub initramfs: Option<PathBuf>,
    /// Kernel command line, used exactly as it stands.
    pub cmdline: String,
    /// Number of virtual CPUs, at least 1.
    pub cpus: u32,
    /// Boot RAM.
    pub memory: MemorySpec,
    /// NUMA nodes; empty means one node with everything in it.
    pub numa: Vec<NodeSpec>,
    /// Windows for memory devices, in the order given.
    pub windows: Vec<WindowSpec>,
    /// UNIX socket of the REST API.
    pub api_socket: Option<PathBuf>,
    /// UNIX socket that carries the guest agent's port.
    pub agent_socket: Option<PathBuf>,
    /// What the serial console is connected to.
    pub serial: SerialSpec,
}

/// Boot RAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemorySpec {
    /// Bytes in all.
    pub size: u64,
    /// Most bytes below 4 GiB.
    pub low: u64,
    /// Where host memory comes from; also for memory devices.
    pub backing: Backing,
    /// Whether host memory is populated before the guest gets it.
    pub prealloc: bool,
    /// Whether transparent huge pages are asked for.
    pub thp: bool,
}

/// Where host memory comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Private anonymous memory.
    Anon,
    /// A shared memfd.
    Memfd,
}

/// One NUMA node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its number.
    pub id: u32,
    /// Its CPUs.
    pub cpus: Vec<u32>,
    /// Its share of boot RAM in bytes; nodes take RAM in ascending order.
    pub memory: u64,
    /// Distances to other nodes (node, distance); 20 where not given.
    pub distances: Vec<(u32, u8)>,
}

/// A window of guest-physical addresses for memory devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WindowSpec {
    /// Slots for ACPI memory devices.
    Acpi {
        /// Number of slots.
        slots: u16,
        /// Bytes of address space.
        size: u64,
    },
    /// One virtio-mem device.
    VirtioMem(VirtioMemSpec),
}

/// One virtio-mem device.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// One ACPI memory device to plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimmSpec {
    /// Its name.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its proximity domain.
    pub node: u32,
}

/// What the serial console is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
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
