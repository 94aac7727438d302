//! A scenario on a real guest, held against the oracle and against what its author wrote.

use dimmer_agent::report::Layout;
use dimmer_images::Kernel;
use dimmer_oracle::mistake::Mistake;

use super::subject::Subject;
use super::{Difference, Run};
use crate::predict::Prediction;
use crate::real::{Real, RealError};
use crate::scenario::{BlockSet, Effect, Expect, ExpectWord, Expected, Scenario};
use crate::verdict::{self, Baseline};

mod author;
mod checking;
mod effect;
mod words;

pub use checking::Checking;

/// A scenario could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It makes no sense for this machine.
    #[error("step {step}: {problem}")]
    Scenario {
        /// Which step; 0 is the machine.
        step: usize,
        /// What is wrong.
        problem: String,
    },
    /// The machine or its guest failed.
    #[error("step {step}")]
    Subject {
        /// Which step; 0 is the boot.
        step: usize,
        /// What happened.
        #[source]
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// The steps after which something was not as expected; step 0 is the boot.
    pub failures: Vec<Failure>,
    /// Steps that were carried out.
    pub steps: usize,
    /// Blocks that were held against the oracle, over all steps.
    pub blocks: u64,
    /// Each step that Linux leaves open, with what the guest did; empty when all was exact.
    pub open: Vec<Open>,
    /// Why memory groups were not compared, if they were not.
    pub groups_unknown: Option<String>,
    /// Whether the guest ran out of memory in its last step, as the oracle had said that it might, and was lost.
    pub lost: bool,
}

/// A step with more than one allowed outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The step.
    pub step: usize,
    /// The blocks that could go or stay.
    pub blocks: BlockSet,
    /// Those of them that are online after the step.
    pub online: BlockSet,
}

/// What was not as expected after one step.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The step.
    pub step: usize,
    /// Each difference.
    pub differences: Vec<Difference>,
    /// The blocks as they were then, with their devices as the model has them.
    pub seen: Vec<Run>,
}

/// Boots the scenario's machine with `kernel` and runs it there, as [`check_on`] says.
///
/// # Errors
/// [`CheckError`] when there is nothing to judge.
pub fn check(scenario: &Scenario, kernel: &Kernel) -> Result<Verdict, CheckError> {
    let lost = |error: RealError| CheckError::Subject { step: 0, error: Box::new(error) };
    check_on(&mut Real::boot(scenario, kernel).map_err(lost)?, scenario, None)
}

/// Runs `scenario` step by step on anything whose guest is as right after its boot, beside an oracle that makes
/// `mistake`, up to the first step that does not end as expected: from there on model and guest would tell of
/// different histories.
///
/// # Errors
/// [`CheckError`] when there is nothing to judge.
pub fn check_on<S: Subject>(
    subject: &mut S,
    scenario: &Scenario,
    mistake: Option<Mistake>,
) -> Result<Verdict, CheckError> {
    let mut checking = Checking::begin(subject, scenario, mistake)?;
    for step in &scenario.steps {
        if checking.is_over() {
            break;
        }
        checking.step(subject, step)?;
    }
    Ok(checking.verdict())
}

/// Whether the author says what the machine's virtio-mem device is to have plugged after a step of another kind.
pub(super) fn looks_at_the_device(expected: Option<&Expect>, seen: &Effect) -> bool {
    seen.plugged.is_none()
        && matches!(expected, Some(Expect::Details(expected)) if expected.plugged.is_some())
}

/// How the guest's memory differs from the model's.
fn differences(model: &Prediction, baseline: Option<Baseline>, layout: &Layout) -> Vec<Difference> {
    let mut all = verdict::differences(&model.linux, layout);
    all.extend(verdict::groups(&model.linux, layout));
    all.extend(baseline.and_then(|baseline| verdict::total(&model.linux, baseline, layout)));
    all.extend(verdict::corrupted(&model.linux, layout));
    all.into_iter().map(Difference::from).collect()
}

/// Model and guest after one step.
pub(super) struct Moment<'a> {
    /// The model before the step.
    pub(super) before: &'a Prediction,
    pub(super) model: &'a Prediction,
    pub(super) predicted: &'a Effect,
    pub(super) seen: &'a Effect,
    pub(super) layout: &'a Layout,
    pub(super) baseline: Option<Baseline>,
    /// The kernel's log since the step before.
    pub(super) log: &'a [String],
}

impl Moment<'_> {
    /// What is not as expected.
    fn judge(&self, expected: Option<&Expect>) -> Result<Vec<Difference>, String> {
        match expected {
            None | Some(Expect::Word(ExpectWord::Oracle)) => {
                let mut all = self.command(&Expected::default());
                all.extend(self.against_the_oracle());
                Ok(all)
            }
            Some(Expect::Word(ExpectWord::Anything)) => Ok(Vec::new()),
            Some(Expect::Details(expected)) => {
                let mut all = self.against_the_author(expected)?;
                if expected.oracle != Some(false) {
                    all.extend(self.against_the_oracle());
                }
                Ok(all)
            }
        }
    }

    /// What `lsmem` has printed otherwise than the model has it.
    fn listed(&self) -> Vec<Difference> {
        let Some(blocks) = &self.seen.listed else { return Vec::new() };
        let listed = Layout { blocks: blocks.clone(), ..Layout::default() };
        let all = verdict::blocks(&self.model.linux, &listed).into_iter().map(Difference::from);
        all.map(|difference| Difference { what: format!("lsmem: {}", difference.what), ..difference })
            .collect()
    }

    fn against_the_oracle(&self) -> Vec<Difference> {
        let mut all = effect::differences(self.before, self.predicted, self.seen);
        if self.model.knows_the_memory() {
            all.extend(differences(self.model, self.baseline, self.layout));
            all.extend(self.listed());
        }
        all
    }
}
