//! A machine under test: `dimmer run` as a child process, with its sockets and its console in a
//! directory of its own. Whatever happens, the process is gone when the [`TestVm`] is, and its books
//! were audited before.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dimmer::control::VcpuStatus;
use dimmer::ctl::client::Method;
use dimmer::printable::printable;
use dimmer_agent::protocol::Status;

use crate::guest::{Guest, GuestError};
use crate::layout::Layout;
use crate::rest::{Rest, RestError};

mod last_audit;
mod launch;
mod process;
mod setup;
mod unbind;
mod warm;

pub use last_audit::{LastWords, audited};
use process::Process;
pub use process::{Ending, as_dimmer, dimmer};
pub use setup::{CMDLINE, Setup};
pub use warm::cool_down;

/// How long a guest may take to start, and to settle. The emulated host is slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// How long the agent is waited for before a look whether the machine is still there.
const LOOK_AFTER: Duration = Duration::from_secs(5);

/// How long a guest that may be dead may take for a second's sleep.
const LISTEN: Duration = Duration::from_secs(20);

/// Between two looks at a process or socket that is about to change.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What went wrong around a machine.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// Files, processes.
    #[error("{step}: {cause}")]
    Host {
        /// What was to be done.
        step: &'static str,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// The kernel or the initramfs.
    #[error("images: {0}")]
    Images(String),
    /// The machine's API.
    #[error(transparent)]
    Rest(#[from] RestError),
    /// The guest's agent.
    #[error("{cause}{context}")]
    Guest {
        /// What it said.
        #[source]
        cause: GuestError,
        /// What machine and console said.
        context: String,
    },
    /// The machine went away.
    #[error("the machine ended ({status}){context}")]
    Ended {
        /// How its process did.
        status: Ending,
        /// What machine and console said.
        context: String,
    },
    /// The machine does not end.
    #[error("the machine did not end within {} s", .0.as_secs())]
    StillThere(Duration),
}

/// For `map_err`: names the step that failed.
fn at(step: &'static str) -> impl FnOnce(io::Error) -> VmError {
    move |cause| VmError::Host { step, cause }
}

/// A machine that runs.
#[derive(Debug)]
pub struct TestVm {
    process: Process,
    dir: tempfile::TempDir,
    /// What its process says.
    log: PathBuf,
    /// Its API.
    pub rest: Rest,
    agent: PathBuf,
    guest: Option<Guest>,
    /// Whether the guest did not do in time what it was waited for.
    late: Cell<bool>,
    expected: last_audit::Expected,
}

impl TestVm {
    /// The guest's agent.
    ///
    /// # Panics
    /// When the machine was only started, not booted, and nobody has connected yet.
    pub fn guest(&mut self) -> &mut Guest {
        self.guest.as_mut().expect("the machine was booted")
    }

    /// Connects to the guest's agent, anew after a reboot.
    ///
    /// # Errors
    /// [`VmError`] with the console's last lines.
    pub fn connect(&mut self) -> Result<(), VmError> {
        self.connect_within(PATIENCE)
    }

    /// The same of a guest that may take so long to start.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_within(&mut self, patience: Duration) -> Result<(), VmError> {
        self.guest = None;
        let end = Instant::now() + patience;
        let mut guest = loop {
            match Guest::connect(&self.agent, LOOK_AFTER) {
                Ok(guest) => break guest,
                Err(cause) => {
                    let ended = self.still_runs_until(end);
                    ended.unwrap_or_else(|| Err(self.explain(cause.after(patience))))?;
                }
            }
        };
        guest.set_patience(PATIENCE);
        self.guest = Some(guest);
        Ok(())
    }

    /// Waits until another kernel than the one last connected to answers: after a reboot or a kexec.
    ///
    /// # Errors
    /// [`VmError`] with the console's last lines.
    pub fn rebooted(&mut self) -> Result<(), VmError> {
        self.guest().rebooted(PATIENCE).map_err(|cause| self.explain(cause))
    }

    /// Says that this machine's books do not agree, because of an error that the test planted; its
    /// audit when it goes must then name a problem.
    pub fn expect_audit_problem(&mut self) {
        self.expected = last_audit::Expected::AProblem;
    }

    /// That the machine ended, or nothing wrong as long as there is time; `None` when there is none.
    fn still_runs_until(&mut self, end: Instant) -> Option<Result<(), VmError>> {
        match self.process.ended() {
            Ok(Some(status)) => Some(Err(VmError::Ended { status, context: self.context() })),
            Ok(None) => (Instant::now() < end).then_some(Ok(())),
            Err(cause) => Some(Err(at("wait for dimmer")(cause))),
        }
    }

    /// The guest's layout once it has settled.
    ///
    /// # Errors
    /// [`VmError`] with the console's last lines.
    pub fn settled(&mut self) -> Result<Layout, VmError> {
        self.guest().settled(PATIENCE).map_err(|cause| self.explain(cause))
    }

    /// Runs a shell command in the guest; returns what it wrote to standard output.
    ///
    /// # Errors
    /// [`VmError`] when the agent does not answer, or the command fails.
    pub fn shell(&mut self, command: &str) -> Result<String, VmError> {
        let executed = self.guest().exec(&["/bin/sh", "-c", command], b"");
        let executed = executed.map_err(|cause| self.explain(cause))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if executed.status == Status::Code(0) {
            return Ok(text(&executed.stdout.0));
        }
        let stderr = text(&executed.stderr.0);
        let status = match executed.status {
            Status::Code(code) => format!("exit status {code}"),
            Status::Signal(signal) => format!("signal {signal}"),
        };
        let cause = io::Error::other(format!("{command:?} ended with {status}: {stderr}"));
        Err(VmError::Host { step: "run a command in the guest", cause })
    }

    /// Where something has not come in its time: that the guest is not alive, if it is not.
    pub fn silence(&mut self) -> Option<GuestError> {
        let runs = matches!(self.process.ended(), Ok(None));
        let late = self.rest.gave_up() || self.late.get();
        let guest = self.guest.as_mut().filter(|_| runs && late)?;
        guest.sleep(LISTEN).err().filter(|error| matches!(error, GuestError::Timeout { .. }))
    }

    /// Resident memory of the machine's process in bytes: guest memory and its own.
    ///
    /// # Errors
    /// [`VmError`] when the process is gone.
    pub fn resident(&self) -> Result<u64, VmError> {
        let path = format!("/proc/{}/statm", self.process.id());
        let text = fs::read_to_string(path).map_err(at("read the machine's memory"))?;
        let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Ok(pages.unwrap_or(0) * rustix::param::page_size() as u64)
    }

    /// The machine's process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The socket of its API.
    pub fn api_socket(&self) -> PathBuf {
        self.dir.path().join("api")
    }

    /// The socket of its guest's agent.
    pub fn agent_socket(&self) -> &Path {
        &self.agent
    }

    /// Waits until the machine was reset this often.
    ///
    /// # Errors
    /// [`VmError`] when it was not, in time.
    pub fn wait_for_resets(&self, resets: u64) -> Result<(), VmError> {
        let end = Instant::now() + PATIENCE;
        while self.rest.tell(Method::GET, "/vm.info", None)?["resets"].as_u64() < Some(resets) {
            if Instant::now() >= end {
                return Err(VmError::StillThere(PATIENCE));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    /// Waits until the machine ends by itself; returns how.
    ///
    /// # Errors
    /// [`VmError::StillThere`].
    pub fn wait(&mut self) -> Result<Ending, VmError> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.ended().map_err(at("wait for dimmer"))? {
                return Ok(status);
            }
            if Instant::now() >= end {
                return Err(VmError::StillThere(PATIENCE));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// What `dimmer` itself said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// What the guest's kernel said on the serial console.
    pub fn console(&self) -> String {
        let bytes = fs::read(self.dir.path().join("console")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the machine serves its API.
    fn wait_for(&mut self, socket: &Path) -> Result<(), VmError> {
        let end = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            if let Some(status) = self.process.ended().map_err(at("wait for dimmer"))? {
                return Err(VmError::Ended { status, context: self.context() });
            }
            if Instant::now() >= end {
                return Err(VmError::StillThere(PATIENCE));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(())
    }

    fn explain(&self, cause: GuestError) -> VmError {
        self.late.set(true);
        VmError::Guest { cause, context: self.context() }
    }

    /// The last lines of log and console, and where the vCPUs are, for messages.
    pub fn context(&self) -> String {
        let tail = |name: &str, text: String| {
            let lines: Vec<_> = text.lines().rev().take(30).collect();
            let lines: String = lines.iter().rev().map(|line| format!("\n  {}", printable(line))).collect();
            if lines.is_empty() { String::new() } else { format!("\n{name}:{lines}") }
        };
        let vcpus: Vec<_> = self.rest.vcpus().iter().flatten().map(VcpuStatus::to_string).collect();
        tail("dimmer", self.log()) + &tail("console", self.console()) + &tail("vCPUs", vcpus.join("\n"))
    }
}

impl Drop for TestVm {
    fn drop(&mut self) {
        let found = last_audit::look(self);
        self.process.kill();
        last_audit::report(found);
    }
}
