//! One run: a scenario on a guest, and what came of it.

use super::subjects::Subjects;
use crate::oracle::mistake::Mistake;
use crate::scenario::Scenario;
use crate::scenario::check::{CheckError, Failure, check_on};


/// What came of a run.
#[derive(Debug)]
pub enum Found {
    /// Guest and oracle agree after every step.
    Nothing {
        /// Blocks that were compared, over all steps.
        blocks: u64,
    },
    /// They differ.
    Difference(Failure),
    /// The guest was lost, or could not be asked: that says nothing about the oracle.
    Lost(CheckError),
}

/// Carries a scenario out on a new guest, beside an oracle that makes `mistake`.
pub fn hunt(subjects: &impl Subjects, scenario: &Scenario, mistake: Option<Mistake>) -> Found {
    let boot = |error| CheckError::Subject { step: 0, error: Box::new(error) };
    let checked = subjects.boot(scenario).map_err(boot);
    match checked.and_then(|mut subject| check_on(&mut subject, scenario, mistake)) {
        Err(error) => Found::Lost(error),
        Ok(mut verdict) => match verdict.failures.pop() {
            Some(failure) => Found::Difference(failure),
            None => Found::Nothing { blocks: verdict.blocks },
        },
    }
}

