//! `dimmer run`: the flags of one machine, and what they mean.

use std::path::PathBuf;

use clap::Args;
use dimmer_plan::flags::{CpusArg, Flags, cpu_vendor};

use super::balloon::{BalloonArg, EMPTY};
use super::disk::{DiskArg, disks};
use super::keys::word;
use super::net::{NetArg, nets};
use super::pmem::{PmemArg, pmems};
use super::sandbox::SandboxArgs;
use super::vsock::VsockArg;
use super::{DimmArg, FaultArg, FirmwareRangeArg, HotplugArg, MemoryArg, NumaArg, RestoreArgs, SerialArg};
use crate::spec::{
    CpuVendor, MachineSpec, RestoreSpec, SerialSpec, Source, SpecError, Start, WatchdogAction,
};

/// The kernel command line without `--cmdline`: messages go to the serial console, and a guest that panics
/// does not stay around.
pub const DEFAULT_CMDLINE: &str = "console=ttyS0 panic=-1";

/// What was typed after `dimmer run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A file of TOML that says what flags say, by the same names and keys; flags stand in place of what it says
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print such a file, with all that was said, and do nothing else
    #[arg(long)]
    pub print_config: bool,

    /// Kernel to boot: a bzImage or an ELF vmlinux
    #[arg(long, value_name = "PATH", required_unless_present = "restore")]
    pub kernel: Option<PathBuf>,

    /// Initial RAM file system
    #[arg(long, value_name = "PATH")]
    pub initramfs: Option<PathBuf>,

    /// Kernel command line, used exactly as it stands
    #[arg(long, value_name = "STRING", default_value = DEFAULT_CMDLINE, allow_hyphen_values = true)]
    pub cmdline: String,

    /// Number of virtual CPUs, 1 to 254, and the most that there can be later: N[,max=M]
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    pub cpus: CpusArg,

    /// The CPU vendor that the guest sees: intel or amd (default: the host's)
    #[arg(long, value_name = "VENDOR", value_parser = cpu_vendor)]
    pub cpu_vendor: Option<CpuVendor>,

    /// Show the guest the CPU's virtualization (VMX or SVM), so that it can run virtual machines itself
    #[arg(long)]
    pub nested: bool,

    /// Boot RAM: size=4G[,low=2G][,high=4G][,backing=anon|memfd|hugetlb|file] [,page=2M|1G][,path=PATH][,prealloc=on|off][,thp=on|off][,reserve=on|off]
    ///
    /// `size` is the RAM the machine starts with (1G without this flag), `low` how much of it lies below
    /// 4 GiB at most (64M to 3G), and `high` where the rest begins. The other keys are also about memory
    /// devices: `backing` is where host memory comes from, with the size of a huge page in `page` or a file
    /// (or a directory for unnamed files) in `path`; `prealloc` whether it is populated before the guest gets
    /// it, `thp` whether transparent huge pages are asked for, and `reserve` whether the host commits to the
    /// memory when the guest gets it.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub memory: Option<MemoryArg>,

    /// Something else than RAM in the firmware's memory map: kind=pmem|nvdimm|reserved|soft-reserved,size=192M
    /// [,start=ADDRESS][,node=0] (may be repeated)
    ///
    /// `pmem` is legacy persistent memory, `nvdimm` persistent memory of `node` that ACPI's NFIT describes, `reserved` a range with nothing behind it, and `soft-reserved` memory of
    /// `node` that the guest leaves to a driver, such as dax/kmem. Without `start` it begins where boot RAM ends,
    /// or the range before it, and so may share a memory block with RAM.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub firmware_range: Vec<FirmwareRangeArg>,

    /// A NUMA node: id=0[,cpus=0-1:4][,memory=2G][,host=0:1][,distance=1@20]...
    /// [,latency=100,bandwidth=20000] (may be repeated)
    ///
    /// The nodes' `memory` must add up to the boot RAM, and every CPU must be in one node. A list of CPUs
    /// takes numbers and ranges joined by colons, and so does `host`, the host's nodes that the node's memory
    /// is bound to. `distance=NODE@DISTANCE` may stand several times; distances not given are 20. `latency`
    /// (nanoseconds) and `bandwidth` (MB/s) are what the nearest processors find at the node's memory; they only
    /// stand in a table (HMAT), by which Linux sorts memory into tiers. Without this flag everything is in node 0.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub numa: Vec<NumaArg>,

    /// A window for memory devices (may be repeated):
    /// method=acpi,slots=16,size=64G[,start=ADDRESS][,align=2G] or
    /// method=virtio-mem,size=32G[,id=vmem0][,block=2M][,slot=128M][,node=0][,requested=0]
    /// [,start=ADDRESS][,align=2G][,legacy=on|off][,present=on|off]
    ///
    /// `method=acpi`, at most once, sets aside addresses and slots for ACPI memory devices (DIMMs);
    /// `method=virtio-mem` makes one virtio-mem device of blocks from 1M to 4G, whose memory KVM gets in
    /// slots of at most `slot` bytes. Sizes are multiples of 128M. A window lies at `start`, which may be below
    /// 4 GiB where RAM leaves room; else behind RAM at a multiple of `align` (1G without it, or 2G where RAM
    /// ends at 64 GiB or above, where guests have memory blocks of up to 2 GiB). DIMMs in it are aligned to
    /// `align`, too. With `legacy=on` a virtio-mem device takes drivers that may read unplugged memory (those
    /// before Linux 5.17): they read zeroes, and what they write there is dropped. With `present=off` there is no
    /// device at boot, but a place for one that comes while the guest runs (`dimmer ctl vmem add`).
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub memory_hotplug: Vec<HotplugArg>,

    /// An ACPI memory device that is there at boot (may be repeated):
    /// id=d0,size=4G[,node=0][,ranges=1G+3G][,order=ascending|descending][,unaligned=on|off]
    /// [,start=ADDRESS][,align=2G]
    ///
    /// `ranges` makes it one of up to 8 ranges; `SIZE~GAP` leaves GAP bytes free behind a range. With
    /// `order=descending` each range lies below the one before. With `unaligned=on` sizes and gaps are
    /// multiples of 1M rather than 128M, which Linux does not take. It begins at `start`, an address in the
    /// window, or at the lowest free multiple of `align`.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub dimm: Vec<DimmArg>,

    /// A disk (may be repeated): path=FILE[,format=raw|qcow2][,readonly=on|off][,direct=on|off][,serial=TEXT]
    /// [,bps=SIZE][,iops=N][,id=disk0]
    ///
    /// A virtio disk, /dev/vda and so on. `path` is a file or a block device of the host's, `format=qcow2` QEMU's
    /// image, with the files that it names. `direct=on` passes the host's page cache by. `serial` is what the guest
    /// sees as its serial number, 20 bytes at most (default: the id). `bps` and `iops` are how many bytes and requests it does
    /// in a second, at most. A disk that is written is one machine's alone.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub disk: Vec<DiskArg>,

    /// Persistent memory (may be repeated): file=PATH[,size=SIZE][,readonly=on|off][,id=pmem0]
    ///
    /// A virtio-pmem device, /dev/pmem0 and so on: the guest has the file in its own address space, and what its driver flushes is
    /// in the file. `size`, a multiple of 2M, makes a file that is shorter, or not there, that long; without it the file says it.
    /// With `readonly=on` what the guest writes is dropped. A file that is written is one machine's alone.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub pmem: Vec<PmemArg>,

    /// A network device (may be repeated): tap=NAME|fd=N|socket=PATH[,mac=02:00:00:00:00:01][,mtu=1500]
    /// [,bps=SIZE][,pps=N][,id=net0]
    ///
    /// `tap` is a TAP device of the host's, made if there is none; `fd` one that this process was started with (with
    /// IFF_NO_PI and IFF_VNET_HDR); `socket` a UNIX stream socket that somebody listens on, such as passt, which needs
    /// no root: passt -f -s PATH -t 2222:22 gives the guest network, and forwards a port to it. `bps` and `pps` are how many
    /// bytes and frames it carries in a second, at most, in each direction.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub net: Vec<NetArg>,

    /// A virtio device with random bytes from the host
    #[arg(long)]
    pub rng: bool,

    /// A balloon: [size=SIZE][,deflate_on_oom=on|off][,free_page_reporting=on|off][,stats=on|off|SECONDS]
    ///
    /// A virtio balloon, with `size` bytes that the guest is to give away from the start (none without it). With
    /// `deflate_on_oom=on` the guest takes some of them again before it runs out of memory; with `free_page_reporting=on` it
    /// gives away what is free without being asked; with `stats` it says every so many seconds (5 with `on`) how its memory is.
    #[arg(long, value_name = "KEY=VALUE,...", num_args = 0..=1, default_missing_value = EMPTY)]
    pub balloon: Option<BalloonArg>,

    /// A virtio socket device: cid=N,path=PATH
    ///
    /// The guest's sockets of AF_VSOCK have the context ID `cid`, from 3 on. A client of the host's connects to the UNIX socket
    /// `path` and says "CONNECT PORT" and a newline; what the guest connects to (context ID 2) is the UNIX socket `path`_PORT,
    /// as with Firecracker.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub vsock: Option<VsockArg>,

    /// A watchdog timer, and what happens when a guest that runs it shows no sign of life: reset|poweroff|nmi|pause|none
    ///
    /// Linux has the driver wdat_wdt for it (/dev/watchdog0). `nmi` reaches a guest that hangs: with unknown_nmi_panic on its
    /// command line it panics, and says where it was. In any case there is an event.
    #[arg(long, value_name = "ACTION", value_parser = word::<WatchdogAction>, num_args = 0..=1, default_missing_value = "reset")]
    pub watchdog: Option<WatchdogAction>,

    /// What is to go wrong with a memory device (may be repeated):
    /// device=vmem0,on=plug,do=busy[,nth=2][,times=3][,ms=500][,size=1G]
    ///
    /// On the `nth` occasion of `on`, and `times` in all, the action `do` happens. `ms` goes with
    /// `do=delay`, `size` with `do=request`. A wrong word is answered with those that are right.
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub fault: Vec<FaultArg>,

    /// UNIX socket on which the REST API is served: a path, or fd=N for one that this process was started with and that listens
    #[arg(long, value_name = "PATH")]
    pub api_socket: Option<PathBuf>,

    /// UNIX socket on which QMP is served, as far as scripts about memory need it
    ///
    /// It is this process's, not the machine's: a machine that goes on from a snapshot has it where this flag is given again.
    #[arg(long, value_name = "PATH")]
    pub qmp: Option<PathBuf>,

    /// Seconds that SIGTERM gives the guest to power off, once it has pressed the power button; 0 ends the machine at once,
    /// as a second SIGTERM does, and SIGINT and SIGHUP
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub stop_timeout: u32,

    /// UNIX socket that carries the guest agent's port; a path or fd=N, as above
    #[arg(long, value_name = "PATH")]
    pub agent_socket: Option<PathBuf>,

    /// What the serial console is connected to: stdio|null|file=PATH|socket=PATH (default: stdio)
    #[arg(long, value_name = "WHERE")]
    pub serial: Option<SerialArg>,

    /// Take the words of a kernel panic on the serial console for one, and end the machine
    ///
    /// Kernels with a driver for pvpanic say it themselves. This is for those without, and for panics before the driver is
    /// there; but any program that may write to the console can then end the machine.
    #[arg(long)]
    pub watch_console: bool,

    /// Whether it is to go on from a snapshot.
    #[command(flatten)]
    pub restore: RestoreArgs,

    /// What the process may do.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
}

impl RunArgs {
    /// What was typed as what to run, checked as far as that needs no host.
    ///
    /// # Errors
    /// [`SpecError`] names the flag, the value, and what would be valid.
    pub fn into_start(mut self) -> Result<Start, SpecError> {
        let source = match self.restore.restore.take() {
            Some(id) if self.restore.forked => Source::Parent(id.to_string_lossy().into_owned()),
            Some(directory) => Source::Directory(directory),
            None => return Ok(Start::Boot(Box::new(self.into_spec()?))),
        };
        Ok(Start::Restore(RestoreSpec {
            source,
            memory: self.restore.restore_memory.unwrap_or_default(),
            clock: self.restore.restore_clock.unwrap_or_default(),
            paused: self.restore.paused,
            track: self.restore.track,
            kernel: self.kernel,
            initramfs: self.initramfs,
            api_socket: self.api_socket,
            agent_socket: self.agent_socket,
            serial: self.serial.map(|serial| serial.0),
        }))
    }

    /// What was typed, without `--restore`, as a machine to boot, checked as far as that needs no host.
    ///
    /// # Errors
    /// [`SpecError`] names the flag, the value, and what would be valid.
    pub fn into_spec(self) -> Result<MachineSpec, SpecError> {
        let flags = Flags {
            cpus: self.cpus,
            cpu_vendor: self.cpu_vendor,
            memory: self.memory,
            numa: self.numa,
            memory_hotplug: self.memory_hotplug,
            dimm: self.dimm,
            firmware_range: self.firmware_range,
        };
        let spec = MachineSpec {
            kernel: self.kernel.expect("clap asks for it"),
            initramfs: self.initramfs,
            cmdline: self.cmdline,
            disks: disks(self.disk),
            pmems: pmems(self.pmem),
            nets: nets(self.net),
            rng: self.rng,
            balloon: self.balloon.map(|BalloonArg(balloon)| balloon),
            vsock: self.vsock.map(|VsockArg(vsock)| vsock),
            watchdog: self.watchdog,
            nested: self.nested,
            faults: self.fault.into_iter().map(|FaultArg(fault)| fault).collect(),
            api_socket: self.api_socket,
            agent_socket: self.agent_socket,
            serial: self.serial.map_or(SerialSpec::Stdio, |serial| serial.0),
            watch_console: self.watch_console,
            ..flags.machine()
        };
        spec.check()?;
        Ok(spec)
    }
}
