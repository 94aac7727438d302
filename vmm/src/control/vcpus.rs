//! What the machine says of its vCPUs, and what they can be told.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a vCPU is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VcpuStatus {
    /// Its number, from 0 on.
    pub id: u32,
    /// What it does.
    pub activity: Activity,
    /// Address of its next instruction.
    pub rip: u64,
    /// Whether it runs a program of the guest's, rather than the kernel.
    pub user: bool,
    /// Whether it takes interrupts.
    pub interrupts: bool,
    /// CR3: guest-physical address of its page tables, and their number in the lowest 12 bits.
    pub cr3: u64,
}

impl std::fmt::Display for VcpuStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, activity, rip, user, interrupts, cr3 } = self;
        let mode = if *user { "user" } else { "kernel" };
        let interrupts = if *interrupts { "on" } else { "off" };
        write!(f, "vCPU {id}: {activity}, at {rip:#x}, {mode}, interrupts {interrupts}, CR3 {cr3:#x}")
    }
}

/// What a vCPU does (KVM's multiprocessing state).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// It runs, or would if the machine were not paused.
    Running,
    /// It waits for an interrupt.
    Halted,
    /// The guest has not started it.
    NotStarted,
    /// Something else, such as a start that is under way.
    Other,
}

impl std::fmt::Display for Activity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Halted => "halted",
            Self::NotStarted => "not started",
            Self::Other => "other",
        })
    }
}

/// How bad a memory error is (Intel SDM volume 3, section 16.6; AMD APM volume 2, section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MceSeverity {
    /// Action optional: found by the memory scrubber. Intel's processors raise an exception; AMD's leave a deferred error in a
    /// bank of registers, which Linux reads within its `check_interval`.
    Ao,
    /// Action required: a program is using the memory. An exception, at Intel's of all processors.
    Ar,
    /// Uncorrected, no action required: nobody has used the memory. It waits in a bank of registers; AMD's call it deferred.
    Ucna,
}

impl std::fmt::Display for MceSeverity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ao => "ao",
            Self::Ar => "ar",
            Self::Ucna => "ucna",
        })
    }
}
