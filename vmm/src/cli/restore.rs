//! `dimmer run --restore`: a machine that goes on from a snapshot.

use std::path::PathBuf;

use clap::Args;

use super::keys::word;
use crate::spec::{Clock, RestoredMemory};

/// The flags that say how a machine is made, which a snapshot has said.
pub(super) const BOOTS: [&str; 18] = [
    "cmdline",
    "cpus",
    "cpu_vendor",
    "nested",
    "memory",
    "firmware_range",
    "numa",
    "memory_hotplug",
    "dimm",
    "disk",
    "pmem",
    "net",
    "rng",
    "balloon",
    "vsock",
    "watchdog",
    "fault",
    "watch_console",
];

/// The flags that say how.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Go on from the snapshot in this directory, in place of booting
    ///
    /// The machine is the one of the snapshot. Its kernel and initramfs, which a reset boots, have to be where they were, or
    /// where --kernel and --initramfs say; the sockets and the console are those of the snapshot unless said otherwise.
    /// The guest is told by a new generation ID (VMGENID) that it is not the only one that goes on from there.
    #[arg(long, value_name = "DIR", conflicts_with_all = BOOTS)]
    pub restore: Option<PathBuf>,

    /// How the snapshot's memory is taken over: copy (default: read and checked before the guest runs) or map (mapped
    /// privately and read when the guest touches it; the snapshot has to stay as it is)
    #[arg(long, value_name = "copy|map", requires = "restore", value_parser = word::<RestoredMemory>)]
    pub restore_memory: Option<RestoredMemory>,

    /// The guest's clock: stay (default: it goes on where it stopped) or jump (the time since then has passed)
    #[arg(long, value_name = "stay|jump", requires = "restore", value_parser = word::<Clock>)]
    pub restore_clock: Option<Clock>,

    /// Mark from here on what is written, so that later snapshots of this machine can be differences to the one in DIR
    ///
    /// It costs the guest time; see docs/snapshots.md.
    #[arg(long, requires = "restore", conflicts_with = "forked")]
    pub track: bool,

    /// Go on from the image that this process has from the machine that it is a fork of; DIR is this machine's name then
    #[arg(long, hide = true, requires = "restore")]
    pub forked: bool,

    /// Leave the virtual CPUs of the restored machine stopped; resume lets them run
    #[arg(long, requires = "restore")]
    pub paused: bool,
}
