//! The thread that writes snapshots, and images for forks: files below the directories of `--allow-path`.

use syscalls::Sysno;

use super::{Calls, ioctl, kvm};

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        Sysno::fallocate,
        Sysno::fcntl,
        Sysno::flock,
        Sysno::fstat,
        Sysno::fsync,
        Sysno::ftruncate,
        Sysno::getdents64,
        Sysno::lseek,
        Sysno::lstat,
        Sysno::memfd_create,
        Sysno::mkdir,
        Sysno::newfstatat,
        Sysno::openat,
        Sysno::pread64,
        Sysno::pwrite64,
        Sysno::read,
        Sysno::readlink,
        Sysno::rename,
        Sysno::renameat2,
        Sysno::rmdir,
        Sysno::stat,
        Sysno::statx,
        Sysno::unlink,
        Sysno::unlinkat,
    ],
    some: &[ioctl(&[kvm::GET_DIRTY_LOG])],
};
