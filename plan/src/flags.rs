//! What flags say of a machine's processors and memory, from text. Who reads command lines puts the flags' names in front.

use crate::spec::{CpuVendor, MachineSpec, SerialSpec};

pub mod cpus;
pub mod dimm;
pub mod fault;
pub mod firmware;
pub mod hotplug;
pub mod keys;
pub mod memory;
pub mod numa;

pub use cpus::CpusArg;
pub use dimm::{DimmArg, RangesArg};
pub use fault::FaultArg;
pub use firmware::FirmwareRangeArg;
pub use hotplug::HotplugArg;
pub use keys::{KeyError, address};
pub use memory::MemoryArg;
pub use numa::NumaArg;

/// What flags say of a machine's processors and memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flags {
    /// `--cpus`
    pub cpus: CpusArg,
    /// `--cpu-vendor`
    pub cpu_vendor: Option<CpuVendor>,
    /// `--memory`
    pub memory: Option<MemoryArg>,
    /// Each `--numa`
    pub numa: Vec<NumaArg>,
    /// Each `--memory-hotplug`
    pub memory_hotplug: Vec<HotplugArg>,
    /// Each `--dimm`
    pub dimm: Vec<DimmArg>,
    /// Each `--firmware-range`
    pub firmware_range: Vec<FirmwareRangeArg>,
}

impl Flags {
    /// The machine that has this and nothing else, not even a kernel. [`MachineSpec::check`] says whether it makes sense.
    pub fn machine(self) -> MachineSpec {
        let mut numa: Vec<_> = self.numa.into_iter().map(|NumaArg(node)| node).collect();
        numa.sort_by_key(|node| node.id);
        let memory = self.memory.unwrap_or_default().0;
        let dimms: Vec<_> = self.dimm.into_iter().map(|DimmArg(dimm)| dimm).collect();
        let taken: Vec<_> = dimms.iter().map(|dimm| dimm.id.as_str()).collect();
        MachineSpec {
            kernel: "".into(),
            initramfs: None,
            cmdline: String::new(),
            cpus: self.cpus.boot,
            max_cpus: self.cpus.max.unwrap_or(self.cpus.boot),
            numa,
            windows: hotplug::windows(self.memory_hotplug, &memory.backing, &taken),
            memory,
            dimms,
            firmware_ranges: self.firmware_range.into_iter().map(|FirmwareRangeArg(range)| range).collect(),
            disks: Vec::new(),
            pmems: Vec::new(),
            nets: Vec::new(),
            rng: false,
            balloon: None,
            vsock: None,
            watchdog: None,
            cpu_vendor: self.cpu_vendor,
            nested: false,
            faults: Vec::new(),
            api_socket: None,
            agent_socket: None,
            serial: SerialSpec::Null,
            watch_console: false,
        }
    }
}

/// Reads the name of a CPU vendor.
///
/// # Errors
/// What it must be.
pub fn cpu_vendor(value: &str) -> Result<CpuVendor, &'static str> {
    match value {
        "intel" => Ok(CpuVendor::Intel),
        "amd" => Ok(CpuVendor::Amd),
        _ => Err("must be intel or amd"),
    }
}
