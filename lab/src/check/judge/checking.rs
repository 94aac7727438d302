//! A scenario under way, step by step: the model beside a subject.

use dimmer_agent::report::Layout;
use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::release::Release;

use super::{CheckError, Failure, Moment, Open, Verdict, differences, effect, looks_at_the_device};
use crate::check::subject::Subject;
use crate::check::{Difference, frame};
use crate::devices::Devices;
use crate::predict::{Prediction, Seen};
use crate::scenario::{Action, BlockSet, Effect, Expect, Scenario, Step};
use crate::verdict::Baseline;

/// As far as a scenario was carried out. A copy goes on with a copy of the subject.
#[derive(Debug, Clone)]
pub struct Checking {
    model: Prediction,
    baseline: Option<Baseline>,
    looks_at_the_log: bool,
    verdict: Verdict,
}

impl Checking {
    /// Looks at a subject whose guest is as right after its boot, beside an oracle that makes `mistake`.
    ///
    /// # Errors
    /// [`CheckError`] when there is nothing to judge.
    pub fn begin<S: Subject>(
        subject: &mut S,
        scenario: &Scenario,
        mistake: Option<Mistake>,
    ) -> Result<Self, CheckError> {
        let lost = |error: S::Error| CheckError::Subject { step: 0, error: Box::new(error) };
        let wrong = |problem| CheckError::Scenario { step: 0, problem };
        let layout = subject.layout().map_err(lost)?;
        let model = booted(scenario, &layout, mistake).map_err(wrong)?;
        let baseline = Baseline::of(&model.linux, &layout);
        let mut found = differences(&model, baseline, &layout);
        found.extend(effect::defaults(&model, &layout));
        found.extend(effect::requests(&model.requests(), &subject.requests().map_err(lost)?));
        let mut verdict = Verdict::default();
        if found.is_empty() {
            verdict.blocks = layout.blocks.len() as u64;
        } else {
            verdict.failures.push(failure(0, found, &model, &layout));
        }
        let looks_at_the_log = scenario.looks_at_the_log();
        if looks_at_the_log {
            // What was said before the first step is no part of it.
            subject.log(&[]).map_err(lost)?;
        }
        Ok(Self { model, baseline, looks_at_the_log, verdict })
    }

    /// Whether nothing more can be said: something was not as expected, or the guest was lost as it might.
    pub const fn is_over(&self) -> bool {
        !self.verdict.failures.is_empty() || self.verdict.lost
    }

    /// What was found so far.
    pub fn verdict(self) -> Verdict {
        self.verdict
    }

    /// Blocks that were held against the oracle so far.
    pub const fn blocks(&self) -> u64 {
        self.verdict.blocks
    }

    /// Carries out the next step.
    ///
    /// # Errors
    /// [`CheckError`] when there is nothing to judge.
    pub fn step<S: Subject>(&mut self, subject: &mut S, wanted: &Step) -> Result<(), CheckError> {
        let step = self.verdict.steps + 1;
        let lost = |error: S::Error| CheckError::Subject { step, error: Box::new(error) };
        let wrong = |problem| CheckError::Scenario { step, problem };
        let expected = wanted.expect.as_ref();
        let action = wanted.action();
        let before = self.model.clone();
        let predicted = self.model.clone().apply(&action).map_err(wrong)?;
        let said = self.looks_at_the_log.then(|| said(expected));
        let (mut seen, layout, log) =
            match carried_out(subject, &action, &awaited(&predicted, expected), said) {
                Err(_) if predicted.may_lose_the_guest && subject.ran_out_of_memory() => {
                    (self.verdict.steps, self.verdict.lost) = (step, true);
                    return Ok(());
                }
                taken => taken.map_err(lost)?,
            };
        let mut predicted =
            self.model.follow(&action, Seen { effect: &seen, layout: &layout }).map_err(wrong)?;
        if looks_at_the_device(expected, &seen) {
            seen.plugged = subject.plugged().map_err(lost)?;
            predicted.plugged = self.model.plugged_by_the_only_device();
        }
        if matches!(action, Action::Reboot | Action::Kexec) {
            self.baseline = Baseline::of(&self.model.linux, &layout);
        }
        self.verdict.note(step, &layout);
        self.verdict.open.extend(open(step, &predicted, &self.model));
        let (model, baseline) = (&self.model, self.baseline);
        let (predicted, seen, layout) = (&predicted, &seen, &layout);
        let moment = Moment { before: &before, model, predicted, seen, layout, baseline, log: &log };
        let differences = moment.judge(expected).map_err(wrong)?;
        if !differences.is_empty() {
            self.verdict.failures.push(failure(step, differences, model, layout));
        }
        Ok(())
    }
}

/// What was not as expected of a guest that shows `layout`.
fn failure(step: usize, differences: Vec<Difference>, model: &Prediction, layout: &Layout) -> Failure {
    Failure { step, differences, seen: frame::runs(layout, &Devices::of(&model.linux)) }
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
