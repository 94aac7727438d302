//! Running a command on this machine.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use dimmer_agent::frames::Invocation;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{TIMED_OUT, bound, not_started};

/// Why the end of a command is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to run.
    #[error("The command is empty")]
    Empty,
    /// It could not be waited for.
    #[error("Cannot wait for the command")]
    Wait(#[source] io::Error),
}

/// Runs the command in place of this process, or with `timeout` as a child in a process group of its own, all of which
/// is killed at the end of that time; the child also ends with this process.
///
/// # Errors
/// [`Error`].
pub fn run(timeout: Option<Duration>, invocation: &Invocation) -> Result<u8, Error> {
    let mut strings = invocation.arguments.iter().cloned().map(OsString::from_vec);
    let mut command = Command::new(strings.next().ok_or(Error::Empty)?);
    let pair = |(name, value): &(Vec<u8>, Vec<u8>)| {
        (OsString::from_vec(name.clone()), OsString::from_vec(value.clone()))
    };
    command.args(strings).env_clear().envs(invocation.environment.iter().map(pair));
    command.current_dir(PathBuf::from(OsString::from_vec(invocation.directory.clone())));
    let Some(timeout) = timeout else {
        return Ok(not_started(&invocation.arguments[0], &command.exec()));
    };
    bound::bind(&mut command, Vec::new());
    match command.process_group(0).spawn() {
        Ok(child) => wait(child, timeout).map_err(Error::Wait),
        Err(error) => Ok(not_started(&invocation.arguments[0], &error)),
    }
}

fn wait(mut child: Child, timeout: Duration) -> io::Result<u8> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.expect("a child has a positive process id");
    let ended = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut watched = [PollFd::new(&ended, PollFlags::IN)];
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        match poll(&mut watched, Some(&left)) {
            Ok(0) => break,
            Ok(_) => return child.wait().map(status_byte),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // It may have ended meanwhile, and its group with it.
    let _ = kill_process_group(pid, Signal::KILL);
    child.wait()?;
    crate::output::complain(format_args!(
        "dimmer-lab: Killed the command, which took longer than {} s",
        timeout.as_secs()
    ));
    Ok(TIMED_OUT)
}

/// The status as a shell gives it: the exit status, or 128 plus the number of the signal.
fn status_byte(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let value = status.code().or(signal).expect("a process that ended has a status or a signal");
    u8::try_from(value).expect("statuses and signals with 128 fit a byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a shell script with a timeout, which `exec` would not come back from.
    fn shell(script: &str, timeout: Duration) -> u8 {
        let invocation = Invocation {
            directory: b"/".to_vec(),
            arguments: ["sh", "-c", script].map(|argument| argument.as_bytes().to_vec()).to_vec(),
            environment: vec![(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec()), (b"A".to_vec(), b"b".to_vec())],
        };
        run(Some(timeout), &invocation).unwrap()
    }

    #[test]
    fn the_status_of_the_command_comes_through() {
        let minute = Duration::from_secs(60);
        assert_eq!(shell("exit 0", minute), 0);
        assert_eq!(shell("exit 7", minute), 7);
        assert_eq!(shell("kill -KILL $$", minute), 137);
        assert_eq!(shell("test \"$A\" = b && test \"$PWD\" = / && exit 3", minute), 3);
    }

    #[test]
    fn a_hung_command_is_killed_with_its_children() {
        let start = Instant::now();
        assert_eq!(shell("sleep 600 & wait", Duration::from_millis(50)), TIMED_OUT);
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_program_that_cannot_run_has_the_status_of_a_shell() {
        let run = |program: &str| {
            let arguments = vec![program.as_bytes().to_vec()];
            let invocation = Invocation { directory: b"/".to_vec(), arguments, environment: Vec::new() };
            super::run(Some(Duration::from_secs(60)), &invocation).unwrap()
        };
        assert_eq!(run("/no/such/program"), 127);
        assert_eq!(run("/etc/passwd"), 126);
        assert!(matches!(super::run(None, &Invocation::default()), Err(Error::Empty)));
    }
}
