//! A thread of persistent memory: a file that is open, and is synchronized.

use syscalls::Sysno;

use super::{Calls, ioctl, kvm};

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[Sysno::fstat, Sysno::fsync, Sysno::poll, Sysno::ppoll, Sysno::read, Sysno::statx],
    some: &[ioctl(&[kvm::IRQ_LINE])],
};
