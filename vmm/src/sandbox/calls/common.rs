//! What every thread may do: memory for itself, locks, clocks, its end, and a word on standard error.

use std::ffi::c_ulong;

use syscalls::Sysno;

use super::{Calls, When};

/// `PROT_EXEC` (include/uapi/asm-generic/mman-common.h).
const PROT_EXEC: c_ulong = 4;
/// `F_GETFD` (include/uapi/asm-generic/fcntl.h).
const F_GETFD: c_ulong = 1;
/// `PR_GET_NAME` (include/uapi/linux/prctl.h): who it was, if something is not allowed.
const PR_GET_NAME: c_ulong = 16;

/// See the module.
pub const CALLS: Calls = Calls {
    any: &[
        // Wakes others by an eventfd, and complains.
        Sysno::write,
        Sysno::close,
        Sysno::futex,
        Sysno::sched_yield,
        // The allocator, and guest memory.
        Sysno::brk,
        Sysno::madvise,
        Sysno::mremap,
        Sysno::munmap,
        // Signals: the kick of a vCPU, the handlers for those that end a machine, and an abort.
        Sysno::rt_sigaction,
        Sysno::rt_sigprocmask,
        Sysno::rt_sigreturn,
        Sysno::restart_syscall,
        Sysno::sigaltstack,
        // Where the kernel's own page of time (vDSO) does not tell it.
        Sysno::clock_gettime,
        Sysno::clock_nanosleep,
        Sysno::getrandom,
        // What a panic says: the thread.
        Sysno::getpid,
        Sysno::gettid,
        Sysno::sched_getaffinity,
        Sysno::exit,
        Sysno::exit_group,
    ],
    some: &[
        (Sysno::mmap, When::Without { argument: 2, bits: PROT_EXEC }),
        (Sysno::mprotect, When::Without { argument: 2, bits: PROT_EXEC }),
        // The standard library's, built for debugging, before each close.
        (Sysno::fcntl, When::OneOf { argument: 1, values: &[F_GETFD] }),
        (Sysno::prctl, When::OneOf { argument: 0, values: &[PR_GET_NAME] }),
        // A kick, and an abort.
        (Sysno::tgkill, When::Own { argument: 0 }),
    ],
};
