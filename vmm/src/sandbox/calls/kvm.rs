//! Requests of `ioctl(2)` by their numbers: KVM's (include/uapi/linux/kvm.h), and of files and terminals.

use std::ffi::{c_uint, c_ulong};
use std::mem::size_of;

use kvm_bindings::{
    KVMIO, kvm_clock_data, kvm_cpuid2, kvm_debugregs, kvm_device_attr, kvm_dirty_log, kvm_enable_cap,
    kvm_irq_level, kvm_irq_routing, kvm_irqchip, kvm_lapic_state, kvm_mp_state, kvm_msr_filter, kvm_msrs,
    kvm_pit_config, kvm_regs, kvm_sregs, kvm_translation, kvm_userspace_memory_region, kvm_vcpu_events,
    kvm_x86_mce, kvm_xcrs, kvm_xsave,
};
use vmm_sys_util::ioctl::{_IOC_NONE, _IOC_READ, _IOC_WRITE, ioctl_expr};

/// A request without an argument in memory.
const fn plain(number: c_uint) -> c_ulong {
    ioctl_expr(_IOC_NONE, KVMIO, number, 0)
}

/// A request that the kernel takes a `T` for.
const fn takes<T>(number: c_uint) -> c_ulong {
    ioctl_expr(_IOC_WRITE, KVMIO, number, size::<T>())
}

/// A request that the kernel gives a `T` for.
const fn gives<T>(number: c_uint) -> c_ulong {
    ioctl_expr(_IOC_READ, KVMIO, number, size::<T>())
}

/// A request that the kernel takes a `T` for, and changes it.
const fn changes<T>(number: c_uint) -> c_ulong {
    ioctl_expr(_IOC_READ | _IOC_WRITE, KVMIO, number, size::<T>())
}

const fn size<T>() -> c_uint {
    assert!(size_of::<T>() < 1 << 14, "as many bits as a request has for it");
    let [low, high, ..] = size_of::<T>().to_le_bytes();
    c_uint::from_le_bytes([low, high, 0, 0])
}

/// Runs a vCPU.
pub const RUN: c_ulong = plain(0x80);
/// An interrupt line is high or low.
pub const IRQ_LINE: c_ulong = takes::<kvm_irq_level>(0x61);
/// A memory slot comes, changes or goes.
pub const SET_USER_MEMORY_REGION: c_ulong = takes::<kvm_userspace_memory_region>(0x46);
/// What was written in a memory slot.
pub const GET_DIRTY_LOG: c_ulong = takes::<kvm_dirty_log>(0x42);
/// A vCPU's registers.
pub const GET_REGS: c_ulong = gives::<kvm_regs>(0x81);
/// Whether a vCPU runs, or waits for what.
pub const SET_MP_STATE: c_ulong = takes::<kvm_mp_state>(0x99);
/// What is on its way to a vCPU.
pub const GET_VCPU_EVENTS: c_ulong = gives::<kvm_vcpu_events>(0x9f);
/// The other way round.
pub const SET_VCPU_EVENTS: c_ulong = takes::<kvm_vcpu_events>(0xa0);

/// What a VM and its vCPUs are made with after a reset, what a machine's state is read by, and what people ask of vCPUs.
pub const MACHINE: &[c_ulong] = &[
    plain(0x01),                      // KVM_CREATE_VM
    plain(0x03),                      // KVM_CHECK_EXTENSION
    plain(0x04),                      // KVM_GET_VCPU_MMAP_SIZE
    plain(0x41),                      // KVM_CREATE_VCPU
    plain(0x47),                      // KVM_SET_TSS_ADDR
    takes::<u64>(0x48),               // KVM_SET_IDENTITY_MAP_ADDR
    plain(0x60),                      // KVM_CREATE_IRQCHIP
    takes::<kvm_pit_config>(0x77),    // KVM_CREATE_PIT2
    takes::<kvm_irq_routing>(0x6a),   // KVM_SET_GSI_ROUTING
    takes::<kvm_enable_cap>(0xa3),    // KVM_ENABLE_CAP
    takes::<kvm_msr_filter>(0xc6),    // KVM_SET_MSR_FILTER
    changes::<kvm_irqchip>(0x62),     // KVM_GET_IRQCHIP
    gives::<kvm_clock_data>(0x7c),    // KVM_GET_CLOCK
    takes::<kvm_cpuid2>(0x90),        // KVM_SET_CPUID2
    takes::<kvm_msrs>(0x89),          // KVM_SET_MSRS
    changes::<kvm_msrs>(0x88),        // KVM_GET_MSRS
    takes::<u64>(0x9c),               // KVM_X86_SETUP_MCE
    takes::<kvm_x86_mce>(0x9e),       // KVM_X86_SET_MCE
    takes::<kvm_regs>(0x82),          // KVM_SET_REGS
    gives::<kvm_sregs>(0x83),         // KVM_GET_SREGS
    changes::<kvm_translation>(0x85), // KVM_TRANSLATE
    takes::<kvm_sregs>(0x84),         // KVM_SET_SREGS
    gives::<kvm_lapic_state>(0x8e),   // KVM_GET_LAPIC
    takes::<kvm_lapic_state>(0x8f),   // KVM_SET_LAPIC
    gives::<kvm_mp_state>(0x98),      // KVM_GET_MP_STATE
    gives::<kvm_debugregs>(0xa1),     // KVM_GET_DEBUGREGS
    gives::<kvm_xsave>(0xa4),         // KVM_GET_XSAVE
    gives::<kvm_xcrs>(0xa6),          // KVM_GET_XCRS
    plain(0xa3),                      // KVM_GET_TSC_KHZ
    plain(0xad),                      // KVM_KVMCLOCK_CTRL
    plain(0x9a),                      // KVM_NMI
    takes::<kvm_device_attr>(0xe2),   // KVM_GET_DEVICE_ATTR
];

/// Whether a descriptor blocks (include/uapi/asm-generic/ioctls.h).
pub const FIONBIO: c_ulong = 0x5421;
/// A terminal's mode: read, and put back when the machine ends.
pub const TERMINAL: &[c_ulong] = &[
    0x5401,      // TCGETS
    0x5402,      // TCSETS
    0x5413,      // TIOCGWINSZ
    0x802c_542a, // TCGETS2
    0x402c_542b, // TCSETS2
];

#[cfg(test)]
mod tests {
    use super::*;

    /// As the headers of Linux have them.
    #[test]
    fn requests_have_the_numbers_of_linux() {
        assert_eq!(RUN, 0xae80);
        assert_eq!(IRQ_LINE, 0x4008_ae61);
        assert_eq!(SET_USER_MEMORY_REGION, 0x4020_ae46);
        assert_eq!(GET_DIRTY_LOG, 0x4010_ae42);
        assert_eq!(GET_REGS, 0x8090_ae81);
        assert_eq!((GET_VCPU_EVENTS, SET_VCPU_EVENTS), (0x8040_ae9f, 0x4040_aea0));
        assert!(MACHINE.contains(&0xc008_ae88), "KVM_GET_MSRS");
        assert!(MACHINE.contains(&0x9000_aea4), "KVM_GET_XSAVE");
        assert!(MACHINE.contains(&0xc208_ae62), "KVM_GET_IRQCHIP");
        assert!(MACHINE.contains(&0x4018_aee2), "KVM_GET_DEVICE_ATTR");
    }
}
