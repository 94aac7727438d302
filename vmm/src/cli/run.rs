//! `dimmer run`: the flags of one machine, and what they mean.

use std::path::PathBuf;

use clap::Args;

use super::hotplug::windows;
use super::{HotplugArg, MemoryArg, NumaArg, SerialArg};
use crate::spec::{MachineSpec, SpecError};

/// The kernel command line without `--cmdline`: messages go to the serial console, and a guest that panics
/// does not stay around.
pub const DEFAULT_CMDLINE: &str = "console=ttyS0 panic=-1";

/// What was typed after `dimmer run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Kernel to boot: a bzImage or an ELF vmlinux
    #[arg(long, value_name = "PATH")]
    pub kernel: PathBuf,

    /// Initial RAM file system
    #[arg(long, value_name = "PATH")]
    pub initramfs: Option<PathBuf>,

    /// Kernel command line, used exactly as it stands
    #[arg(long, value_name = "STRING", default_value = DEFAULT_CMDLINE, allow_hyphen_values = true)]
    pub cmdline: String,

    /// Number of virtual CPUs, 1 to 254
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    pub cpus: u32,

    /// Boot RAM: size=4G[,low=2G][,backing=anon|memfd][,prealloc=on|off][,thp=on|off]
    ///
    /// `size` is the RAM the machine starts with (1G without this flag), `low` how much of it lies below
    /// 4 GiB at most (64M to 3G), `backing` where host memory comes from, also for memory devices, `prealloc`
    /// whether it is populated before the guest gets it, and `thp` whether transparent huge pages are
    /// asked for.
    #[arg(long, value_name = "KEY=VALUE,...", verbatim_doc_comment)]
    pub memory: Option<MemoryArg>,

    /// A NUMA node: id=0[,cpus=0-1:4][,memory=2G][,distance=1@20]... (may be repeated)
    ///
    /// The nodes' `memory` must add up to the boot RAM, and every CPU must be in one node. A list of CPUs
    /// takes numbers and ranges joined by colons. `distance=NODE@DISTANCE` may stand several times;
    /// distances not given are 20. Without this flag everything is in node 0.
    #[arg(long, value_name = "KEY=VALUE,...", verbatim_doc_comment)]
    pub numa: Vec<NumaArg>,

    /// A window for memory devices (may be repeated):
    /// method=acpi,slots=16,size=64G   or
    /// method=virtio-mem,size=32G[,id=vmem0][,block=2M][,node=0][,requested=0]
    ///
    /// `method=acpi`, at most once, sets aside addresses and slots for ACPI memory devices (DIMMs);
    /// `method=virtio-mem` makes one virtio-mem device. Sizes are multiples of 128M.
    #[arg(long, value_name = "KEY=VALUE,...", verbatim_doc_comment)]
    pub memory_hotplug: Vec<HotplugArg>,

    /// UNIX socket on which the REST API is served
    #[arg(long, value_name = "PATH")]
    pub api_socket: Option<PathBuf>,

    /// UNIX socket that carries the guest agent's port
    #[arg(long, value_name = "PATH")]
    pub agent_socket: Option<PathBuf>,

    /// What the serial console is connected to: stdio|null|file=PATH|socket=PATH
    #[arg(long, value_name = "WHERE", default_value = "stdio")]
    pub serial: SerialArg,
}

impl RunArgs {
    /// What was typed as a machine to make, checked as far as that needs no host.
    ///
    /// # Errors
    /// [`SpecError`] names the flag, the value, and what would be valid.
    pub fn into_spec(self) -> Result<MachineSpec, SpecError> {
        let mut numa: Vec<_> = self.numa.into_iter().map(|NumaArg(node)| node).collect();
        numa.sort_by_key(|node| node.id);
        let spec = MachineSpec {
            kernel: self.kernel,
            initramfs: self.initramfs,
            cmdline: self.cmdline,
            cpus: self.cpus,
            memory: self.memory.unwrap_or_default().0,
            numa,
            windows: windows(self.memory_hotplug),
            api_socket: self.api_socket,
            agent_socket: self.agent_socket,
            serial: self.serial.0,
        };
        spec.check()?;
        Ok(spec)
    }
}
