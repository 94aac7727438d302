//! The machine's process: this very binary under another name.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// A processor of an emulated host that a machine has for itself, as far as there are enough.
#[derive(Debug)]
pub(super) struct Processor(Option<usize>);

/// Machines on each processor of an emulated host, by its number.
static MACHINES: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

fn machines() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    MACHINES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Processor {
    /// The processor of `processors` with the fewest machines.
    fn take(processors: impl Iterator<Item = usize>) -> Option<usize> {
        let mut machines = machines();
        let least = processors.min_by_key(|index| machines.get(index).copied().unwrap_or(0))?;
        *machines.entry(least).or_default() += 1;
        Some(least)
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        let Self(Some(index)) = self else { return };
        if let Some(count) = machines().get_mut(index) {
            *count -= 1;
        }
    }
}

/// Starts a process; inside an emulated host on one processor, which counts as taken until the
/// [`Processor`] goes.
///
/// Guests with several vCPUs on several emulated processors took the emulated host down within a few
/// boots (QEMU 7.2: corrupted kernel stacks); pinned to one processor, eight boots in a row did not.
pub(super) fn on_one_processor(spawn: impl FnOnce() -> io::Result<Child>) -> io::Result<(Child, Processor)> {
    if !crate::host::is_emulated() {
        return Ok((spawn()?, Processor(None)));
    }
    let before = sched_getaffinity(None)?;
    let processor = Processor(Processor::take((0..CpuSet::MAX_CPU).filter(|index| before.is_set(*index))));
    let mut one = CpuSet::new();
    if let Processor(Some(index)) = processor {
        one.set(index);
    }
    // A child inherits what its parent's thread has at that moment.
    sched_setaffinity(None, &one)?;
    let child = spawn();
    sched_setaffinity(None, &before)?;
    Ok((child?, processor))
}
