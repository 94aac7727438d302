//! Child processes that end with this one, however that ends.
#![expect(unsafe_code, reason = "what happens between fork and exec is unsafe to std")]

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Makes the kernel kill the command once the thread that started it ends, and lets the command inherit these file
/// descriptors under their numbers.
pub fn bind(command: &mut Command, inherited: Vec<OwnedFd>) {
    let this = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() != Some(this) {
            // This process ended before the line above could tell the kernel.
            return Err(io::ErrorKind::NotConnected.into());
        }
        inherited.iter().try_for_each(|fd| Ok(fcntl_setfd(fd, FdFlags::empty())?))
    };
    // SAFETY: between fork and exec `prepare` makes system calls and nothing else: it allocates nothing, takes no lock,
    // and changes only the new process.
    unsafe { command.pre_exec(prepare) };
}
