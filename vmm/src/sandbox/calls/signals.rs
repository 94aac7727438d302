//! The thread that waits for signals while a machine starts: if one comes, it removes the sockets' files and ends the process.

use syscalls::Sysno;

use super::Calls;

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        Sysno::flock,
        Sysno::fstat,
        Sysno::lstat,
        Sysno::newfstatat,
        Sysno::openat,
        Sysno::poll,
        Sysno::ppoll,
        Sysno::read,
        Sysno::statx,
        Sysno::unlink,
    ],
    some: &[],
};
