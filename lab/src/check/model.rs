//! What authors expect, held against the oracle alone: no machine, no guest.

use dimmer_oracle::release::Release;

use super::entry::Which;
use super::judge::{Moment, looks_at_the_device};
use super::{Difference, Entry, Frame, Outcome};
use crate::devices::Devices;
use crate::library::Source;
use crate::predict::Prediction;
use crate::scenario::{Expect, Expected, Scenario, Step};
use crate::verdict::report;

/// Said of a scenario that looks at the kernel's log.
const NO_LOG: &str = "what the kernel's log says is not predicted";

/// What becomes of a scenario when a kernel of `release`, called `kernel`, does just what the oracle says.
pub fn entry(source: &Source, kernel: &str, release: Release) -> Entry {
    let mut frames = Vec::new();
    let outcome = match source.scenario.is_about(release) {
        true => outcome(&source.scenario, release, &mut frames),
        false => Outcome::Skipped,
    };
    let mut entry = Entry { frames, ..Entry::new(source, kernel, outcome, Which::None) };
    entry.repeat.push_str(" --predict");
    entry
}

/// Unlike on a guest, a step that does not end as expected is no end: what the author thought of later ones is held
/// against the same history.
fn outcome(scenario: &Scenario, release: Release, frames: &mut Vec<Frame>) -> Outcome {
    let failed = |error: String| Outcome::Failed { error, evidence: Default::default() };
    let mut model = match Prediction::new(scenario, release) {
        Ok(model) => model,
        Err(problem) => return failed(problem),
    };
    let frame = |step, model: &Prediction| {
        Frame::new(scenario, step, &report::of(&model.linux), &Devices::of(&model.linux))
    };
    frames.push(frame(0, &model));
    let mut first = None;
    let mut all = Vec::new();
    for (number, step) in (1..).zip(&scenario.steps) {
        let found = match judged(&mut model, step) {
            Ok(found) => found,
            Err(problem) => return failed(format!("step {number}: {problem}")),
        };
        frames.push(frame(number, &model));
        if !found.is_empty() {
            let (begun, _) = *first.get_or_insert((number, step.action().name()));
            let later = |difference: Difference| Difference {
                what: if number == begun {
                    difference.what
                } else {
                    format!("step {number}: {}", difference.what)
                },
                ..difference
            };
            all.extend(found.into_iter().map(later));
        }
    }
    match first {
        Some((step, action)) => Outcome::Differs {
            step,
            action: action.to_owned(),
            differences: all,
            evidence: Default::default(),
        },
        None => {
            let remarks = if scenario.looks_at_the_log() { vec![NO_LOG.to_owned()] } else { Vec::new() };
            Outcome::Passed { steps: scenario.steps.len(), remarks }
        }
    }
}

/// Takes a step, and holds what comes of it against what the author wrote, where the oracle's word counts at all.
fn judged(model: &mut Prediction, step: &Step) -> Result<Vec<Difference>, String> {
    let before = model.clone();
    let mut effect = model.apply(&step.action())?;
    let expected = step.expect.as_ref();
    if looks_at_the_device(expected, &effect) {
        effect.plugged = model.plugged_by_the_only_device();
    }
    let Some(Expect::Details(expected)) = expected else { return Ok(Vec::new()) };
    if expected.oracle == Some(false) {
        return Ok(Vec::new());
    }
    let layout = report::of(&model.linux);
    let (predicted, seen) = (&effect, &effect);
    let moment =
        Moment { before: &before, model, predicted, seen, layout: &layout, baseline: None, log: &[] };
    moment.against_the_author(&Expected { log: Vec::new(), ..expected.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const TEXT: &str = r#"
shows = "A DIMM comes, and another one"
kernels = ["6.1+"]
[machine]
memory_hotplug = ["method=acpi,slots=4,size=8G", "method=virtio-mem,size=8G"]
[[step]]
plug = { id = "d0", size = "1G" }
expect = { blocks = "48-55 Normal", ost = "1,0" }
[[step]]
resize = { id = "vmem0", to = "1G" }
expect = { plugged = "2G" }
[[step]]
unplug = "d0"
expect = { outcome = "done" }
"#;

    fn on(text: &str, release: Release) -> Outcome {
        outcome(&Scenario::parse(text, Path::new("a.toml")).unwrap(), release, &mut Vec::new())
    }

    #[test]
    fn each_step_that_is_not_as_expected_is_named_with_the_reason() {
        let Outcome::Differs { step, action, differences, .. } = on(TEXT, Release::new(6, 12)) else {
            panic!("the author is wrong twice");
        };
        assert_eq!((step, action.as_str()), (1, "plug"));
        let words: Vec<_> =
            differences.iter().map(|it| (it.what.as_str(), it.expected.as_str(), it.seen.as_str())).collect();
        assert_eq!(words, [("blocks 48-55", "Normal", "Movable"), ("step 2: plugged size", "2G", "1G")]);
        assert!(differences[0].why.contains("301 %"), "{}", differences[0].why);
    }

    #[test]
    fn what_is_right_passes_and_a_step_that_cannot_be_is_no_difference() {
        let right =
            TEXT.replace("48-55 Normal", "48-55 Movable").replace("plugged = \"2G\"", "plugged = \"1G\"");
        assert!(matches!(on(&right, Release::new(6, 12)), Outcome::Passed { steps: 3, .. }));
        let wrong = right.replace("unplug = \"d0\"", "unplug = \"d7\"");
        assert!(matches!(on(&wrong, Release::new(6, 12)), Outcome::Failed { .. }));
    }
}
