//! A guest that serves several histories: booting takes most of a run's time, so each history is carried out on a child of a
//! guest that has booted with its machine.

use std::error::Error;

use dimmer_images::Kernel;

use super::hunt::{Found, hunt};
use super::timed::Times;
use super::worker::Task;
use crate::real::{RealError, Warm};
use crate::scenario::{self, Machine, Scenario};
use crate::vm;

/// The place of one warm guest, whose children carry histories out.
#[derive(Debug, Default)]
pub struct Seat(Option<Kept>);

#[derive(Debug)]
struct Kept {
    kernel: String,
    machine: Machine,
    settings: scenario::Guest,
    warm: Warm,
}

impl Seat {
    /// Carries a task out, on a child of the guest that is here if it has the task's machine, or else of one that boots.
    pub fn carry_out(&mut self, task: &Task, kernel: &Kernel) -> (Found, Times) {
        if !self.0.as_ref().is_some_and(|kept| kept.is_for(task))
            && let Err(error) = gone(self.0.take())
        {
            return lost(&*error);
        }
        let audited = vm::audited(|| {
            let boot = || self.warm(task, kernel)?.child(&task.scenario);
            Ok(hunt(boot, &task.scenario, task.mistake))
        });
        audited.unwrap_or_else(|error| lost(&*error))
    }

    fn warm(&mut self, task: &Task, kernel: &Kernel) -> Result<&Warm, RealError> {
        if self.0.is_none() {
            let warm = Warm::boot(&task.scenario, kernel)?;
            let Scenario { machine, guest: settings, .. } = task.scenario.clone();
            self.0 = Some(Kept { kernel: task.kernel.clone(), machine, settings, warm });
        }
        Ok(&self.0.as_ref().expect("it was just put there").warm)
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

impl Kept {
    fn is_for(&self, task: &Task) -> bool {
        let Scenario { machine, guest, .. } = &task.scenario;
        (&self.kernel, &self.machine, &self.settings) == (&task.kernel, machine, guest)
    }
}
