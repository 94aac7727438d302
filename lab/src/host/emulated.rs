//! Running a command in the emulated host, from fetching what it takes to the command's exit status.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use dimmer_agent::frames::{self, Invocation, Kind};
use dimmer_images::{Cache, cache, initramfs, kernel, kernels, qemu as program};

use super::qemu::{Ports, Qemu};
use super::{Options, TIMED_OUT, not_started, streams};

/// How long the machine may take to start: some ten times what a busy machine with two processors needs.
const START_DEADLINE: Duration = Duration::from_secs(180);

/// Why the end of a command is not known.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no QEMU for it.
    #[error(transparent)]
    Qemu(#[from] program::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// There is no kernel for it.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// There is no initramfs for it.
    #[error(transparent)]
    Initramfs(#[from] initramfs::Error),
    /// QEMU could not be started, or a stream of this process cannot be used.
    #[error("Cannot {step}")]
    Start {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The machine failed, not the command.
    #[error("The emulated host failed: {reason}; its console is in {}", console.display())]
    Failed {
        /// How.
        reason: String,
        /// A file with all that its console said.
        console: PathBuf,
    },
}

/// Runs the command in a new emulated host with this process's standard streams, and gives its exit status.
///
/// # Errors
/// [`Error`].
pub fn run(options: &Options, invocation: &Invocation) -> Result<u8, Error> {
    let start = |step| move |cause| Error::Start { step, cause };
    let cache = Cache::open()?;
    let qemu = program::Qemu::find_or_fetch(&cache)?;
    let fetched = kernel::Kernel::resolve_in(&cache, kernels::HOST);
    let kernel = match fetched {
        Err(kernel::Error::NotFetched { .. }) => {
            dimmer_images::fetch(&cache, &[kernels::HOST], false)?.remove(0)
        }
        kernel => kernel?,
    };
    let initramfs = initramfs::host_initramfs(&kernel)?;
    let (qemu, ports) =
        Qemu::start(qemu.command(), options.size, kernel.image(), &initramfs).map_err(start("start QEMU"))?;
    let mut session = Session { qemu, ports, cache };
    match session.run(options.timeout, invocation).map_err(start("share a standard stream"))? {
        Ok(status) => Ok(status),
        Err(reason) => Err(session.failed(reason)),
    }
}

struct Session {
    qemu: Qemu,
    ports: Ports,
    cache: Cache,
}

/// Why the machine failed.
type Failure = String;

impl Session {
    /// The outer error is this process's, the inner one the machine's.
    fn run(&mut self, timeout: Option<Duration>, invocation: &Invocation) -> io::Result<Result<u8, Failure>> {
        if let Err(reason) = self.start(invocation) {
            return Ok(Err(reason));
        }
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let outputs = self.connect()?;
        let (kind, payload) = match self.next(deadline) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                let seconds = timeout.unwrap_or_default().as_secs();
                crate::output::complain(format_args!(
                    "dimmer-lab: Killed the command, which took longer than {seconds} s"
                ));
                return Ok(Ok(TIMED_OUT));
            }
            Err(reason) => return Ok(Err(reason)),
        };
        Ok(match (kind, payload.as_slice()) {
            (Kind::Exit, [status]) => {
                for output in outputs {
                    output.join().expect("a stream's thread does not panic")?;
                }
                Ok(*status)
            }
            (Kind::NotStarted, payload) => {
                let number = payload.first_chunk().copied().map(i32::from_le_bytes).unwrap_or_default();
                Ok(not_started(&invocation.arguments[0], &io::Error::from_raw_os_error(number)))
            }
            (kind, _) => Err(format!("it sent a {kind:?} frame instead of an exit status")),
        })
    }

    /// Waits until the machine is up, then gives it the command.
    fn start(&mut self, invocation: &Invocation) -> Result<(), Failure> {
        let late = || format!("it was not up within {} s", START_DEADLINE.as_secs());
        match self.next(Some(Instant::now() + START_DEADLINE))? {
            Some((Kind::Ready, _)) => {}
            Some((kind, _)) => return Err(format!("it sent a {kind:?} frame instead of becoming ready")),
            None => return Err(late()),
        }
        let command = invocation.encode().map_err(|error| error.to_string())?;
        let sent = frames::write(&mut self.ports.control, Kind::Start, &command);
        sent.map_err(|error| format!("it did not take the command: {error}"))
    }

    /// Connects our standard streams. Gives the threads of standard output and error.
    fn connect(&self) -> io::Result<[JoinHandle<io::Result<()>>; 2]> {
        let (stdin, port) = (own(io::stdin())?, self.ports.stdin.try_clone()?);
        // Never joined: it may wait for input that no longer matters. An error shows as the end of the machine.
        thread::spawn(move || streams::send(stdin, port));
        let control = Arc::new(Mutex::new(self.ports.control.try_clone()?));
        let receive = |port: &UnixStream, to: File, stream| {
            let (port, control) = (port.try_clone()?, control.clone());
            io::Result::Ok(thread::spawn(move || streams::receive(port, to, stream, &control)))
        };
        let stdout = receive(&self.ports.stdout, own(io::stdout())?, 1)?;
        Ok([stdout, receive(&self.ports.stderr, own(io::stderr())?, 2)?])
    }

    /// The next frame of the control port, or nothing at `deadline`.
    fn next(&mut self, deadline: Option<Instant>) -> Result<Option<(Kind, Vec<u8>)>, Failure> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| left.max(Duration::from_millis(1))); // zero would mean no deadline
        let mut payload = Vec::new();
        let set = self.ports.control.set_read_timeout(left);
        match set.and_then(|()| frames::read(&mut self.ports.control, &mut payload)) {
            Ok(Some(Kind::Failed)) => Err(String::from_utf8_lossy(&payload).into_owned()),
            Ok(Some(kind)) => Ok(Some((kind, payload))),
            Ok(None) => Err(self.ended()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(self.ended()),
            Err(error) => Err(format!("its control port: {error}")),
        }
    }

    fn ended(&mut self) -> Failure {
        match self.qemu.wait() {
            Ok(status) if status.success() => "it restarted or panicked".into(),
            Ok(status) => format!("QEMU ended with {status}"),
            Err(error) => format!("QEMU ended: {error}"),
        }
    }

    /// Keeps the console in a file.
    fn failed(&self, reason: Failure) -> Error {
        let name = format!("hosts/console-{}.log", std::process::id());
        let kept = self.qemu.console().map_err(|cause| Error::Start { step: "read the console", cause });
        match kept.and_then(|console| Ok(self.cache.write(name, &console)?)) {
            Ok(console) => Error::Failed { reason, console },
            Err(error) => error,
        }
    }
}

/// A handle of our own to a standard stream, without the standard library's buffers and locks.
fn own(stream: impl AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}
