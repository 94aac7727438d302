//! Snapshots and images for forks: the machine's state is taken at once, and another thread writes the memory, while the event
//! loop goes on and the machine stays as it is.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use super::Machine;
use super::forking::check_fork;
use super::vcpu::Vcpus;
use crate::chain::chain;
use crate::control::{Command, Refusal, Reply, ReplyTo, VmState};
use crate::events::MachineEvent;
use crate::sandbox;
use crate::snapshot::SnapshotError;
use crate::spec::{ForkSpec, SnapshotSpec};

mod writer;

pub(super) use writer::{Work, Writer};

/// What the machine is written down for.
#[derive(Debug)]
pub(super) enum Save {
    /// A snapshot.
    Snapshot(SnapshotSpec),
    /// A child.
    Fork(ForkSpec),
}

/// What comes of it: nothing but the snapshot, or an image.
type Written = Result<Option<File>, Refusal>;

/// What is being written, and who waits for it. When dropped it is given up.
#[derive(Debug)]
pub(super) struct Saving {
    wanted: Option<(Save, ReplyTo)>,
    /// The id of what is written, if it is a snapshot.
    id: Option<String>,
    written: Option<Receiver<Written>>,
    given_up: Arc<AtomicBool>,
    /// Whether the vCPUs are to run again afterwards.
    was_running: bool,
}

/// What has begun.
struct Begun {
    id: Option<String>,
    written: Receiver<Written>,
    given_up: Arc<AtomicBool>,
}

impl Machine {
    /// Refuses what would change a machine that is being written down.
    pub(super) fn check_free(&self, command: &Command) -> Result<(), Refusal> {
        if self.saving.is_none() || command.only_looks() {
            return Ok(());
        }
        let text = "the machine is being written to a snapshot, or an image for a fork; until that is there it stays as it is";
        Err(Refusal::Conflict(text.to_owned()))
    }

    /// Begins a snapshot or a fork; the answer comes when it is there.
    pub(super) fn save(&mut self, save: Save, reply: ReplyTo) {
        if let Err(refusal) = self.check_save(&save) {
            return drop(reply.send(Err(refusal)));
        }
        match (&self.image, save) {
            (Some(image), Save::Fork(fork)) => self.start_child(image.clone(), fork, reply),
            (_, save) => {
                self.forget_image();
                self.write_down(save, reply);
            }
        }
    }

    fn write_down(&mut self, save: Save, reply: ReplyTo) {
        let was_running = self.state == VmState::Running;
        match self.begin_to_write(&save) {
            Ok(Begun { id, written, given_up }) => {
                let wanted = Some((save, reply));
                self.saving = Some(Saving { wanted, id, written: Some(written), given_up, was_running });
            }
            Err(refusal) => {
                self.track_as_before();
                self.release(was_running);
                drop(reply.send(Err(refusal)));
            }
        }
    }

    fn begin_to_write(&mut self, save: &Save) -> Result<Begun, Refusal> {
        self.pause();
        if self.vcpus.as_ref().is_none_or(Vcpus::are_done) {
            let text = "the guest has asked for a reset, or has ended; what comes of that comes first";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        self.hold(true);
        if let Err(device) = self.wiring.settle() {
            let text = format!("{device}: the host does not come to an end with what the guest asked of it");
            return Err(Refusal::Conflict(text));
        }
        let audit = self.audit();
        if !audit.ok {
            let problems = audit.problems.join("; ");
            return Err(Refusal::Conflict(format!("the machine's books do not agree: {problems}")));
        }
        let state = self.state().map_err(|error| Refusal::Host(chain(&error)))?;
        let given_up = Arc::new(AtomicBool::new(false));
        let place = match save {
            Save::Snapshot(wanted) => {
                Some((wanted.destination.clone(), self.which(wanted, &state.memory.pieces)?))
            }
            Save::Fork(_) => None,
        };
        let id = place.as_ref().map(|(_, which)| which.id.clone());
        let work = Work {
            place,
            state,
            files: self.files.clone(),
            ram: self.ram.clone(),
            given_up: given_up.clone(),
        };
        Ok(Begun { id, written: self.writer.begin(work), given_up })
    }

    fn check_save(&self, save: &Save) -> Result<(), Refusal> {
        match save {
            Save::Snapshot(wanted) => {
                check_place(&wanted.destination)?;
                self.check_base(wanted)?;
            }
            Save::Fork(fork) => check_fork(fork, &self.spec)?,
        }
        if self.spec.nested {
            let text = "this machine shows its guest the CPU's virtualization (--nested), whose state cannot be written down";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        if self.preparing.is_busy() {
            let text = "memory of a DIMM is being populated; ask again once the DIMM is there";
            return Err(Refusal::Conflict(text.to_owned()));
        }
        Ok(())
    }

    /// What was being written is there, or could not be had.
    pub(super) fn saved(&mut self) {
        let Some(mut saving) = self.saving.take() else { return };
        let written = saving.join();
        let Some((save, reply)) = saving.wanted.take() else { return };
        let image = match written {
            Ok(image) => image.map(Arc::new),
            Err(refusal) => {
                self.track_as_before();
                self.release(saving.was_running);
                return drop(reply.send(Err(refusal)));
            }
        };
        // A machine that stays stopped stays as it is: its next children begin with the same image.
        self.image = image.clone().filter(|_| !saving.was_running);
        if let (Save::Snapshot(written), Some(id)) = (&save, saving.id.take()) {
            self.track_from(written, id);
        }
        if self.image.is_none() {
            self.release(saving.was_running);
        }
        match (save, image) {
            (Save::Fork(fork), Some(image)) => self.start_child(image, fork, reply),
            (Save::Snapshot(SnapshotSpec { destination, base, .. }), _) => {
                self.hub.machine(MachineEvent::SnapshotTaken { destination, base });
                // Who asked may have gone away meanwhile.
                drop(reply.send(Ok(Reply::Done)));
            }
            (Save::Fork(_), None) => unreachable!("an image is written for a fork"),
        }
    }

    /// Something of the machine changes: children that come later do not begin as those before.
    pub(super) fn forget_image(&mut self) {
        if self.image.take().is_some() {
            self.hold(false);
        }
    }

    /// The machine is let go again.
    fn release(&mut self, was_running: bool) {
        self.hold(false);
        if was_running {
            self.resume();
        }
    }

    /// While held, nothing of the machine changes by itself.
    pub(super) fn hold(&self, held: bool) {
        self.wiring.hold(held);
        self.alarms.hold(held);
    }
}

fn check_place(place: &Path) -> Result<(), Refusal> {
    if place.is_absolute() {
        return sandbox::check("destination", place);
    }
    let place = place.display();
    Err(Refusal::Invalid(format!(
        "destination: {place} must begin with /: the machine has a directory of its own"
    )))
}

fn refused(error: SnapshotError) -> Refusal {
    let text = format!("destination: {}", chain(&error));
    match error {
        SnapshotError::Place { .. } => Refusal::Conflict(text),
        SnapshotError::Host { .. } | SnapshotError::Content { .. } => Refusal::Host(text),
    }
}

impl Saving {
    fn join(&mut self) -> Written {
        let Some(written) = self.written.take() else { return Ok(None) };
        let ended = |_| Err(Refusal::Host("the thread that writes snapshots has ended".to_owned()));
        written.recv().unwrap_or_else(ended)
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        // Nobody waits for it any more; what was written aside goes with its thread.
        let _ = self.join();
    }
}
