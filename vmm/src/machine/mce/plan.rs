//! Which vCPU is told what, and whether the guest would live to hear it.

use kvm_bindings::{CpuId, kvm_x86_mce};

use super::registers::{self, BYSTANDER, BYSTANDER_BANK, ERROR_BANK, MCG_MCIP, MCG_SER_P, Status, VAL};
use crate::control::MceSeverity;
use crate::machine::cpu_vendor;
use crate::spec::CpuVendor;

/// What was read from a vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// Whether the guest has started it.
    pub started: bool,
    /// Whether it runs a program: its privilege level is 3.
    pub user: bool,
    /// Whether KVM was stopped between taking an interrupt or exception off its queue and the guest's
    /// first instruction in its handler.
    pub delivering: bool,
    /// CR4.MCE.
    pub enabled: bool,
    /// MCG_CTL.
    pub global_control: u64,
    /// MCG_STATUS.
    pub global_status: u64,
    /// MCi_CTL of the bank for the error.
    pub error_control: u64,
    /// MCi_STATUS of the bank for the error.
    pub error_status: u64,
    /// MCi_CTL of the bank for those that have no error.
    pub bystander_control: u64,
}

/// Why the error is not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Another vendor's processors have another format.
    #[error(
        "machine checks need a guest with Intel's or AMD's processors; start the machine with --cpu-vendor intel"
    )]
    Vendor,
    /// No memory there.
    #[error("address: no memory is plugged at {address:#x}")]
    NoMemory {
        /// What was asked for.
        address: u64,
    },
    /// The guest's processors cannot say what it is to do.
    #[error(
        "this host's KVM has no software error recovery (Intel's MCG_SER_P, AMD's leaf 0x80000007 of CPUID): any \
         uncorrected error ends the guest"
    )]
    NoRecovery,
    /// `KVM_X86_SET_MCE` makes an exception a triple fault. A deferred error would never be looked for.
    #[error("cpu {cpu}: the guest has not enabled machine checks (CR4.MCE): one would end it, or be lost")]
    NotEnabled {
        /// Which.
        cpu: usize,
    },
    /// The guest is in its handler; also a triple fault.
    #[error("cpu {cpu}: the guest still handles a machine check (MCG_STATUS.MCIP): another would end it")]
    InProgress {
        /// Which.
        cpu: usize,
    },
    /// KVM gives the guest one event at a time, and forgets an interrupt that it has begun to deliver
    /// when a machine check comes first (Linux, arch/x86/kvm/x86.c, `kvm_check_and_inject_events`, and
    /// svm/svm.c, `svm_complete_interrupts`). It stays in service for ever, and everything below it waits.
    #[error(
        "cpu {cpu}: an interrupt is about to arrive, and a machine check now would make KVM forget it; ask again \
         while the machine runs"
    )]
    Delivering {
        /// Which.
        cpu: usize,
    },
    /// `KVM_X86_SET_MCE` drops it.
    #[error("cpu {cpu}: the guest has switched the report off ({register}_CTL is {value:#x})")]
    SwitchedOff {
        /// Which.
        cpu: usize,
        /// `MCG` or a bank.
        register: &'static str,
        /// What it holds.
        value: u64,
    },
    /// One error on top of another is beyond recovery.
    #[error("cpu {cpu}: the guest has not read the error before this one (MC9_STATUS is {status:#x})")]
    NotRead {
        /// Which.
        cpu: usize,
        /// What it holds.
        status: u64,
    },
    /// An error that the kernel itself meets ends it.
    #[error(
        "severity: no vCPU runs a program right now, and an ar error in the kernel ends the guest; ask again"
    )]
    Kernel,
}

/// The reports by vCPU.
pub type Reports = Vec<(usize, kvm_x86_mce)>;

/// Whose format the guest's processors have: `cpuid` is theirs, and `mcg_cap` their MCG_CAP.
///
/// # Errors
/// [`Problem`] when the guest would take any uncorrected error as the end.
pub fn format(cpuid: &CpuId, mcg_cap: u64) -> Result<CpuVendor, Problem> {
    let vendor = cpu_vendor::of(cpuid).ok_or(Problem::Vendor)?;
    let recovers = match vendor {
        CpuVendor::Intel => mcg_cap & MCG_SER_P != 0,
        CpuVendor::Amd => cpu_vendor::recovers(cpuid),
    };
    if recovers { Ok(vendor) } else { Err(Problem::NoRecovery) }
}

/// What to report to which of `cpus`, of which the first is the boot processor.
///
/// # Errors
/// [`Problem`] when the guest would not come to know of the error, or not survive it.
pub fn plan(
    vendor: CpuVendor,
    cpus: &[Cpu],
    address: u64,
    severity: MceSeverity,
) -> Result<Reports, Problem> {
    let victim = victim(cpus, severity)?;
    check_victim(victim, &cpus[victim])?;
    let status = registers::of(vendor, severity);
    let mut reports = vec![(victim, report(ERROR_BANK, status, address))];
    if !status.is_exception() {
        if severity == MceSeverity::Ao {
            check_switches(victim, &cpus[victim], ("MC9", cpus[victim].error_control))?;
        }
        return Ok(reports);
    }
    let is_broadcast = vendor == CpuVendor::Intel;
    for (index, cpu) in cpus.iter().enumerate().filter(|(_, cpu)| cpu.started) {
        if index == victim {
            check_exception(index, cpu, ("MC9", cpu.error_control))?;
        } else if is_broadcast {
            check_exception(index, cpu, ("MC1", cpu.bystander_control))?;
            reports.push((index, report(BYSTANDER_BANK, BYSTANDER, 0)));
        }
    }
    Ok(reports)
}

/// The processor that meets the error.
fn victim(cpus: &[Cpu], severity: MceSeverity) -> Result<usize, Problem> {
    match severity {
        MceSeverity::Ao | MceSeverity::Ucna => Ok(0),
        MceSeverity::Ar => cpus.iter().position(|cpu| cpu.started && cpu.user).ok_or(Problem::Kernel),
    }
}

fn check_victim(index: usize, cpu: &Cpu) -> Result<(), Problem> {
    if cpu.global_status & MCG_MCIP != 0 {
        return Err(Problem::InProgress { cpu: index });
    }
    if cpu.error_status & VAL != 0 {
        return Err(Problem::NotRead { cpu: index, status: cpu.error_status });
    }
    Ok(())
}

/// Whether an exception arrives (Linux, arch/x86/kvm/x86.c, `kvm_vcpu_ioctl_x86_set_mce`).
fn check_exception(index: usize, cpu: &Cpu, bank: (&'static str, u64)) -> Result<(), Problem> {
    check_switches(index, cpu, bank)?;
    if cpu.global_status & MCG_MCIP != 0 {
        return Err(Problem::InProgress { cpu: index });
    }
    if cpu.delivering {
        return Err(Problem::Delivering { cpu: index });
    }
    Ok(())
}

/// Whether the guest wants to know of errors.
fn check_switches(index: usize, cpu: &Cpu, bank: (&'static str, u64)) -> Result<(), Problem> {
    for (register, value) in [("MCG", cpu.global_control), bank] {
        if value != u64::MAX {
            return Err(Problem::SwitchedOff { cpu: index, register, value });
        }
    }
    if cpu.enabled { Ok(()) } else { Err(Problem::NotEnabled { cpu: index }) }
}

fn report(bank: u8, status: Status, address: u64) -> kvm_x86_mce {
    let Status { bank: status, misc, global: mcg_status } = status;
    kvm_x86_mce { status, addr: address, misc, mcg_status, bank, ..Default::default() }
}

#[cfg(test)]
mod tests;
