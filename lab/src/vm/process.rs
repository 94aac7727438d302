//! The machine's process: this very binary under another name.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The name under which the lab's own binary is the machine.
const DIMMER: &str = "dimmer";

/// When this process was started under the name `dimmer`, runs the machine and returns its status.
///
/// The lab carries the machine, so that it tests the one that it was built with; every program of
/// the lab that starts machines calls this first.
pub fn as_dimmer() -> Option<ExitCode> {
    let name = std::env::args_os().next()?;
    let is_dimmer = Path::new(&name).file_name() == Some(OsStr::new(DIMMER));
    is_dimmer.then(dimmer::program::main)
}

/// A command that runs this very binary as `dimmer`.
pub fn dimmer() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(DIMMER);
    command
}
