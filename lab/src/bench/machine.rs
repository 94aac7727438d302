//! A machine of any of the programs: what it has, and one that runs.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Error;
use super::console::Console;
use super::memory::{self, Own};
use super::peer::{Control, Kind, Peer};
use crate::host::bound;

/// RAM of every machine; one processor has every machine as well.
pub const RAM: u64 = 1 << 30;

/// How long a socket may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a machine has beside its RAM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// Slots for DIMMs, none if 0.
    pub slots: u32,
    /// Bytes of addresses for DIMMs.
    pub dimms: u64,
    /// Bytes of the virtio-mem device, none if 0.
    pub window: u64,
    /// Clients that will speak with it at a time.
    pub clients: usize,
}

/// Where the parts of a machine are.
#[derive(Clone, Debug)]
pub struct Files {
    /// A directory of the machine's own, for its sockets.
    pub dir: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// The kernel's command line.
    pub cmdline: String,
}

impl Files {
    /// Socket of the client with this number; most programs have one for all.
    #[must_use]
    pub fn api(&self, number: usize) -> PathBuf {
        self.dir.join(format!("api{number}"))
    }

    /// Socket of the serial console.
    #[must_use]
    pub fn serial(&self) -> PathBuf {
        self.dir.join("serial")
    }

    /// Socket of the agent's port.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.dir.join("agent")
    }

    /// What the machine's process says.
    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }
}

/// The end of what the machine in `dir` said, for messages; nothing if it said nothing.
#[must_use]
pub fn last_words(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().map(|line| format!("\n  {}", dimmer::printable::printable(line))).collect()
}

/// A machine that runs; it ends when this goes.
pub struct Running {
    child: Child,
    peer: &'static dyn Peer,
    /// Its parts.
    pub files: Files,
    /// When its process was started.
    pub begun: Instant,
    console: Option<Console>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("pid", &self.child.id()).field("files", &self.files).finish()
    }
}

impl Running {
    /// Starts `program`, which is of this kind, and connects to its console.
    ///
    /// # Errors
    /// When it does not start, or has nothing of the kind that the machine is to have.
    pub fn start(kind: Kind, program: Command, machine: &Machine, files: Files) -> Result<Self, Error> {
        let peer = kind.peer();
        fs::create_dir_all(&files.dir)?;
        let mut command = peer.command(program, machine, &files)?;
        let log = File::create(files.log())?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut stream = None;
        if peer.console_is_stdio() {
            let (ours, theirs) = UnixStream::pair()?;
            command.stdin(OwnedFd::from(theirs.try_clone()?)).stdout(OwnedFd::from(theirs));
            stream = Some(ours);
        }
        bound::bind(&mut command, Vec::new());
        let begun = Instant::now();
        let child = command.spawn()?;
        let mut running = Self { child, peer, files, begun, console: None };
        let console = match stream {
            Some(stream) => Console::over(stream)?,
            None => Console::connect(&running.files.serial(), || ended(&mut running.child))?,
        };
        running.console = Some(console);
        Ok(running)
    }

    /// Its console.
    ///
    /// # Panics
    /// Never: a machine that runs has one.
    pub fn console(&mut self) -> &mut Console {
        self.console.as_mut().expect("it is connected at the start")
    }

    /// Whether the guest's agent has a port.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        self.peer.has_agent()
    }

    /// The machine's client with this number.
    ///
    /// # Errors
    /// When nobody listens for a minute.
    pub(super) fn control(&mut self, number: usize) -> Result<Box<dyn Control>, Error> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.peer.control(&self.files, number) {
                Err(_) if Instant::now() < end => ended(&mut self.child)?,
                result => return result,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What its process has for itself, guest memory apart.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn own_memory(&self) -> Result<Own, Error> {
        memory::own(self.child.id())
    }

    /// Bytes of its process's resident memory, guest memory and its own.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident(&self) -> Result<u64, Error> {
        memory::resident(self.child.id())
    }
}

/// Fails when the process has ended.
fn ended(child: &mut Child) -> Result<(), Error> {
    match child.try_wait()? {
        Some(status) => Err(format!("it ended: {status}").into()),
        None => Ok(()),
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
