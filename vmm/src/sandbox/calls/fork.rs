//! A thread that asks the launcher for a child and waits until that says that it runs.

use syscalls::Sysno;

use super::Calls;

/// See the module.
pub const CALLS: Calls =
    Calls { any: &[Sysno::fcntl, Sysno::pipe2, Sysno::read, Sysno::recvfrom, Sysno::sendmsg], some: &[] };
