//! A vCPU's thread: the guest, and what its accesses to devices ask for: interrupts, memory that comes and goes, alarms, bytes for the
//! agent's clients.

use syscalls::Sysno;

use super::{Calls, ioctl, kvm};

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        Sysno::fallocate,
        Sysno::lseek,
        Sysno::mbind,
        // What the host says of its huge pages, when there are too few.
        Sysno::pread64,
        Sysno::sendto,
        Sysno::timerfd_settime,
    ],
    some: &[ioctl(&[
        kvm::RUN,
        kvm::IRQ_LINE,
        kvm::SET_USER_MEMORY_REGION,
        kvm::GET_DIRTY_LOG,
        kvm::GET_REGS,
        kvm::SET_MP_STATE,
        kvm::GET_VCPU_EVENTS,
        kvm::SET_VCPU_EVENTS,
    ])],
};
