//! A disk's thread: a file that is open, and the files that its image names.

use syscalls::Sysno;

use super::{Calls, ioctl, kvm};

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        Sysno::fallocate,
        Sysno::fcntl,
        Sysno::fdatasync,
        Sysno::fstat,
        Sysno::fstatfs,
        Sysno::fsync,
        Sysno::ftruncate,
        Sysno::lseek,
        Sysno::pread64,
        Sysno::preadv,
        Sysno::pwrite64,
        Sysno::pwritev,
        Sysno::statx,
    ],
    some: &[ioctl(&[kvm::IRQ_LINE])],
};
