//! The socket device's thread: it takes in clients of the host's, and connects to UNIX sockets for the guest.

use std::ffi::c_ulong;

use syscalls::Sysno;

use super::{Calls, When, ioctl, kvm};

/// `AF_UNIX` (include/linux/socket.h).
const AF_UNIX: c_ulong = 1;

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        Sysno::accept4,
        Sysno::connect,
        Sysno::fcntl,
        Sysno::getsockopt,
        Sysno::poll,
        Sysno::ppoll,
        Sysno::read,
        Sysno::recvfrom,
        Sysno::sendto,
        Sysno::shutdown,
        Sysno::writev,
    ],
    some: &[
        ioctl(&[kvm::IRQ_LINE, kvm::FIONBIO]),
        (Sysno::socket, When::OneOf { argument: 0, values: &[AF_UNIX] }),
    ],
};
