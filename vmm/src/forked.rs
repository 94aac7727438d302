//! A process that begins as a fork of another machine: the image of that one is its standard input, and whoever started it
//! hears on its standard output how that went. Afterwards both are nothing in particular.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::stdio::{dup2_stdin, dup2_stdout};

use crate::cli::SerialArg;
use crate::spec::{ForkSpec, RestoredMemory};
use launcher::Launcher;

pub mod launcher;

/// What is said when the machine runs.
const READY: &str = "ready";

/// Has a child started that begins with `image`; returns its number once its machine is there. This process's end is not its end nor,
/// if it is detached, a signal to this one's process group.
///
/// # Errors
/// What it said, or the host.
pub fn start(launcher: &Launcher, image: &File, fork: &ForkSpec) -> Result<u32, String> {
    let failed = |error: io::Error| format!("a process for it: {error}");
    let (mut said, says) = io::pipe().map_err(failed)?;
    let pid = launcher.start(image, &says, fork).map_err(failed)?;
    // The end that it says it on is the child's alone from here on.
    drop(says);
    let mut words = String::new();
    said.read_to_string(&mut words).map_err(failed)?;
    match words.trim_end() {
        READY => Ok(pid),
        "" => Err("it ended at once; standard error may say why".to_owned()),
        why => Err(why.to_owned()),
    }
}

/// How this program is called for a child. By itself its memory is copied.
pub fn arguments(fork: &ForkSpec) -> Vec<OsString> {
    // In one word: a name may begin with a dash.
    let mut arguments: Vec<OsString> =
        vec!["run".into(), "--forked".into(), format!("--restore={}", fork.id).into()];
    let how = match fork.memory {
        Some(RestoredMemory::Copy) | None => "copy",
        Some(RestoredMemory::Map) => "map",
    };
    arguments.extend(["--restore-memory", how].map(OsString::from));
    arguments.extend(["--api-socket".into(), fork.api_socket.clone().into()]);
    if let Some(path) = &fork.agent_socket {
        arguments.extend(["--agent-socket".into(), path.clone().into()]);
    }
    arguments.extend(["--serial".into(), SerialArg(fork.serial.clone()).words()]);
    arguments.extend(fork.paused.then(|| "--paused".into()));
    arguments
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
