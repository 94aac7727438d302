//! The guest that a scenario runs on.

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use serde_json::Value;

use super::Entry;
use super::entry::{Evidence, Outcome, Which};
use crate::check::judge::{Open, Verdict, check_on};
use crate::check::witness::Witness;
use crate::check::{Difference, Frame};
use crate::library::Source;
use crate::real::{Real, RealError, Warm};
use crate::scenario::Scenario;
use crate::{chain, vm};

/// Lines of the kernel's log that are kept of a guest that does not do as expected.
const LOG: usize = 40;

/// A guest that is as right after its boot.
#[derive(Debug)]
pub struct Guest {
    /// The machine.
    pub real: Real,
    /// The machine's last event before the scenario that it is to run.
    last_event: u64,
}

/// The place of a guest.
#[derive(Debug, Default)]
pub struct Seat {
    /// The warm one whose children run the scenarios of a batch.
    warm: Option<Warm>,
    /// Whether machines go on from snapshots behind each step.
    restore_each_step: bool,
}

impl Seat {
    /// A place for guests whose machines, if that is asked for, go on from a snapshot behind each step.
    pub const fn new(restore_each_step: bool) -> Self {
        Self { warm: None, restore_each_step }
    }

    /// Checks a scenario; keeps a warm guest if `another` one of its batch is to follow.
    pub fn check(&mut self, source: &Source, kernel: &Kernel, another: bool) -> Entry {
        let begun = std::time::Instant::now();
        let mut frames = Vec::new();
        let (outcome, which) = self.run(&source.scenario, kernel, another, &mut frames);
        let seconds = begun.elapsed().as_secs_f64();
        Entry { seconds, frames, ..Entry::new(source, &kernel.name, outcome, which) }
    }

    /// The books of every machine are audited when it goes. What the guest shows is added to `frames`.
    fn run(
        &mut self,
        scenario: &Scenario,
        kernel: &Kernel,
        another: bool,
        frames: &mut Vec<Frame>,
    ) -> (Outcome, Which) {
        let which = if another || self.warm.is_some() { Which::Forked } else { Which::Fresh };
        let mut outcome = None;
        let audited = vm::audited(|| {
            let checked =
                self.guest(scenario, kernel, another).map(|mut guest| guest.check(scenario, frames));
            if !another {
                self.warm = None;
            }
            outcome = Some(checked?);
            Ok(())
        });
        let outcome = match (outcome, audited) {
            (Some(outcome), Ok(())) => outcome,
            (Some(outcome), Err(_)) if !outcome.is_passed() => outcome,
            (_, Err(error)) => Outcome::Failed { error: chain(&*error), evidence: Evidence::default() },
            (None, Ok(())) => unreachable!("without an error there is an outcome"),
        };
        (outcome, which)
    }

    fn guest(&mut self, scenario: &Scenario, kernel: &Kernel, another: bool) -> Result<Guest, RealError> {
        if another && self.warm.is_none() {
            self.warm = Some(Warm::boot(scenario, kernel)?);
        }
        let mut guest = match &self.warm {
            Some(warm) => Guest::on(warm.child(scenario)?)?,
            None => Guest::boot(scenario, kernel)?,
        };
        if self.restore_each_step {
            guest.real.restore_each_step();
        }
        Ok(guest)
    }
}

impl Guest {
    /// Boots the scenario's machine.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn boot(scenario: &Scenario, kernel: &Kernel) -> Result<Self, RealError> {
        let mut real = Real::boot(scenario, kernel)?;
        real.layout()?;
        Self::on(real)
    }

    fn on(real: Real) -> Result<Self, RealError> {
        let last_event = last_event(&real)?;
        Ok(Self { real, last_event })
    }

    fn check(&mut self, scenario: &Scenario, frames: &mut Vec<Frame>) -> Outcome {
        let mut witness = Witness::new(&mut self.real, scenario);
        let checked = check_on(&mut witness, scenario, None);
        *frames = witness.frames;
        match checked {
            Ok(mut verdict) => match verdict.failures.pop() {
                None if verdict.lost => Outcome::Passed { steps: verdict.steps, remarks: remarks(&verdict) },
                None => self.audit(&verdict),
                Some(failure) => Outcome::Differs {
                    step: failure.step,
                    action: action(scenario, failure.step),
                    differences: failure.differences,
                    evidence: self.evidence(),
                },
            },
            Err(error) => {
                let silence = self.real.vm.silence().map(|silence| format!("; {silence}"));
                let error = chain(&error) + &silence.unwrap_or_default();
                Outcome::Failed { error, evidence: self.evidence() }
            }
        }
    }

    /// The machine's books must agree after every scenario, not only at its end.
    fn audit(&mut self, verdict: &Verdict) -> Outcome {
        let differences: Vec<_> = match self.real.vm.rest.audit() {
            Ok(audit) if audit.ok => {
                return Outcome::Passed { steps: verdict.steps, remarks: remarks(verdict) };
            }
            Ok(audit) => audit.problems,
            Err(error) => vec![chain(&error)],
        };
        let difference =
            |problem| Difference::oracle("the machine's audit", "no problem".to_owned(), problem);
        let differences = differences.into_iter().map(difference).collect();
        let action = "after the last step".to_owned();
        Outcome::Differs { step: verdict.steps, action, differences, evidence: self.evidence() }
    }

    /// What machine and guest have to say. What they do not say any more is missing: they may be gone.
    fn evidence(&mut self) -> Evidence {
        let new = |event: &Value| event["sequence"].as_u64() > Some(self.last_event);
        let events = self.real.vm.rest.events().unwrap_or_default().into_iter().filter(new).collect();
        let log: Vec<String> = match self.real.log_from(0) {
            Ok(log) => log.records.into_iter().map(|record| line(record.time_us, &record.text)).collect(),
            Err(_) => self.real.vm.console().lines().map(str::to_owned).collect(),
        };
        Evidence { events, log: log[log.len().saturating_sub(LOG)..].to_vec() }
    }
}

/// What a reader must know of a check beside its result.
fn remarks(verdict: &Verdict) -> Vec<String> {
    let open = verdict.open.iter().map(|Open { step, blocks, online }| {
        let online = if online.0.is_empty() { "none".to_owned() } else { online.to_string() };
        format!("step {step}: Linux leaves blocks {blocks} open; online afterwards: {online}")
    });
    let groups = verdict.groups_unknown.iter().map(|why| format!("memory groups were not compared: {why}"));
    let lost = verdict.lost.then(|| {
        format!(
            "step {}: the guest ran out of memory and was lost, which the oracle had said may be",
            verdict.steps
        )
    });
    open.chain(groups).chain(lost).collect()
}

/// A record of the kernel's log as `dmesg` writes it.
fn line(time_us: u64, text: &str) -> String {
    format!("[{:5}.{:06}] {text}", time_us / 1_000_000, time_us % 1_000_000)
}

fn last_event(real: &Real) -> Result<u64, RealError> {
    let info = real.vm.rest.tell(Method::GET, "/vm.info", None)?;
    Ok(info["last_event"].as_u64().unwrap_or_default())
}

/// What a step does, by its key; step 0 is the boot.
fn action(scenario: &Scenario, step: usize) -> String {
    let step = step.checked_sub(1).and_then(|index| scenario.steps.get(index));
    step.map_or("boot", |step| step.action().name()).to_owned()
}
