//! A thread that populates a DIMM's memory, or empties the guest's for a reset.

use syscalls::Sysno;

use super::{Calls, ioctl, kvm};

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[Sysno::fallocate, Sysno::lseek, Sysno::mbind, Sysno::pread64],
    some: &[ioctl(&[kvm::SET_USER_MEMORY_REGION, kvm::GET_DIRTY_LOG])],
};
