//! Checks on other hosts: where there is no hardware-assisted KVM, workers in emulated hosts carry them out, one scenario
//! after the other on each of their seats.

use std::io;
use std::time::Duration;

use dimmer_images::Kernel;
use serde::{Deserialize, Serialize};

use super::entry::{Evidence, Which};
use super::guest::Seat;
use super::{Entry, Outcome};
use crate::host::crew::{self, Crew};
use crate::library::Source;
use crate::scenario::{Action, Scenario};

/// A scenario to check.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Check {
    /// The scenario's name.
    scenario: String,
    /// The kernel's.
    kernel: String,
    /// Whether another of the same batch follows on the seat.
    another: bool,
}

/// Has `crew` check a scenario on one of its seats. One whose host is lost could not be carried out.
pub fn check(crew: &Crew, seat: usize, source: &Source, kernel: &Kernel, another: bool) -> Entry {
    let check = Check { scenario: source.name.clone(), kernel: kernel.name.clone(), another };
    let failed = |error: String| {
        let outcome = Outcome::Failed { error, evidence: Evidence::default() };
        Entry::new(source, &kernel.name, outcome, Which::None)
    };
    match crew.carry_out_within::<_, Option<Entry>>(seat, &check, patience(&source.scenario)) {
        Ok(Some(entry)) => entry,
        Ok(None) => failed("the worker does not know it".to_owned()),
        Err(lost) => failed(lost.to_string()),
    }
}

/// How long a scenario may take: what most tasks may, and so much more for each of its steps, of which it can have thousands.
fn patience(scenario: &Scenario) -> Duration {
    const STEP: u64 = 60;
    let step = |action: Action<'_>| match action {
        Action::Run(run) => STEP + u64::from(run.seconds()),
        _ => STEP,
    };
    let steps = scenario.steps.iter().map(|one| step(one.action())).sum();
    crew::PATIENCE + Duration::from_secs(steps)
}

/// The other side: checks what it is asked to, of `sources` and on `kernels`, on seats that `seat` makes.
///
/// # Errors
/// Those of [`crew::serve`].
pub fn serve(sources: &[Source], kernels: &[Kernel], seat: impl Fn() -> Seat + Sync) -> io::Result<()> {
    crew::serve(|| {
        let mut seat = seat();
        move |Check { scenario, kernel, another }| {
            let source = sources.iter().find(|source| source.name == scenario)?;
            let kernel = kernels.iter().find(|known| known.name == kernel)?;
            Some(seat.check(source, kernel, another))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_of_many_steps_may_take_longer() {
        let text = "shows = \"sizes\"\n[[step]]\nrun = { command = \"true\", seconds = 900 }\n[[step]]\nagain = { steps = 1, times = 3 }";
        let scenario = Scenario::parse(text, std::path::Path::new("a.toml")).unwrap();
        assert_eq!(patience(&scenario), crew::PATIENCE + Duration::from_secs(4 * (60 + 900)));
    }
}
