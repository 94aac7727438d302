//! The kinds of threads that a machine has.

use super::calls::{
    Calls, common, console, disk, event_loop, fork, memory, net, pmem, server, signals, snapshot, vcpu, vsock,
};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The main thread.
    EventLoop,
    /// A virtual CPU.
    Vcpu,
    /// A server of clients: the API's, or QMP's.
    Server,
    /// A disk.
    Disk,
    /// A network device.
    Net,
    /// Persistent memory.
    Pmem,
    /// The socket device.
    Vsock,
    /// What the guest writes to its console.
    Console,
    /// Memory that is populated or emptied.
    Memory,
    /// What a machine is written down by.
    Snapshot,
    /// What waits for a child to begin.
    Fork,
    /// What waits for signals while a machine starts.
    Signals,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::EventLoop,
        Self::Vcpu,
        Self::Server,
        Self::Disk,
        Self::Net,
        Self::Pmem,
        Self::Vsock,
        Self::Console,
        Self::Memory,
        Self::Snapshot,
        Self::Fork,
        Self::Signals,
    ];

    /// What the threads are called (`/proc/PID/task/TID/comm`), and what they are for.
    pub const fn about(self) -> (&'static str, &'static str) {
        match self {
            Self::EventLoop => ("the main thread", "commands, sockets, resets, and threads that it starts"),
            Self::Vcpu => ("vcpu0 and so on", "a virtual CPU, and the devices that it reaches"),
            Self::Server => ("api, qmp", "clients of a socket"),
            Self::Disk => ("disk", "a disk"),
            Self::Net => ("net", "a network device"),
            Self::Pmem => ("pmem", "persistent memory"),
            Self::Vsock => ("vsock", "the socket device"),
            Self::Console => ("console", "output of the serial console"),
            Self::Memory => ("prealloc, reset", "memory that is populated, or emptied"),
            Self::Snapshot => ("snapshot", "snapshots, and images for forks"),
            Self::Fork => ("fork", "waits for a child to begin"),
            Self::Signals => ("signals", "waits for signals while the machine starts"),
        }
    }

    /// What they may ask of the host's kernel.
    pub const fn calls(self) -> &'static [Calls] {
        match self {
            // A filter is handed down to threads that are started later: these are started by the main thread.
            Self::EventLoop => &[common::CALLS, event_loop::CALLS, vcpu::CALLS, memory::CALLS, fork::CALLS],
            Self::Vcpu => &[common::CALLS, vcpu::CALLS],
            Self::Server => &[common::CALLS, server::CALLS],
            Self::Disk => &[common::CALLS, disk::CALLS],
            Self::Net => &[common::CALLS, net::CALLS],
            Self::Pmem => &[common::CALLS, pmem::CALLS],
            Self::Vsock => &[common::CALLS, vsock::CALLS],
            Self::Console => &[common::CALLS, console::CALLS],
            Self::Memory => &[common::CALLS, memory::CALLS],
            Self::Snapshot => &[common::CALLS, snapshot::CALLS],
            Self::Fork => &[common::CALLS, fork::CALLS],
            Self::Signals => &[common::CALLS, signals::CALLS],
        }
    }
}
