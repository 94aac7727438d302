//! The main thread, which is the event loop: commands, sockets, resets, and the end, when it removes the sockets' files.
//!
//! It starts the vCPUs anew after a reset, and threads for a child, for a DIMM's memory and for a reset's. What they may is here,
//! too (see `Kind::calls`): a thread never gets rid of the filter of the one that started it.

use std::ffi::c_ulong;

use syscalls::Sysno;

use super::{Calls, When, ioctl, kvm};

/// `PR_SET_NAME` and `PR_SET_NO_NEW_PRIVS` (include/uapi/linux/prctl.h), of a thread that begins.
const PR_SET_NAME: c_ulong = 15;
const PR_SET_NO_NEW_PRIVS: c_ulong = 38;
/// The flags with which the C library makes a thread, and no process (sysdeps/unix/sysv/linux/createthread.c in glibc, nptl):
/// everything is shared.
const THREAD: c_ulong = 0x3d_0f00;

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        Sysno::accept4,
        // Answered with ENOSYS by a filter of its own: its flags are in memory, where none sees them. The C library then uses clone.
        Sysno::clone3,
        Sysno::epoll_ctl,
        Sysno::epoll_wait,
        Sysno::fcntl,
        Sysno::flock,
        Sysno::fstat,
        Sysno::getsockopt,
        Sysno::lstat,
        Sysno::newfstatat,
        Sysno::openat,
        Sysno::read,
        Sysno::readlink,
        Sysno::recvfrom,
        Sysno::rseq,
        Sysno::seccomp,
        Sysno::set_robust_list,
        Sysno::shutdown,
        Sysno::statx,
        Sysno::unlink,
    ],
    some: &[
        (Sysno::clone, When::OneOf { argument: 0, values: &[THREAD] }),
        (Sysno::prctl, When::OneOf { argument: 0, values: &[PR_SET_NAME, PR_SET_NO_NEW_PRIVS] }),
        ioctl(kvm::MACHINE),
        ioctl(kvm::TERMINAL),
        ioctl(&[kvm::FIONBIO]),
    ],
};
