//! What each kind of thread may ask of the host's kernel: the lists as data, each in a file of its own.
//!
//! A list has what a thread needs once the machine is set up: of its own work, and of what the standard library, the C
//! library and the allocator do on the way, on rare paths too (a panic, memory that goes back to the host, a clock
//! that the kernel has to be asked for).

use std::ffi::c_ulong;

use syscalls::Sysno;

pub mod common;
pub mod console;
pub mod disk;
pub mod event_loop;
pub mod fork;
pub mod kvm;
pub mod memory;
pub mod net;
pub mod pmem;
pub mod server;
pub mod signals;
pub mod snapshot;
pub mod vcpu;
pub mod vsock;

/// Some calls that are allowed.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    /// Those with any arguments.
    pub any: &'static [Sysno],
    /// Those with certain arguments.
    pub some: &'static [(Sysno, When)],
}

/// With which arguments a call is allowed.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// Argument `argument`, of 32 bits, is one of these.
    OneOf {
        /// Its place, from 0 on.
        argument: u8,
        /// What it may be.
        values: &'static [c_ulong],
    },
    /// Argument `argument` has none of these bits.
    Without {
        /// Its place, from 0 on.
        argument: u8,
        /// What it must not have.
        bits: c_ulong,
    },
    /// Argument `argument` is this process's number.
    Own {
        /// Its place, from 0 on.
        argument: u8,
    },
}

/// `ioctl` with one of these requests.
pub const fn ioctl(requests: &'static [c_ulong]) -> (Sysno, When) {
    (Sysno::ioctl, When::OneOf { argument: 1, values: requests })
}
