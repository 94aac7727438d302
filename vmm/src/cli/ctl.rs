//! `dimmer ctl`: what to tell a running machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use dimmer_devices::dimm::Notify;

use super::keys::{address, size, switch, word};
use super::{FaultArg, RangesArg, SerialArg};
use crate::api::parse_wait;
use crate::control::MceSeverity;
use crate::spec::RestoredMemory;

/// What was typed after `dimmer ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// The machine's API socket
    #[arg(long, value_name = "PATH")]
    pub api_socket: PathBuf,

    /// Print the API's JSON as it stands
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// One thing that a machine can be told or asked.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Ask whether the machine's VMM answers
    Ping,
    /// Describe the machine
    Info,
    /// List the memory devices
    Devices,
    /// Print events as they happen, until the machine ends
    Events {
        /// Begin with kept events behind this number; 0 for all (default: only new ones)
        #[arg(long, value_name = "NUMBER")]
        since: Option<u64>,
    },
    /// Stop the virtual CPUs
    Pause,
    /// Let the virtual CPUs run
    Resume,
    /// Write the machine to a directory, from which `dimmer run --restore` goes on; the machine runs on afterwards
    Snapshot {
        /// The directory: a new one, or that of an earlier snapshot, which the new one takes the place of
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Write only the memory that was written since this snapshot, which the new one then needs; writes have to be
        /// tracked since then
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
        /// Track what is written from this snapshot on, or no longer; it costs the guest time (default: as before, and on
        /// with --base)
        #[arg(long, value_name = "on|off", num_args = 0..=1, require_equals = true)]
        #[arg(default_missing_value = "on", value_parser = switch)]
        track: Option<bool>,
    },
    /// Start a child: a machine of its own that begins as a copy of this one
    Fork(ForkArgs),
    /// Reset the machine; it starts again with the same devices
    Reboot,
    /// Press the power button
    PowerButton,
    /// Send the guest a non-maskable interrupt, which reaches it whatever it does
    Nmi,
    /// Show where the virtual CPUs are, which stand still meanwhile
    Vcpus,
    /// Ask the guest to have so many virtual CPUs, or show how many there are
    Cpus {
        /// Number wanted (default: show)
        count: Option<u32>,
        /// Wait this long for the guest, and say how it ended
        #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true, requires = "count")]
        wait: Option<Duration>,
    },
    /// Show how much the machine writes to its log, or have it write so much from now on
    Log {
        /// off, error, warn, info, debug or trace; or several by module, such as warn,dimmer=debug (default: show)
        level: Option<String>,
    },
    /// End the machine at once
    Shutdown,
    /// Ask for a memory device's plugged size, or for an amount of RAM in all
    Resize(ResizeArgs),
    /// Ask the guest to have so much in the balloon, or show what is in it
    Balloon {
        /// Size wanted, such as 512M (default: show)
        #[arg(value_parser = size)]
        size: Option<u64>,
    },
    /// Plug or unplug an ACPI memory device
    #[command(subcommand)]
    Dimm(DimmAction),
    /// Put a virtio-mem device into a free place of --memory-hotplug method=virtio-mem,present=off, or take one away
    #[command(subcommand)]
    Vmem(VmemAction),
    /// Show what the guest reported with _OST about an ACPI memory device, which may be gone by now
    Ost {
        /// The device
        id: String,
    },
    /// Show what the driver of a virtio-mem device asked for, and what it was answered
    Requests {
        /// The device
        id: String,
    },
    /// Hold the machine's books against each other; exit status 1 when they do not agree
    Audit,
    /// Show or change what is to go wrong (default: show)
    Faults {
        /// What to do.
        #[command(subcommand)]
        action: Option<FaultsAction>,
    },
    /// Report a hardware memory error to the guest, as its CPU vendor's processors do
    InjectMce {
        /// Guest-physical address, such as 0x180000000
        #[arg(value_parser = address)]
        address: u64,
        /// ao (action optional: a scrubber found it), ar (action required: a program met it) or ucna (uncorrected, no action
        /// required)
        ///
        /// On AMD's processors ao and ucna are deferred errors: they wait in a bank of registers until the guest's kernel looks, as
        /// ucna does on Intel's.
        #[arg(long, value_parser = word::<MceSeverity>)]
        severity: MceSeverity,
    },
}

/// What was typed after `fork`.
#[derive(Debug, Args)]
pub struct ForkArgs {
    /// The child's name
    #[arg(long)]
    pub id: String,

    /// UNIX socket of the child's API
    #[arg(long = "child-api-socket", value_name = "PATH")]
    pub api: PathBuf,

    /// UNIX socket of its guest agent's port
    #[arg(long = "child-agent-socket", value_name = "PATH")]
    pub agent: Option<PathBuf>,

    /// What its serial console is connected to: null|file=PATH|socket=PATH (default: null)
    #[arg(long, value_name = "WHERE")]
    pub serial: Option<SerialArg>,

    /// How its memory is taken over: map (laid over an image that its siblings share) or copy (read before the guest runs, into
    /// huge pages where the host has them; default: map, for memory that can be)
    #[arg(long, value_name = "copy|map", value_parser = word::<RestoredMemory>)]
    pub restore_memory: Option<RestoredMemory>,

    /// Leave its virtual CPUs stopped
    #[arg(long)]
    pub paused: bool,
}

/// What to do with faults.
#[derive(Debug, Clone, Subcommand)]
pub enum FaultsAction {
    /// Show those that are set, and how often they acted
    List,
    /// Set these in place of all earlier ones: device=vmem0,on=plug,do=busy[,nth=2][,times=3][,ms=500][,size=1G]
    Set {
        /// The faults.
        #[arg(required = true, value_name = "FAULT")]
        faults: Vec<FaultArg>,
    },
    /// Unset all
    Clear,
}

/// What was typed after `resize`.
#[derive(Debug, Args)]
pub struct ResizeArgs {
    /// The memory device; without it SIZE is boot RAM and all devices together
    #[arg(long)]
    pub id: Option<String>,

    /// Size wanted, such as 12G
    #[arg(value_parser = size)]
    pub size: u64,

    /// Wait this long for the guest, and say how it ended
    #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true)]
    pub wait: Option<Duration>,
}

/// What to do with ACPI memory devices.
#[derive(Debug, Subcommand)]
pub enum DimmAction {
    /// Plug one
    Add(NewDimm),
    /// Ask the guest to let one go
    Remove {
        /// The device
        id: String,
        /// Wait this long for the guest, and say how it ended
        #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true)]
        wait: Option<Duration>,
    },
}

/// What to do with virtio-mem devices.
#[derive(Debug, Subcommand)]
pub enum VmemAction {
    /// Put one into a place
    Add(NewVmem),
    /// Ask the guest to let one go that has nothing plugged; Linux does when its driver is unbound from the device
    Remove {
        /// The device
        id: String,
        /// Wait this long for the guest, and say how it ended
        #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true)]
        wait: Option<Duration>,
    },
}

/// What was typed after `vmem add`.
#[derive(Debug, Args)]
pub struct NewVmem {
    /// Name of the new device
    #[arg(long)]
    pub id: String,

    /// Its size, a multiple of its block size (default: all of its place)
    #[arg(long, value_parser = size)]
    pub size: Option<u64>,

    /// Size of its blocks (default: that of its place)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub block: Option<u64>,

    /// What its driver is asked for at first (default: nothing)
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub requested: Option<u64>,

    /// Its NUMA node (default: that of the first place that is free)
    #[arg(long)]
    pub node: Option<u32>,

    /// Wait this long for the guest, and say how it ended
    #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true)]
    pub wait: Option<Duration>,
}

/// What was typed after `dimm add`.
#[derive(Debug, Args)]
pub struct NewDimm {
    /// Name of the new device
    #[arg(long)]
    pub id: String,

    /// Its size, a multiple of 128M
    #[arg(long, value_parser = size, required_unless_present = "ranges", conflicts_with = "ranges")]
    pub size: Option<u64>,

    /// Its ranges joined by +, at most 8; SIZE~GAP leaves GAP bytes free behind one: 1G~512M+3G
    #[arg(long)]
    pub ranges: Option<RangesArg>,

    /// Each range lies below the one before it
    #[arg(long)]
    pub descending: bool,

    /// Its NUMA node
    #[arg(long, default_value_t = 0)]
    pub node: u32,

    /// Sizes and gaps may be multiples of 1M, which Linux does not take
    #[arg(long)]
    pub unaligned: bool,

    /// Guest-physical address at which it begins, such as 0x180000000 or 6G
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub start: Option<u64>,

    /// Power of two of which the address at which it begins is a multiple, such as 2G
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub align: Option<u64>,

    /// How the guest is told: device-check, bus-check or none
    #[arg(long, value_name = "HOW", default_value = "device-check", value_parser = word::<Notify>)]
    pub notify: Notify,

    /// Wait this long for the guest, and say how it ended
    #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true)]
    pub wait: Option<Duration>,
}
