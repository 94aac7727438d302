//! One vCPU's state: out of KVM, and into it again.
//!
//! The order in which it goes in matters (Linux, arch/x86/kvm/x86.c): CPUID decides which registers there are; system
//! registers place the local APIC; the time-stamp counter and the local APIC come before the deadline, which is among the
//! model-specific registers; what is on its way to the vCPU, and whether it runs, come last.

use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, VcpuFd, VmFd};

use super::StateProblem;
use super::{clock, msrs};
use crate::machine::kvm_error::{KvmError, at};
use crate::snapshot::state::{CpuidLeaf, VcpuState};

/// The state of a vCPU that is stopped between two instructions. Its time-stamp counter is left at 0.
pub fn save(vm: &VmFd, vcpu: &VcpuFd, cpuid: &CpuId, numbers: &[u32]) -> Result<VcpuState, KvmError> {
    let has_xcrs = vm.check_extension(Cap::Xcrs);
    Ok(VcpuState {
        cpuid: leaves(cpuid),
        // First: it makes KVM settle what waits for the local APIC.
        mp_state: vcpu.get_mp_state().map_err(at("read a vCPU's state"))?,
        regs: vcpu.get_regs().map_err(at("read registers"))?,
        sregs: vcpu.get_sregs().map_err(at("read system registers"))?,
        xsave: Box::new(vcpu.get_xsave().map_err(at("read the XSAVE area"))?),
        xcrs: has_xcrs.then(|| vcpu.get_xcrs().map(Box::new).map_err(at("read XCR0"))).transpose()?,
        lapic: vcpu.get_lapic().map_err(at("read the local APIC"))?,
        msrs: msrs::read(vcpu, numbers)?,
        events: vcpu.get_vcpu_events().map_err(at("read a vCPU's events"))?,
        debug: vcpu.get_debug_regs().map_err(at("read debug registers"))?,
        tsc: 0,
    })
}

/// Gives `state` to a fresh vCPU, which has its CPUID already; `tsc_offset` puts its counter ahead of the host's.
pub fn restore(vm: &VmFd, vcpu: &VcpuFd, state: &VcpuState, tsc_offset: u64) -> Result<(), StateProblem> {
    vcpu.set_sregs(&state.sregs).map_err(at("set system registers"))?;
    restore_vectors(vm, vcpu, state)?;
    vcpu.set_regs(&state.regs).map_err(at("set registers"))?;
    vcpu.set_debug_regs(&state.debug).map_err(at("set debug registers"))?;
    vcpu.set_lapic(&state.lapic).map_err(at("set the local APIC"))?;
    clock::set_tsc_offset(vcpu, tsc_offset)?;
    msrs::write(vcpu, &state.msrs)?;
    vcpu.set_vcpu_events(&state.events).map_err(at("set a vCPU's events"))?;
    vcpu.set_mp_state(state.mp_state).map_err(at("set a vCPU's state"))?;
    // Tells the guest that it was stopped, so that its watchdogs do not take that for a lockup. Not every guest has asked.
    let _ = vcpu.kvmclock_ctrl();
    Ok(())
}

/// CPUID as it is saved.
pub fn leaves(cpuid: &CpuId) -> Vec<CpuidLeaf> {
    let leaf = |entry: &kvm_cpuid_entry2| {
        let kvm_cpuid_entry2 { function, index, flags, eax, ebx, ecx, edx, .. } = *entry;
        CpuidLeaf { function, index, flags, registers: [eax, ebx, ecx, edx] }
    };
    cpuid.as_slice().iter().map(leaf).collect()
}

#[expect(unsafe_code, reason = "kvm-ioctls does not know how long the area is")]
fn restore_vectors(vm: &VmFd, vcpu: &VcpuFd, state: &VcpuState) -> Result<(), StateProblem> {
    let other = |what: &str| StateProblem::Differs(format!("this host's processor {what}"));
    match (&state.xcrs, vm.check_extension(Cap::Xcrs)) {
        (Some(xcrs), true) => vcpu.set_xcrs(xcrs).map_err(at("set XCR0"))?,
        (None, false) => {}
        (None, true) => return Err(other("has XSAVE, and the one of the snapshot had not")),
        (Some(_), false) => return Err(other("has no XSAVE, and the one of the snapshot had")),
    }
    // SAFETY: KVM reads 4 KiB, which is what the structure has, unless the process asked for more of the processor (Linux,
    // arch/x86/kvm/x86.c, `kvm_vcpu_ioctl_x86_set_xsave`), as this one does nowhere.
    unsafe { vcpu.set_xsave(&state.xsave) }.map_err(at("set the XSAVE area"))?;
    Ok(())
}
