//! What is reported to whom, for both vendors.

use kvm_bindings::kvm_cpuid_entry2;

use super::*;
use CpuVendor::{Amd, Intel};
use MceSeverity::{Ao, Ar, Ucna};

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

/// The CPUID of a vendor's processors: leaf 0, and AMD's leaf 0x8000_0007 with this EBX.
fn cpuid(vendor: CpuVendor, recovery: u32) -> CpuId {
    let [ebx, edx, ecx] = match vendor {
        Intel => [0x756e_6547, 0x4965_6e69, 0x6c65_746e],
        Amd => [0x6874_7541, 0x6974_6e65, 0x444d_4163],
    };
    let name = kvm_cpuid_entry2 { ebx, edx, ecx, ..Default::default() };
    let power = kvm_cpuid_entry2 { function: 0x8000_0007, ebx: recovery, ..Default::default() };
    CpuId::from_entries(&[name, power]).unwrap()
}

#[test]
fn each_vendors_processors_say_in_their_own_way_that_they_recover() {
    assert_eq!(format(&cpuid(Intel, 0), MCG_SER_P), Ok(Intel));
    assert_eq!(format(&cpuid(Intel, 3), 0), Err(Problem::NoRecovery));
    assert_eq!(format(&cpuid(Amd, 3), 0), Ok(Amd));
    for recovery in 0..3 {
        assert_eq!(format(&cpuid(Amd, recovery), MCG_SER_P), Err(Problem::NoRecovery));
    }
    let other = kvm_cpuid_entry2 { ebx: 1, ..Default::default() };
    assert_eq!(format(&CpuId::from_entries(&[other]).unwrap(), MCG_SER_P), Err(Problem::Vendor));
}

#[test]
fn intels_error_is_reported_to_one_and_made_known_to_the_others() {
    let cpus = [KERNEL, NOT_STARTED, KERNEL];
    let reports = plan(Intel, &cpus, 0x1000, Ao).unwrap();
    assert_eq!(seen(&reports), [(0, 9, 0xbd00_0000_0000_00c0, 0x1000), (2, 1, 0xa100_0000_0000_0000, 0)]);
    assert_eq!((reports[0].1.misc, reports[0].1.mcg_status), (0x8c, 5));
    assert_eq!((reports[1].1.misc, reports[1].1.mcg_status), (0, 5));
}

#[test]
fn an_error_that_needs_action_goes_to_a_processor_that_runs_a_program() {
    let reports = plan(Intel, &[KERNEL, USER, KERNEL], 0x2000, Ar).unwrap();
    let other = 0xa100_0000_0000_0000;
    assert_eq!(seen(&reports), [(1, 9, 0xbd80_0000_0000_0134, 0x2000), (0, 1, other, 0), (2, 1, other, 0)]);
    let reports = plan(Amd, &[KERNEL, USER, KERNEL], 0x2000, Ar).unwrap();
    assert_eq!(seen(&reports), [(1, 9, 0xb400_0800_0000_0134, 0x2000)]);
    assert_eq!((reports[0].1.misc, reports[0].1.mcg_status), (0, 7));
    for vendor in [Intel, Amd] {
        assert_eq!(plan(vendor, &[KERNEL, NOT_STARTED], 0, Ar), Err(Problem::Kernel));
    }
}

#[test]
fn an_error_without_action_is_only_left_in_a_bank() {
    let off = Cpu { enabled: false, global_control: 0, error_control: 0, ..KERNEL };
    for (vendor, status) in [(Intel, 0xbc00_0000_0000_009f), (Amd, 0x9400_1800_0000_0a13)] {
        let reports = plan(vendor, &[off, KERNEL], 0x3000, Ucna).unwrap();
        assert_eq!(seen(&reports), [(0, 9, status, 0x3000)]);
        assert_eq!(reports[0].1.mcg_status, 0);
    }
}

/// There is no exception, so it matters to nobody but the one whose bank it is, and it waits for no interrupt.
#[test]
fn amds_error_that_nobody_met_is_left_in_a_bank_where_it_is_looked_for() {
    let cpus = [Cpu { delivering: true, ..KERNEL }, NOT_STARTED, Cpu { enabled: false, ..USER }];
    let reports = plan(Amd, &cpus, 0x1000, Ao).unwrap();
    assert_eq!(seen(&reports), [(0, 9, 0x9400_1900_0000_0a13, 0x1000)]);
    assert_eq!((reports[0].1.misc, reports[0].1.mcg_status), (0, 0));
    let mut off = KERNEL;
    off.error_control = 0;
    assert_eq!(plan(Amd, &[off], 0, Ao), Err(Problem::SwitchedOff { cpu: 0, register: "MC9", value: 0 }));
}

#[test]
fn what_the_guest_would_not_survive_is_refused() {
    let disabled = Cpu { enabled: false, ..KERNEL };
    let busy = Cpu { global_status: MCG_MCIP, ..KERNEL };
    let full = Cpu { error_status: VAL | 7, ..KERNEL };
    let delivering = Cpu { delivering: true, ..KERNEL };
    for vendor in [Intel, Amd] {
        for severity in [Ao, Ucna] {
            assert_eq!(plan(vendor, &[busy], 0, severity), Err(Problem::InProgress { cpu: 0 }));
            let not_read = Problem::NotRead { cpu: 0, status: VAL | 7 };
            assert_eq!(plan(vendor, &[full], 0, severity), Err(not_read));
        }
        assert_eq!(plan(vendor, &[disabled], 0, Ao), Err(Problem::NotEnabled { cpu: 0 }));
        let user = Cpu { user: true, ..disabled };
        assert_eq!(plan(vendor, &[KERNEL, user], 0, Ar), Err(Problem::NotEnabled { cpu: 1 }));
        let user = Cpu { user: true, ..delivering };
        assert_eq!(plan(vendor, &[KERNEL, user], 0, Ar), Err(Problem::Delivering { cpu: 1 }));
        assert!(plan(vendor, &[delivering], 0, Ucna).is_ok(), "no exception, nothing to forget");
        // The others' banks for errors do not matter.
        assert!(plan(vendor, &[KERNEL, full], 0, Ao).is_ok());
    }
}

#[test]
fn all_of_intels_processors_must_take_part_and_amds_are_left_alone() {
    let disabled = Cpu { enabled: false, ..KERNEL };
    let busy = Cpu { global_status: MCG_MCIP, ..KERNEL };
    let delivering = Cpu { delivering: true, ..KERNEL };
    let refused = [
        (disabled, Problem::NotEnabled { cpu: 1 }),
        (busy, Problem::InProgress { cpu: 1 }),
        (delivering, Problem::Delivering { cpu: 1 }),
    ];
    for (other, problem) in refused {
        assert_eq!(plan(Intel, &[KERNEL, other], 0, Ao), Err(problem));
        assert_eq!(plan(Intel, &[USER, other], 0, Ar), Err(problem));
        assert_eq!(plan(Amd, &[USER, other], 0, Ar).unwrap().len(), 1);
    }
}

#[test]
fn what_kvm_would_drop_is_refused() {
    let off = |cpu, register, value| Err(Problem::SwitchedOff { cpu, register, value });
    for vendor in [Intel, Amd] {
        let no_report = Cpu { global_control: 0, ..USER };
        let no_bank = Cpu { error_control: u64::MAX - 1, ..USER };
        for severity in [Ao, Ar] {
            assert_eq!(plan(vendor, &[no_report], 0, severity), off(0, "MCG", 0));
            assert_eq!(plan(vendor, &[no_bank], 0, severity), off(0, "MC9", u64::MAX - 1));
        }
    }
    let no_bystander = Cpu { bystander_control: 0, ..KERNEL };
    assert_eq!(plan(Intel, &[KERNEL, no_bystander], 0, Ao), off(1, "MC1", 0));
    let no_bank = Cpu { error_control: 0, ..KERNEL };
    assert!(plan(Intel, &[no_bystander, no_bank], 0, Ao).is_ok());
}
