//! The guest that a batch runs on.

use dimmer::ctl::client::{Method, segment};
use dimmer_devices::fault::ActionName;
use dimmer_images::Kernel;
use serde_json::{Value, json};

use super::Entry;
use super::entry::{Evidence, Outcome, Which};
use crate::check::Difference;
use crate::check::judge::{Open, Verdict, check_on};
use crate::layout::Layout;
use crate::library::Source;
use crate::real::{Real, RealError};
use crate::scenario::{Action, Effect, Inject, Load, Parameters, Pool, Scenario, Size};
use crate::{chain, vm};

/// Lines of the kernel's log that are kept of a guest that does not do as expected.
const LOG: usize = 40;
/// Seconds that the removal of a device may take before a boot is the quicker way.
const REMOVAL: u32 = 4;

/// A guest that is as right after its boot.
#[derive(Debug)]
pub struct Guest {
    /// The machine.
    pub real: Real,
    /// What it showed then.
    boot: Layout,
    /// The machine's last event before the scenario that it is to run.
    last_event: u64,
}

/// The place of a guest, which runs the scenarios of a batch one after the other as far as that is possible.
#[derive(Debug, Default)]
pub struct Seat(Option<Guest>);

impl Seat {
    /// Checks a scenario; leaves a guest if `another` one of its batch is to follow.
    pub fn check(&mut self, source: &Source, kernel: &Kernel, another: bool) -> Entry {
        let begun = std::time::Instant::now();
        let (outcome, which) = run_one(&mut self.0, source, kernel, another);
        Entry { seconds: begun.elapsed().as_secs_f64(), ..Entry::new(source, &kernel.name, outcome, which) }
    }
}

/// Runs a scenario on `guest` if there is one that can, else on a fresh one; leaves one that has been brought back if
/// `another` scenario is to follow.
fn run_one(guest: &mut Option<Guest>, source: &Source, kernel: &Kernel, another: bool) -> (Outcome, Which) {
    if let Some(used) = guest.take() {
        let outcome = attempt(guest, || used.set_up(&source.scenario), &source.scenario, another);
        if outcome.is_passed() {
            return (outcome, Which::Reused);
        }
        *guest = None;
        let again = attempt(guest, || Guest::boot(&source.scenario, kernel), &source.scenario, another);
        return (again, Which::Again);
    }
    let outcome = attempt(guest, || Guest::boot(&source.scenario, kernel), &source.scenario, another);
    (outcome, Which::Fresh)
}

/// Runs a scenario on the guest that `ready` gives. The books of its machine are audited whenever that goes.
fn attempt(
    left: &mut Option<Guest>,
    ready: impl FnOnce() -> Result<Guest, RealError>,
    scenario: &Scenario,
    another: bool,
) -> Outcome {
    let mut outcome = None;
    let audited = vm::audited(|| {
        let mut guest = ready()?;
        let found = guest.check(scenario);
        if another && found.is_passed() {
            *left = guest.bring_back(scenario);
        }
        outcome = Some(found);
        Ok(())
    });
    match (outcome, audited) {
        (Some(outcome), Ok(())) => outcome,
        (Some(outcome), Err(_)) if !outcome.is_passed() => outcome,
        (_, Err(error)) => Outcome::Failed { error: chain(&*error), evidence: Evidence::default() },
        (None, Ok(())) => unreachable!("without an error there is an outcome"),
    }
}

impl Guest {
    /// Boots the scenario's machine.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn boot(scenario: &Scenario, kernel: &Kernel) -> Result<Self, RealError> {
        let mut real = Real::boot(scenario, kernel)?;
        let boot = real.layout()?;
        Ok(Self { real, boot, last_event: 0 })
    }

    /// Sets the guest up for `scenario`, which may share it with what it has run before.
    ///
    /// # Errors
    /// [`RealError`].
    pub fn set_up(mut self, scenario: &Scenario) -> Result<Self, RealError> {
        let guest = &scenario.guest;
        let parameters = Parameters {
            online_policy: Some(guest.online_policy),
            auto_movable_ratio: Some(guest.auto_movable_ratio),
            auto_movable_numa_aware: Some(guest.auto_movable_numa_aware),
            auto_online_blocks: Some(guest.auto_online_blocks),
            acpi_eject: None,
            hwpoison_filter_dev_major: None,
        };
        self.real.apply(&Action::Set(&parameters), &Effect::default())?;
        self.last_event = last_event(&self.real)?;
        Ok(self)
    }

    fn check(&mut self, scenario: &Scenario) -> Outcome {
        match check_on(&mut self.real, scenario, None) {
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

    /// Takes away what `scenario` has left: nothing when the guest does not show what it showed right after its boot, or
    /// a driver may have given its device up, which does not show.
    pub fn bring_back(mut self, scenario: &Scenario) -> Option<Self> {
        let mut faults = scenario.steps.iter().filter_map(|step| step.fault.as_ref()).flatten();
        if faults.any(|text| text.fault.action == ActionName::Error) {
            return None;
        }
        let back = self.undo(scenario).is_ok_and(|layout| shown_alike(&layout, &self.boot));
        back.then_some(self)
    }

    fn undo(&mut self, scenario: &Scenario) -> Result<Layout, RealError> {
        if scenario.steps.iter().any(|step| step.inject.is_some()) {
            self.real.apply(&Action::Inject(&Inject::default()), &Effect::default())?;
        }
        if scenario.steps.iter().any(|step| step.fault.is_some()) {
            self.real.apply(&Action::Fault(&[]), &Effect::default())?;
        }
        self.real.unpin_all()?;
        self.let_memory_go(scenario)?;
        let eject = Parameters { acpi_eject: Some(true), ..Parameters::default() };
        if scenario.steps.iter().any(|step| step.set.is_some_and(|set| set.acpi_eject.is_some())) {
            self.real.apply(&Action::Set(&eject), &Effect::default())?;
        }
        let rest = &self.real.vm.rest;
        let devices = rest.tell(Method::GET, "/memory-devices", None)?;
        for device in devices.as_array().into_iter().flatten() {
            let path = format!("/memory-devices/{}", segment(device["id"].as_str().unwrap_or_default()));
            let path = format!("{path}?wait={REMOVAL}");
            if device["kind"] == "dimm" {
                rest.tell(Method::DELETE, &path, None)?;
            } else if device["requested_size"] != 0 || device["plugged_size"] != 0 {
                rest.tell(Method::PATCH, &path, Some(&json!({"requested_size": 0})))?;
            }
        }
        let layout = self.real.layout()?;
        self.real.forget()?;
        Ok(layout)
    }

    /// Has the guest's programs use no memory, and empties its pools of huge pages.
    fn let_memory_go(&mut self, scenario: &Scenario) -> Result<(), RealError> {
        for step in &scenario.steps {
            let load = step.load.map(|_| Action::Load(Load(0)));
            let lock = step.lock.map(|_| Action::Lock(Size(0)));
            let pool = step.hugepages.map(|pool| Pool { count: 0, ..pool });
            let actions = [load, lock, pool.as_ref().map(Action::HugePages)];
            for action in actions.into_iter().flatten() {
                self.real.apply(&action, &Effect::default())?;
            }
        }
        Ok(())
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

/// Whether two layouts show the same memory; what can be set at any time does not count.
fn shown_alike(a: &Layout, b: &Layout) -> bool {
    let memory = |layout: &Layout| Layout {
        auto_online_blocks: None,
        online_policy: None,
        auto_movable_ratio: None,
        auto_movable_numa_aware: None,
        ..layout.clone()
    };
    memory(a) == memory(b)
}
