//! The machine's process: this very binary under another name.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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

/// Starts a process; inside an emulated host on one processor, another one each time.
///
/// Guests with several vCPUs on several emulated processors took the emulated host down within a few
/// boots (QEMU 7.2: corrupted kernel stacks); pinned to one processor, eight boots in a row did not.
pub(super) fn on_one_processor(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<Child> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if !crate::host::is_emulated() {
        return spawn();
    }
    let before = sched_getaffinity(None)?;
    let processors: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|index| before.is_set(*index)).collect();
    let mut one = CpuSet::new();
    one.set(processors[NEXT.fetch_add(1, Ordering::Relaxed) % processors.len()]);
    // A child inherits what its parent's thread has at that moment.
    sched_setaffinity(None, &one)?;
    let child = spawn();
    sched_setaffinity(None, &before)?;
    child
}
