//! The machine's process: this very binary under another name.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

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

/// How a machine's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending(Option<ExitStatus>);

impl Ending {
    /// Its exit status, unless a signal ended it, or it was the child of another machine, which alone knows.
    pub fn code(&self) -> Option<i32> {
        self.0.and_then(|status| status.code())
    }

    /// Whether it is known to have failed.
    pub fn failed(&self) -> bool {
        self.0.is_some_and(|status| !status.success())
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => status.fmt(f),
            None => f.write_str("how, its parent knows"),
        }
    }
}

/// A machine's process.
#[derive(Debug)]
pub(super) enum Process {
    /// One of this process's own.
    Started(Child),
    /// A machine's child.
    Forked {
        /// Its number.
        pid: u32,
        /// What stays its own when the number is another one's.
        handle: OwnedFd,
    },
}

impl Process {
    /// The child of a machine, which runs.
    pub fn forked(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| io::Error::other("no process has that number"))?;
        Ok(Self::Forked { pid, handle: pidfd_open(number, PidfdFlags::empty())? })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        match self {
            Self::Started(child) => child.id(),
            Self::Forked { pid, .. } => *pid,
        }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> io::Result<Option<Ending>> {
        match self {
            Self::Started(child) => Ok(child.try_wait()?.map(|status| Ending(Some(status)))),
            Self::Forked { handle, .. } => {
                let mut ended = [PollFd::new(handle, PollFlags::IN)];
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                Ok((poll(&mut ended, Some(&at_once))? > 0).then_some(Ending(None)))
            }
        }
    }

    /// Ends it, and returns once it has ended. It may have, which is just as well.
    pub fn kill(&mut self) {
        match self {
            Self::Started(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Self::Forked { handle, .. } => {
                let _ = pidfd_send_signal(&*handle, Signal::KILL);
                let _ = poll(&mut [PollFd::new(handle, PollFlags::IN)], None);
            }
        }
    }
}
