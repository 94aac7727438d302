//! DIMMs whose host memory is populated or set aside before the guest gets them (`prealloc=on`, `reserve=on`): another
//! thread does that, for one device after the other, while the event loop goes on.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::HostError;

use super::Machine;
use super::commands::refused_dimm;
use super::saving::Save;
use super::wake::Wake;
use crate::control::{Command, Letter, Refusal, ReplyTo};
use crate::defect;
use crate::sandbox::{self, Kind};
use crate::spec::DimmSpec;

/// The devices that are on their way.
#[derive(Debug, Default)]
pub(super) struct Preparing {
    current: Option<Current>,
    /// Those that come later, oldest first.
    waiting: VecDeque<Pending>,
}

impl Preparing {
    /// Whether a device's memory is being populated.
    pub(super) const fn is_busy(&self) -> bool {
        self.current.is_some()
    }
}

/// A device, and who waits for the answer.
#[derive(Debug)]
struct Pending {
    dimm: DimmSpec,
    reply: ReplyTo,
}

/// The device whose memory is being populated.
#[derive(Debug)]
struct Current {
    pending: Pending,
    thread: JoinHandle<Result<(), HostError>>,
}

impl Machine {
    /// Carries out a command and answers it; at once, but for a DIMM whose memory takes its time.
    pub(super) fn answer(&mut self, letter: Letter) {
        let Some(Letter { command, reply }) = self.after_reset(letter) else { return };
        if let Err(refusal) = self.check_free(&command) {
            return drop(reply.send(Err(refusal)));
        }
        let command = match command {
            Command::Snapshot(wanted) => return self.save(Save::Snapshot(wanted), reply),
            Command::Fork(fork) => return self.save(Save::Fork(fork), reply),
            Command::Reboot => {
                self.forget_image();
                return self.reset(Some(reply));
            }
            other => other,
        };
        if !command.only_looks() {
            self.forget_image();
        }
        let slow = self.spec.memory.prealloc || self.spec.memory.reserve;
        let dimm = if slow { self.dimm_of(&command) } else { None };
        match dimm {
            Some(dimm) => {
                self.preparing.waiting.push_back(Pending { dimm, reply });
                self.prepare_next();
            }
            // Who asked may have gone away meanwhile.
            None => drop(reply.send(self.handle(command))),
        }
    }

    /// The DIMM that a command adds.
    fn dimm_of(&self, command: &Command) -> Option<DimmSpec> {
        match command {
            Command::AddDimm(dimm) => Some(dimm.clone()),
            Command::ResizeTotal(total) => self.dimm_for(*total),
            _ => None,
        }
    }

    /// Begins with the next device, unless one is under way: which addresses are free is certain only when those before
    /// have theirs.
    fn prepare_next(&mut self) {
        while self.preparing.current.is_none() {
            let Some(Pending { dimm, reply }) = self.preparing.waiting.pop_front() else { return };
            match self.begin(dimm) {
                Ok((dimm, thread)) => {
                    self.preparing.current = Some(Current { pending: Pending { dimm, reply }, thread });
                }
                Err(refusal) => drop(reply.send(Err(refusal))),
            }
        }
    }

    /// Begins with a device; returns it as one that gets the addresses whose memory is populated.
    fn begin(
        &self,
        DimmSpec { dimm, notify }: DimmSpec,
    ) -> Result<(DimmSpec, JoinHandle<Result<(), HostError>>), Refusal> {
        let slots = self.check_dimm(&dimm)?;
        let (dimm, ranges) = lock(slots).placed(dimm).map_err(|error| refused_dimm(&error))?;
        self.ram.set_node(&dimm.id, dimm.node);
        let (ram, waker, id) = (Arc::clone(&self.ram), self.waker.clone(), dimm.id.clone());
        let work = move || {
            let prepared = answered(|| ram.prepare(&id, &ranges));
            waker.wake(Wake::Prepared);
            prepared
        };
        let thread = sandbox::spawn(Kind::Memory, "prealloc", work);
        let thread = thread.map_err(|error| Refusal::Host(format!("a thread for prealloc: {error}")))?;
        Ok((DimmSpec { dimm, notify }, thread))
    }

    /// The memory of the device that is under way is there, or is not to be had.
    pub(super) fn prepared(&mut self) {
        let Some(Current { pending: Pending { dimm, reply }, thread }) = self.preparing.current.take() else {
            return;
        };
        let prepared = thread.join().unwrap_or_else(|panic| Err(HostError(panicked(&*panic))));
        let answer = match prepared {
            Ok(()) => self.add_dimm(dimm),
            Err(error) => Err(Refusal::Host(format!("the host could not do it: {error}"))),
        };
        // All of it is the device's now, unless the device was refused.
        self.ram.forget_prepared();
        drop(reply.send(answer));
        self.prepare_next();
    }
}

/// What comes of `work`. A panic is an answer, too: who waits for this device, and those behind it, go on.
fn answered(work: impl FnOnce() -> Result<(), HostError>) -> Result<(), HostError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(HostError(panicked(&*panic))))
}

fn panicked(panic: &(dyn Any + Send)) -> String {
    format!("prealloc has a defect: {}", defect::words(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer() {
        answered(|| Ok(())).unwrap();
        let said = |work: fn() -> Result<(), HostError>| answered(work).unwrap_err().to_string();
        assert_eq!(said(|| Err(HostError("out of memory".to_owned()))), "out of memory");
        assert_eq!(said(|| panic!("it went wrong")), "prealloc has a defect: it went wrong");
    }
}
