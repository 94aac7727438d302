//! One scenario on a guest, and what came of it.

use std::collections::BTreeSet;
use std::time::Instant;

use dimmer_oracle::mistake::Mistake;
use serde::{Deserialize, Serialize};

use super::timed::{Timed, Times, since};
use crate::check::judge::{CheckError, Verdict, check_on};
use crate::check::subject::Subject;
use crate::scenario::Scenario;

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

    /// What differs, without numbers: `block`, `zone`, `request`, …; empty where nothing does.
    pub fn kinds<'a>(&'a self) -> BTreeSet<&'a str> {
        let Self::Difference { lines, .. } = self else { return BTreeSet::new() };
        let word = |line: &'a String| line.split([' ', ':']).next().unwrap_or_default();
        lines.iter().map(|line| word(line).trim_end_matches('s')).collect()
    }
}

/// Carries a scenario out on the guest that `boot` gives, beside an oracle that makes `mistake`; says what came of it, and how
/// long that took.
pub fn hunt<S: Subject>(
    boot: impl FnOnce() -> Result<S, S::Error>,
    scenario: &Scenario,
    mistake: Option<Mistake>,
) -> (Found, Times) {
    let begun = Instant::now();
    let subject = boot().map_err(|error| CheckError::Subject { step: 0, error: Box::new(error) });
    let mut times = Times { boot: since(begun), ..Times::default() };
    let checked = match subject {
        Err(error) => Err(error),
        Ok(subject) => {
            let mut timed = Timed { subject, times };
            let checked = check_on(&mut timed, scenario, mistake);
            times = timed.times;
            checked
        }
    };
    times.all = since(begun);
    (Found::from(checked), times)
}

impl From<Result<Verdict, CheckError>> for Found {
    fn from(checked: Result<Verdict, CheckError>) -> Self {
        match checked {
            Err(error) => Self::Lost { why: crate::chain(&error) },
            Ok(mut verdict) => match verdict.failures.pop() {
                Some(failure) => {
                    let lines = failure.differences.iter().map(ToString::to_string).collect();
                    Self::Difference { step: failure.step, lines }
                }
                None => Self::Nothing { blocks: verdict.blocks },
            },
        }
    }
}
