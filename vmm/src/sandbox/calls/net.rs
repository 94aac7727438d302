//! A network device's thread: a TAP device or a socket that is open.

use syscalls::Sysno;

use super::{Calls, ioctl, kvm};

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[Sysno::poll, Sysno::ppoll, Sysno::read, Sysno::recvfrom, Sysno::sendto],
    some: &[ioctl(&[kvm::IRQ_LINE])],
};
