//! A scenario on a real guest, held against the oracle and against what its author wrote.

use dimmer_agent::report::Layout;
use dimmer_images::Kernel;

use super::real::{Real, RealError};
use super::{Effect, Expect, ExpectWord, Expected, OutcomeWord, Prediction, Scenario};
use crate::expect;
use crate::oracle::release::Release;
use crate::oracle::verdict;

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
    Real {
        /// Which step; 0 is the boot.
        step: usize,
        /// What happened.
        #[source]
        error: Box<RealError>,
    },
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The steps after which something was not as expected; step 0 is the boot.
    pub failures: Vec<Failure>,
    /// Steps that were carried out.
    pub steps: usize,
}

/// What was not as expected after one step.
#[derive(Debug)]
pub struct Failure {
    /// The step.
    pub step: usize,
    /// Each difference, a line.
    pub lines: Vec<String>,
}

/// Runs `scenario` on `kernel` step by step, up to the first step that does not end as expected: from
/// there on model and guest would tell of different histories.
///
/// # Errors
/// [`CheckError`] when there is nothing to judge.
pub fn check(scenario: &Scenario, kernel: &Kernel) -> Result<Verdict, CheckError> {
    let mut verdict = Verdict::default();
    let real = |step| move |error: RealError| CheckError::Real { step, error: Box::new(error) };
    let wrong = |step| move |problem| CheckError::Scenario { step, problem };
    let mut machine = Real::boot(scenario, kernel).map_err(real(0))?;
    let layout = machine.layout().map_err(real(0))?;
    let release: Release = layout.kernel.parse().map_err(|error| wrong(0)(format!("{error}")))?;
    let mut model = Prediction::new(scenario, release).map_err(wrong(0))?;
    let lines = differences(&model, &layout);
    if !lines.is_empty() {
        verdict.failures.push(Failure { step: 0, lines });
        return Ok(verdict);
    }
    for (step, wanted) in (1..).zip(&scenario.steps) {
        let action = wanted.action();
        let predicted = model.apply(&action).map_err(wrong(step))?;
        let seen = machine.apply(&action, &predicted).map_err(real(step))?;
        model.adopt(&seen);
        let layout = machine.layout().map_err(real(step))?;
        let log =
            if scenario.looks_at_the_log() { machine.new_log().map_err(real(step))? } else { Vec::new() };
        verdict.steps = step;
        let moment = Moment { model: &model, predicted: &predicted, seen: &seen, layout: &layout, log: &log };
        let lines = moment.judge(wanted.expect.as_ref()).map_err(wrong(step))?;
        if !lines.is_empty() {
            verdict.failures.push(Failure { step, lines });
            break;
        }
    }
    Ok(verdict)
}

fn differences(model: &Prediction, layout: &Layout) -> Vec<String> {
    verdict::differences(&model.linux, layout).iter().map(ToString::to_string).collect()
}

/// Model and guest after one step.
struct Moment<'a> {
    model: &'a Prediction,
    predicted: &'a Effect,
    seen: &'a Effect,
    layout: &'a Layout,
    /// The kernel's log since the step before.
    log: &'a [String],
}

impl Moment<'_> {
    /// What is not as expected, a line each.
    fn judge(&self, expected: Option<&Expect>) -> Result<Vec<String>, String> {
        match expected {
            None | Some(Expect::Word(ExpectWord::Oracle)) => Ok(self.against_the_oracle()),
            Some(Expect::Word(ExpectWord::Anything)) => Ok(Vec::new()),
            Some(Expect::Details(expected)) => {
                let mut lines = self.against_the_author(expected)?;
                if expected.oracle != Some(false) {
                    lines.extend(self.against_the_oracle());
                }
                Ok(lines)
            }
        }
    }

    fn against_the_oracle(&self) -> Vec<String> {
        let Effect { outcome, ost, plugged, refused, hardware_corrupted, stuck: _, pinned: _ } =
            self.predicted;
        let mut lines = Vec::new();
        let mut compare = |what: &str, expected: String, seen: String| {
            if expected != seen {
                lines.push(format!("{what}: the oracle says {expected}, seen {seen}"));
            }
        };
        compare("outcome", word(*outcome), word(self.seen.outcome));
        compare("_OST", format!("{ost:x?}"), format!("{:x?}", self.seen.ost));
        compare("plugged size", format!("{plugged:?}"), format!("{:?}", self.seen.plugged));
        compare("refused blocks", format!("{refused:?}"), format!("{:?}", self.seen.refused));
        compare(
            "broken memory",
            format!("{hardware_corrupted:?}"),
            format!("{:?}", self.seen.hardware_corrupted),
        );
        lines.extend(differences(self.model, self.layout));
        lines
    }

    fn against_the_author(&self, expected: &Expected) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        if let Some(blocks) = &expected.blocks {
            lines.extend(self.blocks(blocks)?);
        }
        if let Some(wanted) = expected.outcome.filter(|wanted| Some(*wanted) != self.seen.outcome) {
            lines.push(format!("outcome: expected {}, seen {}", word(Some(wanted)), word(self.seen.outcome)));
        }
        if let Some(wanted) = expected.reports()?.filter(|wanted| *wanted != self.seen.ost) {
            lines.push(format!("_OST: expected {wanted:x?}, seen {:x?}", self.seen.ost));
        }
        if let Some(wanted) = expected.plugged.filter(|wanted| Some(wanted.0) != self.seen.plugged) {
            lines.push(format!("plugged size: expected {}, seen {:?}", wanted.0, self.seen.plugged));
        }
        if let Some(wanted) = expected.refusals()?.filter(|wanted| *wanted != self.seen.refused) {
            lines.push(format!("refused blocks: expected {wanted:?}, seen {:?}", self.seen.refused));
        }
        if let Some(wanted) =
            expected.hardware_corrupted.filter(|wanted| Some(wanted.0) != self.seen.hardware_corrupted)
        {
            lines.push(format!(
                "broken memory: expected {}, seen {:?}",
                wanted.0, self.seen.hardware_corrupted
            ));
        }
        let said = |text: &&String| self.log.iter().any(|line| line.contains(text.as_str()));
        lines.extend(expected.log.iter().filter(|text| !said(text)).map(|text| {
            let last: String =
                self.log.iter().rev().take(8).rev().map(|line| format!("\n    {line}")).collect();
            format!("log: expected {text:?}, not seen; it ends with{last}")
        }));
        Ok(lines)
    }

    /// The blocks that the author wrote: all from the lowest that is named on, or all behind boot memory
    /// when none is named.
    fn blocks(&self, text: &str) -> Result<Vec<String>, String> {
        let wanted = expect::parse(text).map_err(|error| error.to_string())?;
        let behind_boot = || {
            let early = self.model.linux.memory.blocks().iter().filter(|(_, block)| block.early);
            early.map(|(index, _)| index + 1).max().unwrap_or(0)
        };
        let first = wanted.keys().next().copied().unwrap_or_else(behind_boot);
        let seen = expect::seen(self.layout).split_off(&first);
        let rows = expect::compare(&wanted, &seen, |_| String::new());
        let line =
            |row: &expect::Row| format!("{}: expected {}, seen {}", row.range(), row.expected, row.seen);
        Ok(rows.iter().filter(|row| !row.is_right()).map(line).collect())
    }
}

fn word(outcome: Option<OutcomeWord>) -> String {
    outcome.map_or_else(|| "nothing".to_owned(), |outcome| format!("{outcome:?}").to_lowercase())
}
