//! `dimmer ctl`: what to tell a running machine.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::keys::size;
use crate::api::parse_wait;

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
    /// Reset the machine; it starts again with the same devices
    Reboot,
    /// Press the power button
    PowerButton,
    /// End the machine at once
    Shutdown,
    /// Ask for a memory device's plugged size, or for an amount of RAM in all
    Resize(ResizeArgs),
    /// Plug or unplug an ACPI memory device
    #[command(subcommand)]
    Dimm(DimmAction),
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

/// What was typed after `dimm add`.
#[derive(Debug, Args)]
pub struct NewDimm {
    /// Name of the new device
    #[arg(long)]
    pub id: String,

    /// Its size, a multiple of 128M
    #[arg(long, value_parser = size)]
    pub size: u64,

    /// Its NUMA node
    #[arg(long, default_value_t = 0)]
    pub node: u32,

    /// Wait this long for the guest, and say how it ended
    #[arg(long, value_name = "SECONDS", value_parser = parse_wait, allow_negative_numbers = true)]
    pub wait: Option<Duration>,
}
