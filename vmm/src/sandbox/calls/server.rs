//! A server's thread, of the REST API or of QMP: clients of a socket that it listens on.

use syscalls::Sysno;

use super::{Calls, ioctl, kvm};

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        Sysno::accept4,
        Sysno::epoll_ctl,
        Sysno::epoll_wait,
        Sysno::fcntl,
        Sysno::getsockopt,
        // What the host's kernel says of this process, for metrics.
        Sysno::pread64,
        Sysno::read,
        Sysno::recvfrom,
        Sysno::sendto,
        Sysno::shutdown,
        Sysno::writev,
    ],
    some: &[ioctl(&[kvm::FIONBIO])],
};
