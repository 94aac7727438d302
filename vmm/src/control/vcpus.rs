//! What the machine says of its vCPUs, and what they can be told.

use kvm_bindings::kvm_regs;
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
    /// Addresses that its kernel is to return to, the innermost first, as far as its stack tells: what earlier calls left there may be
    /// among them. At most 32; none while a program runs.
    pub callers: Vec<u64>,
    /// What its general registers hold.
    pub registers: Registers,
}

/// General registers and flags of a vCPU (Intel SDM volume 1, section 3.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "processors' own names")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rflags: u64,
}

impl From<&kvm_regs> for Registers {
    fn from(regs: &kvm_regs) -> Self {
        let kvm_regs {
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rsp,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip: _,
            rflags,
        } = *regs;
        Self { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rflags }
    }
}

impl std::fmt::Display for VcpuStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, activity, rip, user, interrupts, cr3, callers, registers } = self;
        let mode = if *user { "user" } else { "kernel" };
        let interrupts = if *interrupts { "on" } else { "off" };
        write!(f, "vCPU {id}: {activity}, at {rip:#x}, {mode}, interrupts {interrupts}, CR3 {cr3:#x}")?;
        let callers: Vec<_> = callers.iter().map(|caller| format!("{caller:#x}")).collect();
        if !callers.is_empty() {
            write!(f, "; called from {}", callers.join(", "))?;
        }
        write!(f, "; {registers:x?}")
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
