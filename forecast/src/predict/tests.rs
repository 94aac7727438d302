//! The library held against the oracle.

use std::path::Path;

use dimmer_oracle::release::Release;

use super::Prediction;
use crate::expect;
use crate::scenario::{Action, Effect, Expect, Expected, Scenario};

#[test]
fn a_release_before_the_first_is_no_guess() {
    let scenario = Scenario::parse("shows = \"nothing\"", Path::new("a.toml")).unwrap();
    assert!(Prediction::new(&scenario, Release::FIRST).is_ok());
    let error = Prediction::new(&scenario, Release::new(5, 9)).unwrap_err();
    assert_eq!(error, "the oracle knows Linux from 5.10 on, not 5.9");
}

/// Every scenario of the library, with what its author wrote held against what the model says.
#[test]
fn the_library_and_the_oracle_agree() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(library).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let releases =
        [(5, 10), (6, 1), (6, 12), (6, 18), (7, 3)].map(|(major, minor)| Release::new(major, minor));
    let files = files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "toml"));
    for (file, release) in files.flat_map(|file| releases.iter().map(move |release| (file, *release))) {
        let scenario = Scenario::read(file).unwrap();
        if !scenario.is_about(release) {
            continue;
        }
        let mut model = Prediction::new(&scenario, release).unwrap();
        let mut used = false;
        for (number, step) in (1..).zip(&scenario.steps) {
            used |= uses_memory(&step.action());
            let place = format!("{}, step {number}, on {release}", file.display());
            let effect = model.apply(&step.action()).unwrap_or_else(|problem| panic!("{place}: {problem}"));
            let Some(Expect::Details(expected)) = &step.expect else { continue };
            if expected.oracle == Some(false) {
                continue;
            }
            assert!(effect.open.is_empty() || !used, "{place}: Linux may do otherwise: {:?}", effect.open);
            agrees(&model, &effect, expected, &place);
        }
    }
}

/// Whether a step makes the guest use memory, of which kernel memory is then a part somewhere: that may keep any block of a
/// kernel zone. What has just been added is used last (`FPI_TO_TAIL` in `__free_pages_core`, mm/page_alloc.c).
fn uses_memory(action: &Action<'_>) -> bool {
    matches!(action.name(), "load" | "lock" | "hugepages" | "poison")
}

fn agrees(model: &Prediction, effect: &Effect, expected: &Expected, place: &str) {
    let memory = &model.linux.memory;
    if let Some(text) = &expected.blocks {
        let wanted = expect::parse(text).unwrap();
        let behind_boot =
            memory.blocks().iter().filter(|(_, block)| block.early).map(|(index, _)| index + 1).max();
        let first = wanted.keys().next().copied().or(behind_boot).unwrap();
        let words = |index: &u64| {
            let (shown, node) = (memory.shown(*index), memory.blocks()[index].only_node());
            match node.filter(|_| wanted.get(index).is_some_and(|words| words.contains(" node "))) {
                Some(node) => format!("{shown} node {node}"),
                None => shown.to_string(),
            }
        };
        let said = memory.blocks().range(first..).map(|(index, _)| (*index, words(index))).collect();
        let rows = expect::compare(&wanted, &said, |_| String::new());
        let wrong: Vec<_> = rows.iter().filter(|row| !row.is_right()).collect();
        assert!(wrong.is_empty(), "{place}: {wrong:#?}");
    }
    if let Some(outcome) = expected.outcome {
        assert_eq!(effect.outcome, Some(outcome), "{place}");
    }
    if let Some(reports) = expected.reports().unwrap() {
        assert_eq!(effect.ost, reports, "{place}");
    }
    if let Some(plugged) = expected.plugged {
        assert_eq!(effect.plugged.or(model.plugged_by_the_only_device()), Some(plugged.0), "{place}");
    }
    if let Some(refused) = expected.refusals().unwrap() {
        assert_eq!(effect.refused, refused, "{place}");
    }
    if let Some(corrupted) = expected.hardware_corrupted {
        assert_eq!(effect.hardware_corrupted, Some(corrupted.0), "{place}");
    }
}
