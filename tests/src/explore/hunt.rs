//! One scenario on a guest, and what came of it.

use serde::{Deserialize, Serialize};

use super::subjects::Subjects;
use crate::oracle::mistake::Mistake;
use crate::scenario::Scenario;
use crate::scenario::check::{CheckError, check_on};

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
pub fn hunt(subjects: &impl Subjects, scenario: &Scenario, mistake: Option<Mistake>) -> Found {
    let boot = |error| CheckError::Subject { step: 0, error: Box::new(error) };
    let checked = subjects.boot(scenario).map_err(boot);
    match checked.and_then(|mut subject| check_on(&mut subject, scenario, mistake)) {
        Err(error) => Found::Lost { why: crate::chain(&error) },
        Ok(mut verdict) => match verdict.failures.pop() {
            Some(failure) => Found::Difference { step: failure.step, lines: failure.lines },
            None => Found::Nothing { blocks: verdict.blocks },
        },
    }
}
