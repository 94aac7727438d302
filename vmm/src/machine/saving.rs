//! A snapshot of the machine: its state is taken at once, and another thread writes the memory, while the event loop goes on
//! and the machine stays as it is.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::Machine;
use super::wake::Wake;
use crate::chain::chain;
use crate::control::{Command, Refusal, Reply, ReplyTo, VmState};
use crate::defect;
use crate::events::MachineEvent;
use crate::snapshot::memory::Pieces;
use crate::snapshot::{self, SnapshotError};

type Written = Result<(), SnapshotError>;

/// A snapshot that is being written, and who waits for it. When dropped it is given up.
#[derive(Debug)]
pub(super) struct Saving {
    reply: Option<ReplyTo>,
    place: PathBuf,
    thread: Option<JoinHandle<Written>>,
    given_up: Arc<AtomicBool>,
    /// Whether the vCPUs are to run again afterwards.
    was_running: bool,
}

impl Machine {
    /// Refuses what would change a machine of which a snapshot is being taken.
    pub(super) fn check_free(&self, command: &Command) -> Result<(), Refusal> {
        if self.saving.is_none() || command.only_looks() {
            return Ok(());
        }
        Err(Refusal::Conflict(
            "a snapshot of the machine is being taken; until it is there the machine stays as it is"
                .to_owned(),
        ))
    }

    /// Begins a snapshot at `place`; the answer comes when it is there.
    pub(super) fn snapshot(&mut self, place: PathBuf, reply: ReplyTo) {
        let was_running = self.state == VmState::Running;
        if let Err(refusal) = self.begin_snapshot(place, was_running) {
            self.release(was_running);
            return drop(reply.send(Err(refusal)));
        }
        if let Some(saving) = &mut self.saving {
            saving.reply = Some(reply);
        }
    }

    fn begin_snapshot(&mut self, place: PathBuf, was_running: bool) -> Result<(), Refusal> {
        self.check_snapshot(&place)?;
        self.pause();
        let audit = self.audit();
        if !audit.ok {
            let problems = audit.problems.join("; ");
            return Err(Refusal::Conflict(format!("the machine's books do not agree: {problems}")));
        }
        let state = self.state().map_err(|error| Refusal::Host(chain(&error)))?;
        self.wiring.hold(true);
        self.alarms.hold(true);
        let given_up = Arc::new(AtomicBool::new(false));
        let (ram, files, waker) = (self.ram.clone(), self.files.clone(), self.waker.clone());
        let work = {
            let (place, given_up) = (place.clone(), given_up.clone());
            move || {
                let pieces = state.memory.pieces.clone();
                let length = Pieces::new(&pieces).map_or(0, |pieces| pieces.length());
                let go_on = || !given_up.load(Ordering::Relaxed);
                let save = |file: &_| ram.save(&pieces, file, &go_on);
                let write = || snapshot::write(&place, state, || files.marks(), length, save);
                let written = catch_unwind(AssertUnwindSafe(write));
                waker.wake(Wake::Saved);
                written.unwrap_or_else(|panic| resume_unwind(panic))
            }
        };
        let thread = std::thread::Builder::new().name("snapshot".to_owned()).spawn(work);
        let thread = thread.map_err(|error| Refusal::Host(format!("a thread for the snapshot: {error}")))?;
        self.saving = Some(Saving { reply: None, place, thread: Some(thread), given_up, was_running });
        Ok(())
    }

    fn check_snapshot(&self, place: &Path) -> Result<(), Refusal> {
        if !place.is_absolute() {
            let text =
                format!("destination: {:?} must begin with /: the machine has a directory of its own", place);
            return Err(Refusal::Invalid(text));
        }
        if self.spec.nested {
            let text = "this machine shows its guest the CPU's virtualization (--nested), whose state a snapshot does not have";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        if self.preparing.is_busy() {
            let text = "memory of a DIMM is being populated; a snapshot can be taken once the DIMM is there";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        Ok(())
    }

    /// The snapshot that was being written is there, or could not be had.
    pub(super) fn saved(&mut self) {
        let Some(mut saving) = self.saving.take() else { return };
        let written = saving.join();
        self.release(saving.was_running);
        if written.is_ok() {
            self.hub.machine(MachineEvent::SnapshotTaken { destination: saving.place.clone() });
        }
        if let Some(reply) = saving.reply.take() {
            // Who asked may have gone away meanwhile.
            drop(reply.send(written.map(|()| Reply::Done)));
        }
    }

    /// The machine is let go again.
    fn release(&mut self, was_running: bool) {
        self.wiring.hold(false);
        self.alarms.hold(false);
        if was_running {
            self.resume();
        }
    }
}

impl Saving {
    fn join(&mut self) -> Result<(), Refusal> {
        let joined = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        match joined {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error @ SnapshotError::Place { .. })) => {
                Err(Refusal::Conflict(format!("destination: {error}")))
            }
            Ok(Err(error)) => Err(Refusal::Host(format!("destination: {}", chain(&error)))),
            Err(panic) => {
                Err(Refusal::Host(format!("the snapshot met a defect: {}", defect::words(&*panic))))
            }
        }
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        // Nobody waits for it any more; what was written aside goes with its thread.
        let _ = self.join();
    }
}
