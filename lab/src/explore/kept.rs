//! A guest that serves several histories: booting takes most of a run's time.
//!
//! After a history everything is taken out of the guest again. It is only kept when its layout is then the
//! one it had after its boot, in every block, zone and group. A history that shows a difference in a kept
//! guest is carried out in a new one, and only what comes of that counts.

use std::error::Error;
use std::time::Instant;

use dimmer_agent::report::Layout;
use dimmer_images::Kernel;

use super::hunt::{Found, Hunted, hunt};
use super::timed::{Times, since};
use super::worker::Task;
use crate::check::guest::Guest;
use crate::check::subject::Subject;
use crate::real::RealError;
use crate::scenario::{self, Requests};
use crate::scenario::{Action, Effect, Machine, Scenario};
use crate::vm;

impl Subject for Guest {
    type Error = RealError;

    fn apply(&mut self, action: &Action<'_>, predicted: &Effect) -> Result<Effect, RealError> {
        self.real.apply(action, predicted)
    }

    fn layout(&mut self) -> Result<Layout, RealError> {
        self.real.layout()
    }

    fn requests(&mut self) -> Result<Requests, RealError> {
        self.real.new_requests()
    }

    fn plugged(&mut self) -> Result<Option<u64>, RealError> {
        self.real.plugged()
    }

    fn log(&mut self, wanted: &[String]) -> Result<Vec<String>, RealError> {
        self.real.new_log(wanted)
    }

    fn ran_out_of_memory(&self) -> bool {
        self.real.ran_out_of_memory()
    }
}

/// The place of one guest, which may be empty.
#[derive(Debug, Default)]
pub struct Seat(Option<Kept>);

#[derive(Debug)]
struct Kept {
    kernel: String,
    machine: Machine,
    settings: scenario::Guest,
    guest: Guest,
}

impl Seat {
    /// Carries a task out, in the guest that is here if it has the task's machine.
    pub fn carry_out(&mut self, task: &Task, kernel: &Kernel) -> (Found, Times) {
        match self.0.take() {
            Some(kept) if kept.is_for(task) => {
                let (found, times) = self.attempt(task, || kept.guest.set_up(&task.scenario));
                if matches!(found, Found::Nothing { .. }) {
                    return (found, times);
                }
            }
            kept => {
                if let Err(error) = gone(kept) {
                    return lost(&*error);
                }
            }
        }
        self.attempt(task, || Guest::boot(&task.scenario, kernel))
    }

    fn attempt(&mut self, task: &Task, boot: impl FnOnce() -> Result<Guest, RealError>) -> (Found, Times) {
        let audited = vm::audited(|| {
            let Hunted { found, mut times, guest } = hunt(boot, &task.scenario, task.mistake);
            let begun = Instant::now();
            self.0 =
                guest.filter(|_| matches!(found, Found::Nothing { .. })).and_then(|guest| kept(task, guest));
            times.sweep = since(begun);
            times.all += times.sweep;
            Ok((found, times))
        });
        audited.unwrap_or_else(|error| lost(&*error))
    }
}

/// Nobody comes any more.
impl Drop for Seat {
    fn drop(&mut self) {
        if let Err(error) = gone(self.0.take()) {
            eprintln!("dimmer-lab: {}", crate::chain(&*error));
        }
    }
}

/// Ends a machine, whose books must agree then.
fn gone(kept: Option<Kept>) -> Result<(), Box<dyn Error>> {
    vm::audited(|| {
        drop(kept);
        Ok(())
    })
}

fn lost(error: &dyn Error) -> (Found, Times) {
    (Found::Lost { why: crate::chain(error) }, Times::default())
}

/// The guest, if it can be brought back to what it showed after its boot.
fn kept(task: &Task, guest: Guest) -> Option<Kept> {
    let guest = guest.bring_back(&task.scenario)?;
    let Scenario { machine, guest: settings, .. } = task.scenario.clone();
    let books_agree = guest.real.vm.rest.audit().is_ok_and(|audit| audit.ok);
    books_agree.then(|| Kept { kernel: task.kernel.clone(), machine, settings, guest })
}

impl Kept {
    fn is_for(&self, task: &Task) -> bool {
        let Scenario { machine, guest, .. } = &task.scenario;
        (&self.kernel, &self.machine, &self.settings) == (&task.kernel, machine, guest)
    }
}
