//! Resets: guest memory is emptied, and populated where that was asked for (`prealloc=on`), by another thread, while the event
//! loop goes on. There is no guest then. What only looks at the machine is answered; what changes it, or looks at memory,
//! comes when the guest starts again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use dimmer_devices::bus::lock;

use super::end::End;
use super::ram::RamError;
use super::vcpu::{VcpuError, Vcpus};
use super::wake::Wake;
use super::{Machine, MachineError};
use crate::chain::chain;
use crate::control::{Command, Letter, Refusal, Reply, ReplyTo};
use crate::defect;
use crate::events::MachineEvent;
use crate::sandbox::{self, Kind};

/// A reset that is under way. Its thread is left behind when the machine ends, and ends with the process.
#[derive(Debug)]
pub(super) struct Resetting {
    thread: JoinHandle<Result<(), RamError>>,
    /// Who asked for it, unless it was the guest.
    reply: Option<ReplyTo>,
    /// What came meanwhile and has to wait.
    letters: Vec<Letter>,
    /// Whether memory of a DIMM has been populated meanwhile.
    prepared: bool,
}

impl Machine {
    /// Starts the machine again with the same devices: DIMMs stay in, virtio-mem devices start empty and ask for their
    /// requested size again. Who asked is answered when the guest starts.
    pub(super) fn reset(&mut self, reply: Option<ReplyTo>) {
        match self.begin_reset(reply.is_none()) {
            Ok(thread) => {
                self.hold(true);
                self.resetting = Some(Resetting { thread, reply, letters: Vec::new(), prepared: false });
            }
            Err(error) => self.end_reset(reply, Err(error)),
        }
    }

    fn begin_reset(&mut self, by_guest: bool) -> Result<JoinHandle<Result<(), RamError>>, MachineError> {
        self.vcpus.take().map_or(Ok(()), Vcpus::end)?;
        self.hub.machine(MachineEvent::Resetting { by_guest });
        self.resets = self.resets.saturating_add(1);
        self.wiring.reset();
        *lock(&self.panic) = None;
        self.reserve.release();
        self.board.replace()?;
        // The vCPUs come later, and clients meanwhile.
        self.fill_reserve();
        let (ram, waker) = (Arc::clone(&self.ram), self.waker.clone());
        let work = move || match catch_unwind(AssertUnwindSafe(|| ram.reset())) {
            Ok(renewed) => {
                waker.wake(Wake::Renewed);
                renewed
            }
            Err(panic) => {
                waker.wake(Wake::Defect(defect::words(&*panic)));
                Ok(())
            }
        };
        let thread = sandbox::spawn(Kind::Memory, "reset", work);
        Ok(thread.map_err(VcpuError::Thread)?)
    }

    /// Memory is as the next guest is to find it, or could not be made so.
    pub(super) fn renewed(&mut self) {
        let Some(Resetting { thread, reply, letters, prepared }) = self.resetting.take() else { return };
        self.hold(false);
        self.reserve.release();
        // What panics there has told so, and does not come here.
        let renewed = thread.join().unwrap_or(Ok(())).map_err(MachineError::from);
        let started = renewed.and_then(|()| self.start());
        self.fill_reserve();
        self.end_reset(reply, started);
        if prepared {
            self.prepared();
        }
        letters.into_iter().for_each(|letter| self.answer(letter));
    }

    /// Ends the machine, if there was no guest to start, and answers.
    fn end_reset(&mut self, reply: Option<ReplyTo>, started: Result<(), MachineError>) {
        let answer = started.map_err(|error| {
            let reason = format!("cannot start again after a reset: {}", chain(&error));
            self.finish(End::Failed(reason.clone()));
            Refusal::Host(reason)
        });
        if let Some(reply) = reply {
            // Who asked may have gone away meanwhile.
            drop(reply.send(answer.map(|()| Reply::Done)));
        }
    }

    fn fill_reserve(&mut self) {
        if let Err(error) = self.reserve.fill() {
            tracing::warn!("the next reset may fail for want of descriptors: {error}");
        }
    }

    /// Gives the letter back unless it has to wait for the end of a reset.
    pub(super) fn after_reset(&mut self, letter: Letter) -> Option<Letter> {
        match &mut self.resetting {
            Some(resetting) if waits(&letter.command) => resetting.letters.push(letter),
            _ => return Some(letter),
        }
        None
    }

    /// Gives the wake-up back unless it is to wait for the end of a reset, or has come to nothing by it.
    pub(super) fn awake_after_reset(&mut self, wake: Wake) -> Option<Wake> {
        match (&mut self.resetting, &wake) {
            (Some(resetting), Wake::Prepared) => resetting.prepared = true,
            // The guest that asked for it is gone already.
            (Some(_), Wake::Reset | Wake::Bitten) => {}
            _ => return Some(wake),
        }
        None
    }
}

/// Whether a command waits for the end of a reset: it changes the machine, or reads the books about memory.
fn waits(command: &Command) -> bool {
    !command.only_looks() || *command == Command::Audit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_reset_shows_itself_and_can_be_ended_but_changes_nothing() {
        let size = Command::Resize { id: "m".to_owned(), size: 0 };
        for command in [size, Command::Pause, Command::Reboot, Command::Audit, Command::ResizeTotal(0)] {
            assert!(waits(&command), "{command:?}");
        }
        for command in [Command::Info, Command::Devices, Command::Faults, Command::Shutdown] {
            assert!(!waits(&command), "{command:?}");
        }
    }
}
