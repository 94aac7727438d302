//! PID 1 of the emulated host: shares its host's root file system and runs one command in it.
//!
//! The process that the kernel starts only reaps orphans. Its one child, the same program with the argument
//! [`SESSION`], prepares the root file system and serves the ports (`dimmer_agent::frames` has the protocol). When that
//! child ends without having been ended by the other side, the machine restarts, which its QEMU takes as the end.

use std::io;
use std::process::{Command, ExitCode};

use dimmer_agent::pid1;
use rustix::process::Pid;

mod loopback;
mod root;
mod session;
mod streams;

const SESSION: &str = "session";

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|argument| argument == SESSION) {
        return session::serve();
    }
    let error = match supervise() {
        Ok(()) => pid1::reboot(),
        Err(error) => error,
    };
    eprintln!("host-init: {error}");
    // The end of PID 1 is a kernel panic, which ends the machine as well (panic=-1).
    ExitCode::FAILURE
}

/// Starts the session and reaps until it ends. Only PID 1 can reap what the command leaves behind, and the session can
/// then wait for the command alone.
fn supervise() -> io::Result<()> {
    let child = Command::new("/init").arg(SESSION).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let status = pid1::reap_until(pid.expect("a child has a positive process id"))?;
    eprintln!("host-init: the session ended with {status:?}");
    Ok(())
}
