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

/// What came of a scenario, and the guest that it was carried out in.
#[derive(Debug)]
pub struct Hunted<S> {
    /// What came of it.
    pub found: Found,
    /// How long it took.
    pub times: Times,
    /// The guest; `None` when it did not come up.
    pub guest: Option<S>,
}

/// Carries a scenario out on the guest that `boot` gives, beside an oracle that makes `mistake`.
pub fn hunt<S: Subject>(
    boot: impl FnOnce() -> Result<S, S::Error>,
    scenario: &Scenario,
    mistake: Option<Mistake>,
) -> Hunted<S> {
    let begun = Instant::now();
    let subject = boot().map_err(|error| CheckError::Subject { step: 0, error: Box::new(error) });
    let mut times = Times { boot: since(begun), ..Times::default() };
    let (checked, guest) = match subject {
        Err(error) => (Err(error), None),
        Ok(subject) => {
            let mut timed = Timed { subject, times };
            let checked = check_on(&mut timed, scenario, mistake);
            times = timed.times;
            (checked, Some(timed.subject))
        }
    };
    times.all = since(begun);
    Hunted { found: Found::from(checked), times, guest }
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
