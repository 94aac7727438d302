//! What can happen.

use std::path::PathBuf;

use dimmer_devices::memory::MemoryEvent;
use dimmer_devices::processors::ProcessorEvent;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::MceSeverity;
use crate::spec::WatchdogAction;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum What {
    /// To a memory device.
    Memory(MemoryEvent),
    /// To the processors.
    Processors(ProcessorEvent),
    /// To the machine.
    Machine(MachineEvent),
}

/// What happens to the machine as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MachineEvent {
    /// The vCPUs start, for the first time or after a reset.
    Booting,
    /// The vCPUs were stopped.
    Paused,
    /// The vCPUs run again.
    Resumed,
    /// The machine goes on from a snapshot; what happened before has lower numbers.
    Restored,
    /// The machine has a child, which begins as a copy of it.
    Forked {
        /// Its name.
        id: String,
        /// Its process.
        pid: u32,
    },
    /// A snapshot of the machine was taken.
    SnapshotTaken {
        /// Where it is.
        #[schema(value_type = String)]
        destination: PathBuf,
        /// Which other one it is a difference to, if it is: it has only what was written since that one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>)]
        base: Option<PathBuf>,
    },
    /// The machine is reset.
    Resetting {
        /// Whether the guest asked for it, rather than somebody outside.
        #[serde(default)]
        by_guest: bool,
    },
    /// The power button was pressed.
    PowerButton,
    /// The guest was sent a non-maskable interrupt.
    Nmi,
    /// The guest's watchdog bit: it had shown no sign of life in time.
    Watchdog {
        /// What follows.
        action: WatchdogAction,
    },
    /// The guest's kernel said, through the pvpanic device, that it panicked.
    Panicked {
        /// The last lines on the console, with what is not printable escaped. Whoever may write there can have said them.
        #[serde(default)]
        console: Vec<String>,
    },
    /// It said so, and that its crash kernel takes over.
    CrashLoaded,
    /// A hardware memory error was reported to the guest.
    MachineCheck {
        /// Guest-physical address.
        address: u64,
        /// How bad it is.
        severity: MceSeverity,
    },
    /// The machine ends.
    Ended {
        /// Why, in words.
        reason: String,
        /// Why, in one word.
        #[serde(default)]
        cause: Cause,
    },
}

/// Why a machine ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The guest powered off.
    PowerOff,
    /// Somebody outside asked for it.
    #[default]
    Asked,
    /// The guest's kernel panicked.
    Panic,
    /// The guest met a triple fault.
    TripleFault,
    /// KVM or the host cannot go on.
    Failed,
    /// Dimmer itself is at fault.
    Defect,
}
