//! A process that begins as a fork of another machine: the image of that one is its standard input, and whoever started it
//! hears on its standard output how that went. Afterwards both are nothing in particular.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::stdio::{dup2_stdin, dup2_stdout};

/// What is said when the machine runs.
const READY: &str = "ready";

/// Starts this very program with these arguments as a fork that begins with `image`; returns once its machine is there. This
/// process's end is not its end nor, if it is `detached`, a signal to this one's process group.
///
/// # Errors
/// What it said, or the host.
pub fn start(image: &File, arguments: &[OsString], detached: bool) -> Result<Child, String> {
    let failed = |error: io::Error| format!("a process for it: {error}");
    let (mut said, says) = io::pipe().map_err(failed)?;
    let image = image.try_clone().map_err(failed)?;
    let mut command = Command::new("/proc/self/exe");
    // Programs that carry this one tell by its name what they are to be.
    command.arg0("dimmer").args(arguments).stdin(Stdio::from(image)).stdout(says);
    if detached {
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(failed)?;
    // The end that it says it on is the child's alone from here on.
    drop(command);
    let mut words = String::new();
    said.read_to_string(&mut words).map_err(failed)?;
    if words.trim_end() == READY {
        return Ok(child);
    }
    let status = child.wait().map_err(failed)?;
    Err(if words.is_empty() { format!("it ended at once: {status}") } else { words.trim_end().to_owned() })
}

/// The image that this process begins with.
///
/// # Errors
/// What the host says.
pub fn image() -> io::Result<File> {
    let image = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(image)
}

/// Says that the machine is there.
///
/// # Errors
/// What the host says.
pub fn ready() -> io::Result<()> {
    say(READY)
}

/// Says why there is no machine.
///
/// # Errors
/// What the host says.
pub fn failed(why: &str) -> io::Result<()> {
    say(why)
}

fn say(words: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(words.as_bytes())?;
    out.flush()?;
    Ok(dup2_stdout(File::options().write(true).open("/dev/null")?)?)
}
