//! A machine's configuration in the shape of cloud-hypervisor's `VmConfig`: the parts that a machine of Dimmer has. All other
//! parts are left out, which its types read as not there.

use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

use crate::control::VmInfo;
use crate::spec::{MachineSpec, NodeSpec, SerialSpec};
pub use devices::{BalloonConfig, DiskConfig, NetConfig, PmemConfig, VsockConfig};
pub use memory::MemoryConfig;

mod devices;
mod memory;

/// A machine's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VmConfig {
    /// Virtual CPUs.
    pub cpus: CpusConfig,
    /// Memory.
    pub memory: MemoryConfig,
    /// What is booted.
    pub payload: PayloadConfig,
    /// The serial console.
    pub serial: ConsoleConfig,
    /// A virtio console; there is none for people.
    pub console: ConsoleConfig,
    /// Whether there is a pvpanic device; there always is.
    pub pvpanic: bool,
    /// NUMA nodes, if there are any.
    pub numa: Option<Vec<NumaConfig>>,
    /// Disks, if there are any.
    pub disks: Option<Vec<DiskConfig>>,
    /// Persistent memory, if there is any.
    pub pmem: Option<Vec<PmemConfig>>,
    /// Network devices, if there are any.
    pub net: Option<Vec<NetConfig>>,
    /// The balloon, if there is one.
    pub balloon: Option<BalloonConfig>,
    /// The socket device, if there is one.
    pub vsock: Option<VsockConfig>,
}

/// Virtual CPUs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CpusConfig {
    /// Number at boot.
    pub boot_vcpus: u32,
    /// Most of them.
    pub max_vcpus: u32,
    /// Whether the guest sees the CPU's virtualization.
    pub nested: bool,
}

/// What is booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PayloadConfig {
    /// The kernel.
    #[schema(value_type = String)]
    pub kernel: PathBuf,
    /// The initial RAM file system.
    #[schema(value_type = Option<String>)]
    pub initramfs: Option<PathBuf>,
    /// The kernel's command line.
    pub cmdline: String,
}

/// What a console is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConsoleConfig {
    /// `Off`, `Null`, `Tty`, `File` or `Socket`.
    pub mode: &'static str,
    /// The file.
    #[schema(value_type = Option<String>)]
    pub file: Option<PathBuf>,
    /// The socket.
    #[schema(value_type = Option<String>)]
    pub socket: Option<PathBuf>,
}

/// A NUMA node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NumaConfig {
    /// Its number.
    pub guest_numa_id: u32,
    /// Its CPUs.
    pub cpus: Vec<u32>,
    /// How far it is to other nodes, where that was said.
    pub distances: Vec<NumaDistance>,
    /// Its virtio-mem devices.
    pub memory_zones: Vec<String>,
}

/// How far a node is from another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NumaDistance {
    /// The other one.
    pub destination: u32,
    /// The distance; 10 is the own node.
    pub distance: u8,
}

impl VmConfig {
    /// The machine `spec`, of which `info` is said now.
    pub fn new(spec: &MachineSpec, info: &VmInfo) -> Self {
        let off = ConsoleConfig { mode: "Off", file: None, socket: None };
        Self {
            cpus: CpusConfig { boot_vcpus: spec.cpus, max_vcpus: spec.max_cpus, nested: spec.nested },
            memory: MemoryConfig::new(spec, &info.memory_devices),
            payload: PayloadConfig {
                kernel: spec.kernel.clone(),
                initramfs: spec.initramfs.clone(),
                cmdline: spec.cmdline.clone(),
            },
            serial: ConsoleConfig::new(&spec.serial),
            console: off,
            pvpanic: true,
            numa: some(spec.numa.iter().map(|node| NumaConfig::new(node, spec))),
            disks: some(spec.disks.iter().map(DiskConfig::new)),
            pmem: some(info.pmems.iter().map(PmemConfig::new)),
            net: some(spec.nets.iter().map(NetConfig::new)),
            balloon: info.balloon.as_ref().map(BalloonConfig::new),
            vsock: spec.vsock.as_ref().map(VsockConfig::new),
        }
    }
}

/// What there is, if there is anything.
fn some<T>(all: impl Iterator<Item = T>) -> Option<Vec<T>> {
    Some(all.collect()).filter(|all: &Vec<_>| !all.is_empty())
}

impl ConsoleConfig {
    fn new(serial: &SerialSpec) -> Self {
        let (mode, file, socket) = match serial {
            SerialSpec::Stdio => ("Tty", None, None),
            SerialSpec::Null => ("Null", None, None),
            SerialSpec::File(path) => ("File", Some(path.clone()), None),
            SerialSpec::Socket(path) => ("Socket", None, Some(path.clone())),
        };
        Self { mode, file, socket }
    }
}

impl NumaConfig {
    fn new(node: &NodeSpec, spec: &MachineSpec) -> Self {
        let distance = |&(destination, distance): &(u32, u8)| NumaDistance { destination, distance };
        let zones = spec.virtio_mem().filter(|device| device.node == node.id);
        Self {
            guest_numa_id: node.id,
            cpus: node.cpus.clone(),
            distances: node.distances.iter().map(distance).collect(),
            memory_zones: zones.map(|device| device.id.clone()).collect(),
        }
    }
}
