//! The part of the explorer that runs beside the guests, on a host with hardware-assisted KVM: it takes scenarios and answers
//! with what came of them.

use std::io;

use dimmer_images::Kernel;
use dimmer_oracle::mistake::Mistake;
use serde::{Deserialize, Serialize};

use super::hunt::Found;
use super::kept::Seat;
use super::timed::Times;
use crate::host::crew::{self, Crew};
use crate::scenario::Scenario;

/// A scenario to carry out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The kernel's name.
    pub kernel: String,
    /// The scenario.
    pub scenario: Scenario,
    /// What the oracle is to get wrong.
    pub mistake: Option<Mistake>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// What came of it.
    pub found: Found,
    /// How long it took.
    pub times: Times,
}

impl Answer {
    /// Nothing, since the guest or its host was lost.
    pub fn lost(why: String) -> Self {
        Self { found: Found::Lost { why }, times: Times::default() }
    }
}

/// Has a worker carry `task` out on one of its seats.
pub fn carry_out(crew: &Crew, seat: usize, task: &Task) -> Answer {
    crew.carry_out(seat, task).unwrap_or_else(|lost| Answer::lost(lost.to_string()))
}

/// The other side.
///
/// # Errors
/// Those of [`crew::serve`].
pub fn serve(kernels: &[Kernel]) -> io::Result<()> {
    crew::serve(|| {
        let mut seat = Seat::default();
        move |task: Task| match kernels.iter().find(|kernel| kernel.name == task.kernel) {
            Some(kernel) => {
                let (found, times) = seat.carry_out(&task, kernel);
                Answer { found, times }
            }
            None => Answer::lost(format!("there is no kernel {:?}", task.kernel)),
        }
    })
}
