//! A scenario on a real guest, held against the oracle and against what its author wrote.

use dimmer_agent::report::Layout;
use dimmer_images::Kernel;
use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::release::Release;

use super::Difference;
use super::subject::Subject;
use crate::predict::{Prediction, Seen};
use crate::real::{Real, RealError};
use crate::scenario::{Action, BlockSet, Effect, Expect, ExpectWord, Scenario};
use crate::verdict::{self, Baseline};

mod author;
mod effect;
mod words;

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
#[derive(Debug, Default)]
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
#[derive(Debug)]
pub struct Failure {
    /// The step.
    pub step: usize,
    /// Each difference.
    pub differences: Vec<Difference>,
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
    let mut verdict = Verdict::default();
    let lost = |step| move |error: S::Error| CheckError::Subject { step, error: Box::new(error) };
    let wrong = |step| move |problem| CheckError::Scenario { step, problem };
    let layout = subject.layout().map_err(lost(0))?;
    let mut model = booted(scenario, &layout, mistake).map_err(wrong(0))?;
    let mut baseline = Baseline::of(&model.linux, &layout);
    let mut found = differences(&model, baseline, &layout);
    found.extend(effect::requests(&model.requests(), &subject.requests().map_err(lost(0))?));
    if !found.is_empty() {
        verdict.failures.push(Failure { step: 0, differences: found });
        return Ok(verdict);
    }
    verdict.blocks = layout.blocks.len() as u64;
    if scenario.looks_at_the_log() {
        // What was said before the first step is no part of it.
        subject.log(&[]).map_err(lost(0))?;
    }
    for (step, wanted) in (1..).zip(&scenario.steps) {
        let action = wanted.action();
        let before = model.clone();
        let predicted = model.clone().apply(&action).map_err(wrong(step))?;
        let awaited = awaited(&predicted, wanted.expect.as_ref());
        let said = scenario.looks_at_the_log().then(|| said(wanted.expect.as_ref()));
        let (mut seen, layout, log) = match carried_out(subject, &action, &awaited, said) {
            Err(_) if predicted.may_lose_the_guest && subject.ran_out_of_memory() => {
                (verdict.steps, verdict.lost) = (step, true);
                break;
            }
            taken => taken.map_err(lost(step))?,
        };
        let mut predicted =
            model.follow(&action, Seen { effect: &seen, layout: &layout }).map_err(wrong(step))?;
        if looks_at_the_device(wanted.expect.as_ref(), &seen) {
            seen.plugged = subject.plugged().map_err(lost(step))?;
            predicted.plugged = model.plugged_by_the_only_device();
        }
        if matches!(action, Action::Reboot | Action::Kexec) {
            baseline = Baseline::of(&model.linux, &layout);
        }
        verdict.note(step, &layout);
        verdict.open.extend(open(step, &predicted, &model));
        let (model, predicted, seen, layout) = (&model, &predicted, &seen, &layout);
        let moment = Moment { before: &before, model, predicted, seen, layout, baseline, log: &log };
        let found = moment.judge(wanted.expect.as_ref()).map_err(wrong(step))?;
        if !found.is_empty() {
            verdict.failures.push(Failure { step, differences: found });
            break;
        }
    }
    Ok(verdict)
}

/// The model of a guest that has just booted and shows `layout`.
fn booted(scenario: &Scenario, layout: &Layout, mistake: Option<Mistake>) -> Result<Prediction, String> {
    let release: Release = layout.kernel.parse().map_err(|error| format!("{error}"))?;
    Prediction::with_mistake(scenario, release, mistake)
}

impl Verdict {
    /// A step was carried out, after which the guest shows `layout`.
    fn note(&mut self, step: usize, layout: &Layout) {
        self.steps = step;
        self.blocks += layout.blocks.len() as u64;
        self.groups_unknown.clone_from(&layout.groups_unknown);
    }
}

/// Has a step carried out; returns what came of it, the layout, and what the log says, if anybody looks at it.
fn carried_out<S: Subject>(
    subject: &mut S,
    action: &Action<'_>,
    awaited: &Effect,
    said: Option<&[String]>,
) -> Result<(Effect, Layout, Vec<String>), S::Error> {
    let seen = subject.apply(action, awaited)?;
    let layout = subject.layout()?;
    let log = said.map_or(Ok(Vec::new()), |said| subject.log(said))?;
    Ok((seen, layout, log))
}

/// What is waited for in a step: what the oracle says; where its word does not count, what the author does.
fn awaited(predicted: &Effect, expected: Option<&Expect>) -> Effect {
    match expected {
        Some(Expect::Details(expected)) if expected.oracle == Some(false) => Effect {
            outcome: expected.outcome.or(predicted.outcome),
            plugged: expected.plugged.map(|size| size.0),
            ..predicted.clone()
        },
        _ => predicted.clone(),
    }
}

/// Whether the author says what the machine's virtio-mem device is to have plugged after a step of another kind.
pub(super) fn looks_at_the_device(expected: Option<&Expect>, seen: &Effect) -> bool {
    seen.plugged.is_none()
        && matches!(expected, Some(Expect::Details(expected)) if expected.plugged.is_some())
}

/// What the kernel's log is to say.
fn said(expected: Option<&Expect>) -> &[String] {
    match expected {
        Some(Expect::Details(expected)) => &expected.log,
        _ => &[],
    }
}

/// What was open in a step, as the guest has decided it.
fn open(step: usize, predicted: &Effect, model: &Prediction) -> Option<Open> {
    let blocks = &predicted.open;
    let online = |index: &u64| model.linux.memory.blocks().get(index).is_some_and(|block| block.is_online());
    let online = blocks.iter().copied().filter(online).collect();
    (!blocks.is_empty()).then(|| Open { step, blocks: BlockSet(blocks.clone()), online: BlockSet(online) })
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
            None | Some(Expect::Word(ExpectWord::Oracle)) => Ok(self.against_the_oracle()),
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

    fn against_the_oracle(&self) -> Vec<Difference> {
        let mut all = effect::differences(self.before, self.predicted, self.seen);
        if self.model.knows_the_memory() {
            all.extend(differences(self.model, self.baseline, self.layout));
        }
        all
    }
}
