//! One scenario on a guest, and what came of it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::subjects::Subjects;
use super::timed::{Timed, Times, since};
use crate::oracle::mistake::Mistake;
use crate::scenario::Scenario;
use crate::scenario::check::{CheckError, Verdict, check_on};

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Guest and oracle agree after every step.
    Nothing {
        /// Blocks that were compared, over all steps.
        blocks: u64,
    },
    /// They differ.
    Difference {
        /// The step after which they do; 0 is the boot.
        step: usize,
        /// Each difference, a line.
        lines: Vec<String>,
    },
    /// The guest was lost, or could not be asked: that says nothing about the oracle.
    Lost {
        /// Why.
        why: String,
    },
}

impl Found {
    /// The step after which guest and oracle differ.
    pub const fn step(&self) -> Option<usize> {
        match self {
            Self::Difference { step, .. } => Some(*step),
            Self::Nothing { .. } | Self::Lost { .. } => None,
        }
    }
}

/// Carries a scenario out on a new guest, beside an oracle that makes `mistake`.
pub fn hunt(subjects: &impl Subjects, scenario: &Scenario, mistake: Option<Mistake>) -> (Found, Times) {
    let begun = Instant::now();
    let boot = |error| CheckError::Subject { step: 0, error: Box::new(error) };
    let mut times = Times::default();
    let checked = subjects.boot(scenario).map_err(boot).and_then(|mut subject| {
        let mut timed = Timed { subject: &mut subject, times: Times { boot: since(begun), ..times } };
        let verdict = check_on(&mut timed, scenario, mistake);
        times = timed.times;
        verdict
    });
    times.all = since(begun);
    (Found::from(checked), times)
}

impl From<Result<Verdict, CheckError>> for Found {
    fn from(checked: Result<Verdict, CheckError>) -> Self {
        match checked {
            Err(error) => Self::Lost { why: crate::chain(&error) },
            Ok(mut verdict) => match verdict.failures.pop() {
                Some(failure) => Self::Difference { step: failure.step, lines: failure.lines },
                None => Self::Nothing { blocks: verdict.blocks },
            },
        }
    }
}
