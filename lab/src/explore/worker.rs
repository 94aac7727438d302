//! The part of the explorer that runs beside the guests, on a host with hardware-assisted KVM: it takes histories and answers
//! with what came of them.

use std::io;
use std::thread;

use dimmer_images::Kernel;
use dimmer_oracle::mistake::Mistake;
use serde::{Deserialize, Serialize};

use super::found::Found;
use super::kept::{Carried, Seat, UnderWay, Wanted};
use crate::host::crew::{self, Crew, Reply};
use crate::real::Real;
use crate::scenario::{Scenario, Step};
use crate::vm;

/// A history to carry out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The kernel's name.
    pub kernel: String,
    /// The history.
    pub scenario: Scenario,
    /// What the oracle is to get wrong.
    pub mistake: Option<Mistake>,
    /// After how many steps a machine is to be kept, from which other histories go on.
    pub keep: Vec<usize>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// What came of it.
    pub found: Found,
    /// What was carried out for it alone.
    pub carried: Carried,
}

impl Task {
    /// How many steps come before the first one that waits for a driver's timer.
    fn steps_before_waiting(&self) -> usize {
        let steps = &self.scenario.steps;
        steps.iter().position(Step::waits).unwrap_or(steps.len())
    }

    /// Whether some of it only waits, which it can do while its seat is at work on something else.
    pub fn waits(&self) -> bool {
        self.steps_before_waiting() < self.scenario.steps.len()
    }
}

impl Answer {
    /// Nothing, since the guest or its host was lost.
    pub fn lost(why: String) -> Self {
        Self { found: Found::Lost { why }, carried: Carried::default() }
    }
}

/// Has a worker carry `task` out on one of its seats.
pub fn carry_out(crew: &Crew, seat: usize, task: &Task) -> Answer {
    crew.carry_out(seat, task).unwrap_or_else(|lost| Answer::lost(lost.to_string()))
}

/// The other side.
///
/// # Errors
/// Those of [`crew::serve_each`].
pub fn serve(kernels: &[Kernel]) -> io::Result<()> {
    crew::serve_each(|| {
        let mut place = Place(Seat::default());
        move |task: Task, reply: Reply<Answer>| match kernels.iter().find(|kernel| kernel.name == task.kernel)
        {
            Some(kernel) => place.carry_out(task, kernel, reply),
            None => reply.send(Answer::lost(format!("there is no kernel {:?}", task.kernel))),
        }
    })
}

/// A seat with real machines. The books of every machine are audited when it goes.
struct Place(Seat<Real>);

impl Place {
    fn carry_out(&mut self, task: Task, kernel: &Kernel, reply: Reply<Answer>) -> io::Result<()> {
        let way = vm::audited(|| {
            let (scenario, mistake) = (&task.scenario, task.mistake);
            let wanted = Wanted { kernel: &task.kernel, scenario, mistake, keep: &task.keep };
            Ok(self.0.begin(&wanted, task.steps_before_waiting(), || Real::boot(scenario, kernel))?)
        });
        match way {
            Err(error) => reply.send(Answer::lost(crate::chain(&*error))),
            Ok(way) if task.waits() => {
                thread::spawn(move || reply.send(end(way, &task.scenario)));
                Ok(())
            }
            Ok(way) => reply.send(end(way, &task.scenario)),
        }
    }
}

/// Nobody comes any more.
impl Drop for Place {
    fn drop(&mut self) {
        let audited = vm::audited(|| {
            self.0.clear();
            Ok(())
        });
        if let Err(error) = audited {
            crate::output::complain(format_args!("dimmer-lab: {}", crate::chain(&*error)));
        }
    }
}

fn end(way: UnderWay<Real>, scenario: &Scenario) -> Answer {
    match vm::audited(|| Ok(way.end(scenario)?)) {
        Ok((checking, carried)) => Answer { found: checking.into(), carried },
        Err(error) => Answer::lost(crate::chain(&*error)),
    }
}
