//! The self-test of a host: a guest is booted, its memory comes and goes, the machine is written down, goes on elsewhere and is
//! forked; and a report says of each step how it ended, beside all that there is to know of the host.
//!
//! ```text
//!   doctor --run ──► facts of this machine
//!        │
//!       crew ──────► worker on the host with KVM: facts of that host, then one step after the other
//!        │
//!      report        text, or Markdown
//! ```
//!
//! A step that fails keeps none from being tried but those that cannot be without it.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub mod facts;
pub mod place;
pub mod report;
mod steps;

use crate::host::crew::{Crew, Lost};
use facts::Fact;
pub use steps::STEPS;

/// After this time no further step begins.
pub const BUDGET: Duration = Duration::from_secs(5 * 60);

/// How long the worker may say nothing: the host's start, for which QEMU may have to be fetched, or a step that comes to nothing.
pub const PATIENCE: Duration = Duration::from_secs(10 * 60);

/// Said of an answer to another question.
const ANOTHER: &str = "the worker answers something else";

/// What the worker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// What there is to know of the host.
    Facts,
    /// To carry out the step of this number.
    Step(usize),
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// What there is to know.
    Facts(Vec<Fact>),
    /// How the step ended.
    Step(Outcome),
    /// Nothing, and why: there is no place for machines.
    Cannot(String),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// As it should.
    Passed {
        /// What was seen.
        seen: String,
    },
    /// Not as it should.
    Failed {
        /// Why.
        why: String,
        /// The end of the machine's log and of its console, and where its processors are; empty where there is no machine.
        said: String,
        /// Whether no machine starts here at all.
        hopeless: bool,
    },
    /// It was not tried.
    LeftOut {
        /// Why not.
        why: String,
    },
}

impl Outcome {
    /// A failure without a machine.
    fn failed(why: String, hopeless: bool) -> Self {
        Self::Failed { why, said: String::new(), hopeless }
    }

    /// Whether it ended as it should.
    #[must_use]
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }
}

/// A step that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What it does.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub time: Duration,
}

/// What came of a self-test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tested {
    /// What there is to know of the host where guests ran; nothing where there was none.
    pub host: Vec<Fact>,
    /// Every step.
    pub steps: Vec<Done>,
    /// Why no guest can run, if none can.
    pub hopeless: Option<String>,
}

/// Has the one worker of a crew carry a task out.
///
/// # Errors
/// [`Lost`].
pub fn carry_out(crew: &Crew, task: Task) -> Result<Answer, Lost> {
    crew.carry_out(0, &task)
}

/// Has `carry_out` do every step, and tells `done` of each.
pub fn run(mut carry_out: impl FnMut(Task) -> Result<Answer, Lost>, mut done: impl FnMut(&Done)) -> Tested {
    let mut ask = |task| carry_out(task).map_err(|lost| lost.to_string());
    let mut tested = Tested::default();
    match ask(Task::Facts) {
        Ok(Answer::Facts(host)) => tested.host = host,
        Ok(Answer::Cannot(why)) => tested.hopeless = Some(why),
        Ok(Answer::Step(_)) => tested.hopeless = Some(ANOTHER.to_owned()),
        Err(lost) => tested.hopeless = Some(lost),
    }
    let begun = Instant::now();
    let mut over = tested.hopeless.clone();
    for (number, step) in STEPS.iter().enumerate() {
        let (since, late) = (Instant::now(), begun.elapsed() >= BUDGET);
        let outcome = match &over {
            Some(why) => Outcome::LeftOut { why: why.clone() },
            None if late => Outcome::LeftOut { why: format!("{} s were over", BUDGET.as_secs()) },
            None => match ask(Task::Step(number)) {
                Ok(Answer::Step(outcome)) => outcome,
                Ok(Answer::Cannot(why)) => Outcome::failed(why, true),
                Ok(Answer::Facts(_)) => Outcome::failed(ANOTHER.to_owned(), false),
                Err(lost) => {
                    over = Some(lost.clone());
                    Outcome::failed(lost, false)
                }
            },
        };
        if let Outcome::Failed { why, hopeless: true, .. } = &outcome {
            tested.hopeless = Some(why.clone());
        }
        let step = Done { name: step.name, outcome, time: since.elapsed() };
        done(&step);
        tested.steps.push(step);
    }
    tested
}

impl Tested {
    /// The exit status: 0 when every step passed, 2 when the host cannot run guests, else 1.
    #[must_use]
    pub fn status(&self) -> u8 {
        match &self.hopeless {
            Some(_) => 2,
            None => u8::from(!self.steps.iter().all(|step| step.outcome.is_passed())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-test whose steps end as `step` says by their number.
    fn tested(step: impl Fn(usize) -> Result<Answer, Lost>) -> (Tested, usize) {
        let mut told = 0;
        let answer = |task| match task {
            Task::Facts => Ok(Answer::Facts(Vec::new())),
            Task::Step(number) => step(number),
        };
        (run(answer, |_| told += 1), told)
    }

    fn passed() -> Result<Answer, Lost> {
        Ok(Answer::Step(Outcome::Passed { seen: String::new() }))
    }

    #[test]
    fn every_step_is_asked_for_and_told() {
        let (tested, told) = tested(|_| passed());
        assert_eq!((told, tested.steps.len(), tested.status()), (STEPS.len(), STEPS.len(), 0));
        let names: std::collections::BTreeSet<_> = STEPS.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), STEPS.len());
        for (number, step) in STEPS.iter().enumerate() {
            let before = |name: &&str| STEPS[..number].iter().any(|step| step.name == *name);
            assert!(step.after.iter().all(before), "{step:?}");
        }
    }

    #[test]
    fn a_lost_host_is_one_failure_and_nothing_is_asked_of_it_again() {
        let (tested, _) = tested(|number| match number {
            0..=2 => passed(),
            3 => Err(Lost("it went away".to_owned())),
            _ => panic!("step {number} is asked for"),
        });
        assert!(matches!(tested.steps[3].outcome, Outcome::Failed { .. }));
        assert!(tested.steps[4..].iter().all(|step| matches!(step.outcome, Outcome::LeftOut { .. })));
        assert_eq!(tested.status(), 1);
    }

    #[test]
    fn a_host_on_which_no_machine_starts_cannot_run_guests() {
        let (refused, _) = tested(|_| Ok(Answer::Step(Outcome::failed("KVM refused".to_owned(), true))));
        assert_eq!((refused.status(), refused.hopeless.as_deref()), (2, Some("KVM refused")));
        let none = run(|_| Err(Lost("it does not start".to_owned())), |_| {});
        assert_eq!(none.status(), 2);
        assert!(none.steps.iter().all(|step| matches!(step.outcome, Outcome::LeftOut { .. })));
        let (failed, _) = tested(|_| Ok(Answer::Step(Outcome::failed("no".to_owned(), false))));
        assert_eq!(failed.status(), 1);
    }
}
