//! The sandbox: what a machine's process may do on the host once the machine is set up. A guest that finds a mistake in a device
//! has what is written here, and no more.
//!
//! # What it consists of
//!
//! - Each thread makes the system calls of its [kind](Kind) alone (seccomp, [`calls`]). Another call ends the machine
//!   ([`violation`]).
//! - Files are opened while the machine is set up. Afterwards a thread reaches those below the directories of `--allow-path`, and
//!   removes files from its sockets' directories, and nothing else (Landlock, [`paths`]). Without that flag clients name any path, so
//!   the threads that write for them reach every file; no other thread reaches one.
//! - No thread has capabilities, and nothing that is executed gets any ([`capabilities`]).
//!
//! # When it closes
//!
//! ```text
//!   launcher ── prepare ── sockets, devices, threads ── memory, kernel ── close ── the guest runs
//!                              each thread enters its own as it begins    the main thread's
//! ```
//!
//! The threads of a process differ in all three, so each [enters](spawn) its own sandbox before it does anything else, and the main
//! thread last. A thread that is started later begins in the main thread's sandbox, and never gets out of it: that is why the main
//! thread's list has those of the threads that it starts while the machine runs (vCPUs after a reset, a DIMM's memory, forks). The
//! snapshot's thread, whose list is the longest, is there from the start.
//!
//! # Children
//!
//! A fork is a new process of this very program, and a sandbox is handed down to it: one that may make no process and open no
//! file can start none. So there is a [launcher](crate::forked::launcher): a process that is forked before there is any thread or guest,
//! does nothing but wait, and starts forks with an image that it is sent. It is asked for a fork, not for a command, and is kept
//! to files itself: those that a machine like this one needs to start, and the directories of `--allow-path`. What it starts is
//! kept to them as well, closes a sandbox of its own, and has the same launcher's rules for its own children.
//!
//! # Limits
//!
//! - Threads share memory. Who takes over one may write what another one works on; the lists of all threads together are what
//!   the process can do then.
//! - Landlock's rules are about directories: who may remove one socket's file may remove the others of its directory.
//! - A fork of a fork has a set of rules more, of which the kernel takes 16; a fork of the fourteenth generation cannot fork.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use landlock::RulesetCreated;

use crate::complaint::complain;
use crate::kept;
use crate::spec::{Limit, SandboxMode, SandboxSpec};

mod allowed;
pub mod calls;
mod capabilities;
mod filter;
mod kind;
pub mod limits;
pub mod paths;
#[cfg(test)]
mod tests;
mod violation;

pub use allowed::{check, check_base, check_socket};
pub use kind::Kind;

use allowed::Places;
use filter::{Filter, FilterError, Otherwise};
use paths::{Paths, PathsError};

/// Below it is every file.
pub const ROOT: &str = "/";
/// Exit status where the host fails a machine.
const STATUS: i32 = 3;

/// There is no sandbox to be had.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Its filters.
    #[error("--sandbox: {0}")]
    Filter(#[from] FilterError),
    /// Its rules about files.
    #[error("--sandbox: {0}")]
    Paths(#[from] PathsError),
    /// What is to be in it.
    #[error("--sandbox: {what}: {error}")]
    Host {
        /// What it was about.
        what: &'static str,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// A directory that clients are to have.
    #[error("--allow-path {}: must be a directory that is there", .0.display())]
    Directory(PathBuf),
}

/// The process's.
#[derive(Debug)]
struct Sandbox {
    filters: BTreeMap<Kind, Filter>,
    /// None where the kernel's log is all that is wanted.
    rules: Option<Rules>,
    places: Places,
    /// The thread that is to try.
    tried: Option<String>,
}

/// Rules about files.
#[derive(Debug)]
struct Rules {
    /// Of the threads that write what clients name: the main thread, and that of snapshots.
    writers: RulesetCreated,
    /// Of the others.
    others: RulesetCreated,
}

impl Rules {
    /// Those of a machine that needs `paths`, and whose clients may name what is below `allowed`, or anything where that is empty.
    fn new(mut paths: Paths, allowed: &[PathBuf]) -> Result<Self, SandboxError> {
        for directory in allowed {
            if !directory.is_dir() {
                return Err(SandboxError::Directory(directory.clone()));
            }
            paths.write(directory);
        }
        let others = paths.rules()?;
        if allowed.is_empty() {
            paths.write(Path::new(ROOT));
        }
        Ok(Self { writers: paths.rules()?, others })
    }

    fn of(&self, kind: Kind) -> &RulesetCreated {
        if matches!(kind, Kind::EventLoop | Kind::Snapshot) { &self.writers } else { &self.others }
    }
}

static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
/// Whether the main thread is in it: what that starts is, too.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// What a machine needs while it runs, besides what is below the directories of `--allow-path`.
#[derive(Debug)]
pub struct Confined<'a> {
    /// The rules for it.
    pub paths: Paths,
    /// The directories of its sockets, where forks may have theirs.
    pub sockets: Vec<&'a Path>,
    /// The snapshots that it goes on from, which others may be differences to.
    pub snapshots: Vec<&'a Path>,
}

/// Makes the sandbox, which nobody is in yet. There is no other thread.
///
/// # Errors
/// [`SandboxError`].
pub fn prepare(spec: &SandboxSpec, mut confined: Confined<'_>) -> Result<(), SandboxError> {
    let otherwise = match spec.mode {
        SandboxMode::On => Otherwise::Trap,
        SandboxMode::Log => Otherwise::Log,
        SandboxMode::Off => return Ok(()),
    };
    let host = |what| move |error: io::Error| SandboxError::Host { what, error };
    kept::keep_all().map_err(host("files of the kernel's"))?;
    ask_early().map_err(host("a thread"))?;
    panic_without_a_trace();
    let filters = Kind::ALL.into_iter().map(|kind| Ok((kind, Filter::compile(kind, otherwise)?)));
    let filters = filters.collect::<Result<_, FilterError>>()?;
    let mut rules = None;
    if spec.mode == SandboxMode::On {
        rules = Some(Rules::new(std::mem::take(&mut confined.paths), &spec.allowed)?);
        violation::watch().map_err(host("SIGSYS"))?;
        give_up_new_privileges()?;
        // What a guest has in memory, and what of it passes through here, is not for the host's disk.
        if !spec.limits.iter().any(|(limit, _)| *limit == Limit::Core) {
            limits::set(Limit::Core, 0).map_err(host("core dumps"))?;
        }
    }
    let places = Places::new(&spec.allowed, &confined);
    let sandbox = Sandbox { filters, rules, places, tried: spec.tried.clone() };
    SANDBOX.set(sandbox).map_err(|_| host("twice")(io::ErrorKind::AlreadyExists.into()))
}

/// Starts a thread that is in the sandbox of its kind from its beginning. All threads of a machine are started here.
///
/// # Errors
/// When the host has no thread left.
pub fn spawn<T: Send + 'static>(
    kind: Kind,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        if let Err(error) = enter(kind) {
            complain(format_args!("dimmer: thread {}: {error}", name_of_this()));
            std::process::exit(STATUS);
        }
        work()
    })
}

/// The main thread, with which the sandbox is closed: from now on nothing is opened but what it allows.
///
/// # Errors
/// [`SandboxError`].
pub fn close() -> Result<(), SandboxError> {
    enter(Kind::EventLoop)?;
    CLOSED.store(true, Ordering::SeqCst);
    Ok(())
}

fn enter(kind: Kind) -> Result<(), SandboxError> {
    let Some(sandbox) = SANDBOX.get() else { return Ok(()) };
    if let Some(rules) = &sandbox.rules
        && !CLOSED.load(Ordering::SeqCst)
    {
        let host = |what| move |error| SandboxError::Host { what, error };
        capabilities::drop_all().map_err(|error| host("capabilities")(error.into()))?;
        let kept = paths::keep_to(rules.of(kind).try_clone().map_err(host("rules about files"))?)?;
        if !kept && kind == Kind::EventLoop {
            tracing::warn!("this host's kernel has no Landlock: the sandbox does without rules about files");
        }
    }
    sandbox.filters[&kind].install()?;
    if sandbox.tried.as_deref().is_some_and(|tried| tried == name_of_this()) {
        // On no list.
        let _ = rustix::process::getppid();
    }
    Ok(())
}

fn name_of_this() -> String {
    thread::current().name().unwrap_or("without a name").to_owned()
}

fn give_up_new_privileges() -> Result<(), SandboxError> {
    capabilities::give_no_new()
        .map_err(|error| SandboxError::Host { what: "capabilities", error: error.into() })
}

/// The calling process, which has one thread, has no capabilities from now on, and what it starts gets none.
///
/// # Errors
/// [`SandboxError`].
pub fn give_up_privileges() -> Result<(), SandboxError> {
    give_up_new_privileges()?;
    capabilities::drop_all().map_err(|error| SandboxError::Host { what: "capabilities", error: error.into() })
}

/// A panic says where it was, and not how it got there, whatever RUST_BACKTRACE says: for that the standard library opens this
/// program's file, and to have read it before costs each machine time and a hundred megabytes where symbols are there.
fn panic_without_a_trace() {
    std::panic::set_hook(Box::new(|panic| {
        complain(format_args!("dimmer: thread {}: {panic}", name_of_this()));
    }));
}

/// Has what a process opens once, whenever it comes to need it, opened now.
fn ask_early() -> io::Result<()> {
    // The C library's allocator, before it gives memory of a thread's own back (glibc, malloc/arena.c, `check_may_shrink_heap`):
    // whether the host overcommits memory. Pieces are below the size from which on each is a mapping.
    const PIECE: usize = 100_000;
    let pieces = || drop(std::hint::black_box([(); 8].map(|()| vec![1_u8; PIECE])));
    // It does not panic.
    let _ = thread::Builder::new().spawn(pieces)?.join();
    Ok(())
}

/// The directories of these paths' files.
pub fn directories<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Vec<&'a Path> {
    paths.into_iter().map(paths::parent).collect()
}
