//! Running a command for a client: its input given whole, its output and status taken whole.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use crate::oom;
use crate::protocol::{Bytes, Executed, Failure, Status};

/// Most bytes of one output stream; a command that writes more is killed, since the agent would
/// otherwise use up the memory that the guest is tested with.
pub const MAX_OUTPUT: u64 = 32 << 20;

/// Where commands are looked for.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs `argv` with `stdin` and waits for its end, and for that of everything that inherited its
/// output.
///
/// # Errors
/// When it cannot be started, or writes more than [`MAX_OUTPUT`].
pub fn run(argv: &[String], stdin: &Bytes) -> Result<Executed, Failure> {
    let (program, arguments) =
        argv.split_first().ok_or_else(|| Failure::new("There is no command to run"))?;
    let failed = |error| Failure::from_io(&format!("run {program}"), &error);
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", PATH)
        .env("HOME", "/")
        .env("TERM", "linux")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    oom::expose(child.id());
    let (status, stdout, stderr) = communicate(&mut child, &stdin.0).map_err(failed)?;
    match (stdout, stderr) {
        (Some(stdout), Some(stderr)) => Ok(Executed { status: describe(status), stdout, stderr }),
        _ => Err(Failure::new(format!("{program} wrote more than {MAX_OUTPUT} bytes and was stopped"))),
    }
}

/// Feeds the child and drains both its streams at once, then waits for it. A stream is `None` when
/// it was too long.
fn communicate(child: &mut Child, input: &[u8]) -> io::Result<(ExitStatus, Option<Bytes>, Option<Bytes>)> {
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let stderr = child.stderr.take().expect("standard error is a pipe");
    thread::scope(|scope| {
        // A command may well end without reading all of its input: EPIPE is no failure. Dropping
        // the pipe is the input's end.
        scope.spawn(move || drop(stdin.write_all(input)));
        let stderr = scope.spawn(|| drain(stderr));
        // Closing a pipe early ends its writer by SIGPIPE, and so a command that writes too much.
        let stdout = drain(stdout);
        let stderr = stderr.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let (stdout, stderr) = (stdout?, stderr?);
        if stdout.is_none() || stderr.is_none() {
            child.kill()?;
        }
        Ok((child.wait()?, stdout, stderr))
    })
}

/// Everything that comes from `stream`, or `None` when that is too much.
fn drain(stream: impl Read) -> io::Result<Option<Bytes>> {
    let mut bytes = Vec::new();
    let length = stream.take(MAX_OUTPUT + 1).read_to_end(&mut bytes)?;
    Ok((length as u64 <= MAX_OUTPUT).then_some(Bytes(bytes)))
}

fn describe(status: ExitStatus) -> Status {
    match status.code() {
        Some(code) => Status::Code(code),
        None => Status::Signal(status.signal().expect("a process exits or a signal ends it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, stdin: &[u8]) -> Result<Executed, Failure> {
        run(&["sh".into(), "-c".into(), script.into()], &Bytes(stdin.to_vec()))
    }

    #[test]
    fn status_and_streams_are_told_apart() {
        let executed = shell("cat; echo oops >&2; exit 7", b"in\xff").unwrap();
        assert_eq!(executed.status, Status::Code(7));
        assert_eq!(executed.stdout, Bytes(b"in\xff".to_vec()));
        assert_eq!(executed.stderr, Bytes(b"oops\n".to_vec()));
    }

    #[test]
    fn a_signal_is_no_exit_code() {
        assert_eq!(shell("kill -9 $$", b"").unwrap().status, Status::Signal(9));
    }

    #[test]
    fn megabytes_both_ways_do_not_block() {
        let input = vec![b'x'; 4 << 20];
        let executed = shell("cat; head -c 1000000 /dev/zero >&2", &input).unwrap();
        assert_eq!(executed.stdout.0.len(), input.len());
        assert_eq!(executed.stderr.0.len(), 1_000_000);
    }

    #[test]
    fn a_command_may_leave_its_input_unread() {
        assert_eq!(shell("exit 0", &vec![0; 1 << 20]).unwrap().status, Status::Code(0));
    }

    #[test]
    fn endless_output_is_stopped() {
        for script in ["cat /dev/zero", "exec cat /dev/zero >&2"] {
            let failure = shell(script, b"").unwrap_err();
            assert_eq!(failure.text, "sh wrote more than 33554432 bytes and was stopped");
        }
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let failure = run(&["/no/such/program".into()], &Bytes::default()).unwrap_err();
        assert_eq!(failure.errno, Some(libc::ENOENT));
        assert!(failure.text.starts_with("Cannot run /no/such/program: ENOENT"), "{}", failure.text);
        assert_eq!(run(&[], &Bytes::default()).unwrap_err().text, "There is no command to run");
    }
}
