//! The command line of `dimmer`: what was typed, and what it means as a
//! [`MachineSpec`](crate::spec::MachineSpec). Nothing below this module reads arguments.
//!
//! To add a flag: a field with its help text in [`RunArgs`] (or a key in the parser of its flag, which for processors and
//! memory is in [`dimmer_plan::flags`]), its meaning in [`RunArgs::into_spec`], and its rule in `plan/src/spec/check.rs`.

mod balloon;
mod config;
mod ctl;
mod disk;
mod merge;
mod net;
mod pmem;
mod restore;
mod run;
mod sandbox;
mod serial;
#[cfg(test)]
mod tests;
mod vsock;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use serde::Deserialize;

pub use dimmer_plan::flags::{
    DimmArg, FaultArg, FirmwareRangeArg, HotplugArg, KeyError, MemoryArg, NumaArg, RangesArg, address,
};

pub use balloon::LONGEST as LONGEST_INTERVAL;
pub use config::{ConfigError, expanded, printed};
pub use ctl::{
    Action, CtlArgs, DimmAction, FaultsAction, ForkArgs, NewDimm, NewVmem, ResizeArgs, VmemAction,
};
pub use merge::MergeArgs;
pub use restore::RestoreArgs;
pub use run::{DEFAULT_CMDLINE, RunArgs};
pub use sandbox::words as sandbox_words;
pub use serial::{BadSerial, SerialArg};
pub use vsock::VsockArg;

use crate::version::VERSION;
use dimmer_plan::flags::keys::{self, word};

/// A virtual machine monitor whose one job is memory: it gives an unmodified Linux guest memory devices,
/// plugs and unplugs them while it runs, and says what became of every change.
#[derive(Debug, Parser)]
#[command(name = "dimmer", version = VERSION, about, after_help = EXIT_STATUS)]
pub struct Cli {
    /// How what is to be known of a run is written to standard error
    #[arg(long, global = true, value_name = "text|json", default_value = "text", value_parser = word::<LogFormat>)]
    pub log_format: LogFormat,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// An object of JSON on each line.
    Json,
}

/// The jobs of the binary.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one virtual machine in the foreground until it ends.
    Run(Box<RunArgs>),
    /// Talk to a running machine through its API socket.
    Ctl(CtlArgs),
    /// Make one snapshot out of one that is a difference and those that it needs.
    Merge(MergeArgs),
    /// Print what a shell needs to complete these command lines
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages
    Man {
        /// An existing directory for them
        directory: PathBuf,
    },
}

const EXIT_STATUS: &str = "Exit status: 0 done, 1 the guest or the machine refused, or the guest lost itself (a panic, a \
    triple fault), 2 bad usage or a bad host, 3 the host failed while the machine ran, 4 a defect of dimmer. \
    Sizes take the suffixes K, M, G and T (powers of 1024).";
