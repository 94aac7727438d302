//! A guest that serves several histories: booting takes most of a run's time.
//!
//! After a history everything is taken out of the guest again. It is only kept when its layout is then the
//! one it had after its boot, in every block, zone and parameter. A history that shows a difference in a
//! kept guest is carried out in a new one, and only what comes of that counts.

use std::error::Error;
use std::time::Instant;

use dimmer::ctl::client::{Method, segment};
use dimmer_agent::report::Layout;
use dimmer_images::Kernel;
use serde_json::json;

use super::hunt::{Found, Hunted, hunt};
use super::timed::{Times, since};
use super::worker::Task;
use crate::scenario::real::{Real, RealError};
use crate::scenario::{Action, Effect, Guest, Inject, Machine, Parameters, Scenario};
use crate::vm;

/// Seconds that a device may take to go.
const PATIENCE: u32 = 10;

/// The place of one guest, which may be empty.
#[derive(Debug, Default)]
pub struct Seat(Option<Kept>);

#[derive(Debug)]
struct Kept {
    kernel: String,
    machine: Machine,
    guest: Guest,
    real: Real,
}

impl Seat {
    /// Carries a task out, in the guest that is here if it has the task's machine.
    pub fn carry_out(&mut self, task: &Task, kernel: &Kernel) -> (Found, Times) {
        match self.0.take() {
            Some(kept) if kept.is_for(task) => {
                let (found, times) = self.attempt(task, || Ok(kept.real));
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
        self.attempt(task, || Real::boot(&task.scenario, kernel))
    }

    fn attempt(&mut self, task: &Task, boot: impl FnOnce() -> Result<Real, RealError>) -> (Found, Times) {
        let audited = vm::audited(|| {
            let Hunted { found, mut times, guest } = hunt(boot, &task.scenario, task.mistake);
            let begun = Instant::now();
            if let Some((real, boot)) = guest.filter(|_| matches!(found, Found::Nothing { .. })) {
                self.0 = swept(task, real, &boot);
            }
            times.sweep = since(begun);
            times.all += times.sweep;
            Ok((found, times))
        });
        audited.unwrap_or_else(|error| lost(&*error))
    }

    /// Nobody comes any more.
    pub fn leave(self) {
        if let Err(error) = gone(self.0) {
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
        (&self.kernel, &self.machine, &self.guest) == (&task.kernel, machine, guest)
    }
}

/// The guest, if it can be brought back to what it showed after its boot.
fn swept(task: &Task, mut real: Real, boot: &Layout) -> Option<Kept> {
    let Scenario { machine, guest, .. } = &task.scenario;
    let clean = sweep(&mut real, &task.scenario).ok()?;
    let same = clean && real.vm.settled().ok()? == *boot && real.vm.rest.audit().ok()?.ok;
    // What the guest reported of this is none of the next history's.
    real.apply(&Action::Set(&Parameters::default()), &Effect::default()).ok()?;
    same.then(|| Kept { kernel: task.kernel.clone(), machine: machine.clone(), guest: guest.clone(), real })
}

/// Takes everything back that the history may have done. Returns whether the guest let all memory go.
fn sweep(real: &mut Real, scenario: &Scenario) -> Result<bool, RealError> {
    let guest = &scenario.guest;
    let settings = Parameters {
        online_policy: Some(guest.online_policy),
        auto_movable_ratio: Some(guest.auto_movable_ratio),
        auto_movable_numa_aware: Some(guest.auto_movable_numa_aware),
        auto_online_blocks: Some(guest.auto_online_blocks),
        acpi_eject: Some(true),
    };
    if scenario.steps.iter().any(|step| step.inject.is_some()) {
        real.apply(&Action::Inject(&Inject::default()), &Effect::default())?;
    }
    real.apply(&Action::Set(&settings), &Effect::default())?;
    let devices = real.vm.rest.tell(Method::GET, "/memory-devices", None)?;
    for device in devices.as_array().into_iter().flatten() {
        let path =
            format!("/memory-devices/{}?wait={PATIENCE}", segment(device["id"].as_str().unwrap_or_default()));
        let answer = match device["kind"].as_str() {
            Some("dimm") => real.vm.rest.ask(Method::DELETE, &path, None)?,
            _ => real.vm.rest.ask(Method::PATCH, &path, Some(&json!({"requested_size": 0})))?,
        };
        if answer.status != 200 {
            return Ok(false);
        }
    }
    Ok(true)
}
