//! Which vCPU is told what, and whether the guest would live to hear it.

use kvm_bindings::kvm_x86_mce;

use super::registers::{
    self, BYSTANDER, BYSTANDER_BANK, ERROR_BANK, MCG_MCIP, MCG_SER_P, MISC_PHYSICAL_PAGE, Status, VAL,
};
use crate::control::MceSeverity;

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
    /// IA32_MCG_CTL.
    pub global_control: u64,
    /// IA32_MCG_STATUS.
    pub global_status: u64,
    /// IA32_MCi_CTL of the bank for the error.
    pub error_control: u64,
    /// IA32_MCi_STATUS of the bank for the error.
    pub error_status: u64,
    /// IA32_MCi_CTL of the bank for those that have no error.
    pub bystander_control: u64,
}

/// Why the error is not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Another vendor's processors have another format.
    #[error(
        "machine checks need a guest with Intel's processors: an AMD guest takes any uncorrected error as \
         the end, unless its processors have what KVM's lack; start the machine with --cpu-vendor intel"
    )]
    Vendor,
    /// No memory there.
    #[error("address: no memory is plugged at {address:#x}")]
    NoMemory {
        /// What was asked for.
        address: u64,
    },
    /// KVM's processors cannot say what the guest is to do.
    #[error(
        "this host's KVM has no software error recovery (MCG_SER_P): any uncorrected error ends the guest"
    )]
    NoRecovery,
    /// `KVM_X86_SET_MCE` makes it a triple fault.
    #[error("cpu {cpu}: the guest has not enabled machine checks (CR4.MCE): one would end it")]
    NotEnabled {
        /// Which.
        cpu: usize,
    },
    /// The guest is in its handler; also a triple fault.
    #[error(
        "cpu {cpu}: the guest still handles a machine check (IA32_MCG_STATUS.MCIP): another would end it"
    )]
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
    #[error("cpu {cpu}: the guest has switched the report off (IA32_{register}_CTL is {value:#x})")]
    SwitchedOff {
        /// Which.
        cpu: usize,
        /// `MCG` or a bank.
        register: &'static str,
        /// What it holds.
        value: u64,
    },
    /// One error on top of another is beyond recovery.
    #[error("cpu {cpu}: the guest has not read the error before this one (IA32_MC9_STATUS is {status:#x})")]
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

/// What to report to which of `cpus`, of which the first is the boot processor.
///
/// # Errors
/// [`Problem`] when the guest would not come to know of the error, or not survive it.
pub fn plan(mcg_cap: u64, cpus: &[Cpu], address: u64, severity: MceSeverity) -> Result<Reports, Problem> {
    if mcg_cap & MCG_SER_P == 0 {
        return Err(Problem::NoRecovery);
    }
    let victim = victim(cpus, severity)?;
    check_victim(victim, &cpus[victim])?;
    let mut reports = vec![(victim, report(ERROR_BANK, registers::of(severity), address))];
    if severity == MceSeverity::Ucna {
        return Ok(reports);
    }
    for (index, cpu) in cpus.iter().enumerate().filter(|(_, cpu)| cpu.started) {
        let bank = if index == victim { ("MC9", cpu.error_control) } else { ("MC1", cpu.bystander_control) };
        check_exception(index, cpu, bank)?;
        if index != victim {
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
    for (register, value) in [("MCG", cpu.global_control), bank] {
        if value != u64::MAX {
            return Err(Problem::SwitchedOff { cpu: index, register, value });
        }
    }
    if !cpu.enabled {
        return Err(Problem::NotEnabled { cpu: index });
    }
    if cpu.global_status & MCG_MCIP != 0 {
        return Err(Problem::InProgress { cpu: index });
    }
    if cpu.delivering {
        return Err(Problem::Delivering { cpu: index });
    }
    Ok(())
}

fn report(bank: u8, status: Status, address: u64) -> kvm_x86_mce {
    let misc = if status == BYSTANDER { 0 } else { MISC_PHYSICAL_PAGE };
    let Status { bank: status, global: mcg_status } = status;
    kvm_x86_mce { status, addr: address, misc, mcg_status, bank, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MceSeverity::{Ao, Ar, Ucna};

    const CAP: u64 = MCG_SER_P | registers::MCG_CTL_P | registers::BANKS;

    /// A processor that Linux has set up and that is in the kernel.
    const KERNEL: Cpu = Cpu {
        started: true,
        user: false,
        delivering: false,
        enabled: true,
        global_control: u64::MAX,
        global_status: 0,
        error_control: u64::MAX,
        error_status: 0,
        bystander_control: u64::MAX,
    };
    const USER: Cpu = Cpu { user: true, ..KERNEL };
    const NOT_STARTED: Cpu = Cpu { started: false, enabled: false, ..KERNEL };

    fn seen(reports: &Reports) -> Vec<(usize, u8, u64, u64)> {
        reports.iter().map(|(cpu, mce)| (*cpu, mce.bank, mce.status, mce.addr)).collect()
    }

    #[test]
    fn an_error_is_reported_to_one_and_made_known_to_the_others() {
        let cpus = [KERNEL, NOT_STARTED, KERNEL];
        let reports = plan(CAP, &cpus, 0x1000, Ao).unwrap();
        assert_eq!(seen(&reports), [(0, 9, 0xbd00_0000_0000_00c0, 0x1000), (2, 1, 0xa100_0000_0000_0000, 0)]);
        assert_eq!((reports[0].1.misc, reports[0].1.mcg_status), (0x8c, 5));
        assert_eq!((reports[1].1.misc, reports[1].1.mcg_status), (0, 5));
    }

    #[test]
    fn an_error_that_needs_action_goes_to_a_processor_that_runs_a_program() {
        let reports = plan(CAP, &[KERNEL, USER, KERNEL], 0x2000, Ar).unwrap();
        let other = 0xa100_0000_0000_0000;
        assert_eq!(
            seen(&reports),
            [(1, 9, 0xbd80_0000_0000_0134, 0x2000), (0, 1, other, 0), (2, 1, other, 0)]
        );
        assert_eq!(plan(CAP, &[KERNEL, NOT_STARTED], 0, Ar), Err(Problem::Kernel));
    }

    #[test]
    fn an_error_without_action_is_only_left_in_a_bank() {
        let off = Cpu { enabled: false, global_control: 0, error_control: 0, ..KERNEL };
        let reports = plan(CAP, &[off, KERNEL], 0x3000, Ucna).unwrap();
        assert_eq!(seen(&reports), [(0, 9, 0xbc00_0000_0000_009f, 0x3000)]);
        assert_eq!(reports[0].1.mcg_status, 0);
    }

    #[test]
    fn what_the_guest_would_not_survive_is_refused() {
        let disabled = Cpu { enabled: false, ..KERNEL };
        let busy = Cpu { global_status: MCG_MCIP, ..KERNEL };
        let full = Cpu { error_status: VAL | 7, ..KERNEL };
        for severity in [Ao, Ucna] {
            assert_eq!(plan(CAP, &[busy], 0, severity), Err(Problem::InProgress { cpu: 0 }));
            let not_read = Problem::NotRead { cpu: 0, status: VAL | 7 };
            assert_eq!(plan(CAP, &[full], 0, severity), Err(not_read));
            assert_eq!(plan(CAP & !MCG_SER_P, &[KERNEL], 0, severity), Err(Problem::NoRecovery));
        }
        assert_eq!(plan(CAP, &[disabled], 0, Ao), Err(Problem::NotEnabled { cpu: 0 }));
        assert_eq!(plan(CAP, &[KERNEL, disabled], 0, Ao), Err(Problem::NotEnabled { cpu: 1 }));
        assert_eq!(plan(CAP, &[KERNEL, busy], 0, Ao), Err(Problem::InProgress { cpu: 1 }));
        let delivering = Cpu { delivering: true, ..KERNEL };
        assert_eq!(plan(CAP, &[KERNEL, delivering], 0, Ao), Err(Problem::Delivering { cpu: 1 }));
        assert!(plan(CAP, &[delivering], 0, Ucna).is_ok(), "no exception, nothing to forget");
        // The others' banks for errors do not matter.
        assert!(plan(CAP, &[KERNEL, full], 0, Ao).is_ok());
    }

    #[test]
    fn what_kvm_would_drop_is_refused() {
        let off = |cpu, register, value| Err(Problem::SwitchedOff { cpu, register, value });
        let no_report = Cpu { global_control: 0, ..KERNEL };
        assert_eq!(plan(CAP, &[no_report], 0, Ao), off(0, "MCG", 0));
        let no_bank = Cpu { error_control: u64::MAX - 1, ..KERNEL };
        assert_eq!(plan(CAP, &[no_bank], 0, Ao), off(0, "MC9", u64::MAX - 1));
        let no_bystander = Cpu { bystander_control: 0, ..KERNEL };
        assert_eq!(plan(CAP, &[KERNEL, no_bystander], 0, Ao), off(1, "MC1", 0));
        assert!(plan(CAP, &[no_bystander, no_bank], 0, Ao).is_ok());
    }
}
