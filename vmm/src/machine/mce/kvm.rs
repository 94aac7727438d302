//! KVM's side of machine checks: ioctls that kvm-ioctls does not have, and a look at a vCPU.

#![expect(unsafe_code, reason = "ioctls that kvm-ioctls does not have")]

use kvm_bindings::{
    KVM_CAP_X86_USER_SPACE_MSR, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_UNINITIALIZED,
    KVM_MSR_EXIT_REASON_FILTER, KVMIO, Msrs, kvm_enable_cap, kvm_msr_entry, kvm_x86_mce,
};
use kvm_ioctls::{Kvm, MsrFilterDefaultAction, MsrFilterRange, MsrFilterRangeFlags, VcpuFd, VmFd};
use vmm_sys_util::ioctl::{ioctl_with_mut_ref, ioctl_with_ref};
use vmm_sys_util::{errno, ioctl_ior_nr, ioctl_iow_nr};

use super::plan::Cpu;
use super::registers::{BANKS, BYSTANDER_BANK, ERROR_BANK, MCG_CTL_P, MCG_SER_P};
use crate::machine::kvm_error::{KvmError, at, checked};

ioctl_iow_nr!(KVM_X86_SETUP_MCE, KVMIO, 0x9c, u64);
ioctl_ior_nr!(KVM_X86_GET_MCE_CAP_SUPPORTED, KVMIO, 0x9d, u64);
ioctl_iow_nr!(KVM_X86_SET_MCE, KVMIO, 0x9e, kvm_x86_mce);

/// MCG_CAP, MCG_STATUS, MCG_CTL, and the first of a bank's four registers (Intel SDM
/// volume 4, table 2-2).
pub const MCG_CAP: u32 = 0x179;
const MCG_STATUS: u32 = 0x17a;
const MCG_CTL: u32 = 0x17b;
const fn bank(number: u8) -> u32 {
    0x400 + 4 * number as u32
}

/// CR4.MCE.
const CR4_MCE: u64 = 1 << 6;

/// MCG_CAP of vCPUs: what is wanted, less what this KVM does not have. On AMD's processors KVM leaves out what AMD's do not have
/// ([`answer_capabilities`]).
///
/// # Errors
/// When KVM refuses to say.
pub fn capabilities(kvm: &Kvm) -> Result<u64, errno::Error> {
    let mut supported = 0_u64;
    // SAFETY: `kvm` is /dev/kvm, and the ioctl writes one u64.
    let result = unsafe { ioctl_with_mut_ref(kvm, KVM_X86_GET_MCE_CAP_SUPPORTED(), &mut supported) };
    checked(result)?;
    Ok(BANKS | (supported & (MCG_CTL_P | MCG_SER_P)))
}

/// Makes the guest's reads of MCG_CAP exits, which the machine answers. On AMD's processors KVM
/// itself would answer without what AMD's do not have, such as software error recovery (Linux,
/// arch/x86/kvm/svm/svm.c, `svm_setup_mce`), and a guest with Intel's would panic at every error.
///
/// # Errors
/// When KVM refuses.
pub fn answer_capabilities(vm: &VmFd) -> Result<(), errno::Error> {
    let mut to_user_space = kvm_enable_cap { cap: KVM_CAP_X86_USER_SPACE_MSR, ..Default::default() };
    to_user_space.args[0] = KVM_MSR_EXIT_REASON_FILTER.into();
    vm.enable_cap(&to_user_space)?;
    let read = MsrFilterRangeFlags::READ;
    let range = MsrFilterRange { flags: read, base: MCG_CAP, msr_count: 1, bitmap: &[0] };
    vm.set_msr_filter(MsrFilterDefaultAction::ALLOW, &[range])
}

/// Gives a fresh vCPU its machine-check registers.
///
/// # Errors
/// When KVM refuses.
pub fn set_up(vcpu: &VcpuFd, mcg_cap: u64) -> Result<(), errno::Error> {
    // SAFETY: `vcpu` is a vCPU, and the ioctl reads one u64.
    checked(unsafe { ioctl_with_ref(vcpu, KVM_X86_SETUP_MCE(), &mcg_cap) })
}

/// Reports a machine check to a vCPU, which is stopped.
///
/// # Errors
/// When KVM refuses.
pub fn set(vcpu: &VcpuFd, check: &kvm_x86_mce) -> Result<(), errno::Error> {
    // SAFETY: `vcpu` is a vCPU, and the ioctl reads one kvm_x86_mce.
    checked(unsafe { ioctl_with_ref(vcpu, KVM_X86_SET_MCE(), check) })
}

/// Looks at a vCPU, which is stopped.
///
/// # Errors
/// [`KvmError`] names what KVM would not show.
pub fn look(vcpu: &VcpuFd) -> Result<Cpu, KvmError> {
    let state = vcpu.get_mp_state().map_err(at("read a vCPU's state"))?.mp_state;
    let sregs = vcpu.get_sregs().map_err(at("read system registers"))?;
    let events = vcpu.get_vcpu_events().map_err(at("read a vCPU's events"))?;
    let registers = [MCG_STATUS, MCG_CTL, bank(ERROR_BANK), bank(ERROR_BANK) + 1, bank(BYSTANDER_BANK)];
    let [global_status, global_control, error_control, error_status, bystander_control] =
        read(vcpu, registers).map_err(at("read machine-check registers"))?;
    Ok(Cpu {
        started: !matches!(state, KVM_MP_STATE_UNINITIALIZED | KVM_MP_STATE_INIT_RECEIVED),
        // The current privilege level is that of the stack segment (Intel SDM volume 3, section 5.5).
        user: sregs.ss.dpl == 3,
        delivering: [events.interrupt.injected, events.nmi.injected, events.exception.injected] != [0; 3],
        enabled: sregs.cr4 & CR4_MCE != 0,
        global_control,
        global_status,
        error_control,
        error_status,
        bystander_control,
    })
}

fn read<const N: usize>(vcpu: &VcpuFd, registers: [u32; N]) -> Result<[u64; N], errno::Error> {
    let entries = registers.map(|index| kvm_msr_entry { index, ..Default::default() });
    let mut msrs = Msrs::from_entries(&entries).expect("a few entries fit");
    // KVM stops at the first register that a vCPU does not have.
    if vcpu.get_msrs(&mut msrs)? != N {
        return Err(errno::Error::new(libc::ENXIO));
    }
    Ok(std::array::from_fn(|index| msrs.as_slice()[index].data))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As uapi/linux/kvm.h has them.
    #[test]
    fn requests_have_the_numbers_of_linux() {
        assert_eq!(KVM_X86_SETUP_MCE(), 0x4008_ae9c);
        assert_eq!(KVM_X86_GET_MCE_CAP_SUPPORTED(), 0x8008_ae9d);
        assert_eq!(KVM_X86_SET_MCE(), 0x4040_ae9e);
        assert_eq!(bank(9), 0x424);
    }
}
