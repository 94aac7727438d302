//! The explorer on models alone: thousands of histories, and no machine.

use std::path::Path;

use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::release::Release;

use super::found::Found;
use super::history::{Rules, history};
use super::kept::{Carried, Seat, Wanted};
use super::shrink::shrink;
use crate::check::subject::ModelError;
use crate::predict::Prediction;
use crate::scenario::Scenario;

mod rules;
mod trees;

const RELEASE: Release = Release::new(6, 12);

fn rules(release: Release, only_exact: bool) -> Rules {
    Rules { release, only_exact }
}

fn scenario(seed: u64, run: u64, rules: Rules) -> Scenario {
    history(seed, run, rules).scenario
}

/// A history on a seat of models.
fn on_a_seat(
    seat: &mut Seat<Prediction>,
    scenario: &Scenario,
    release: Release,
    mistake: Option<Mistake>,
    keep: &[usize],
) -> (Found, Carried) {
    let wanted = Wanted { kernel: "model", scenario, mistake, keep };
    let boot = || Prediction::new(scenario, release).map_err(ModelError);
    let way = seat.begin(&wanted, scenario.steps.len(), boot);
    match way.and_then(|way| way.end(scenario)) {
        Ok((checking, carried)) => (checking.into(), carried),
        Err(error) => (Found::from(&error), Carried::default()),
    }
}

/// A scenario on another model.
fn on_a_model(scenario: &Scenario, release: Release, mistake: Option<Mistake>) -> Found {
    on_a_seat(&mut Seat::default(), scenario, release, mistake, &[]).0
}

#[test]
fn a_model_does_not_differ_from_itself() {
    for run in 0..200 {
        let scenario = scenario(1, run, rules(RELEASE, false));
        let found = on_a_model(&scenario, RELEASE, None);
        assert!(
            matches!(found, Found::Nothing { blocks } if blocks > 0),
            "{found:?}\n{}",
            scenario.to_toml()
        );
    }
}

#[test]
fn the_same_seed_and_run_make_the_same_scenario() {
    let text = |seed, run| scenario(seed, run, rules(RELEASE, true)).to_toml();
    assert_eq!(text(7, 3), text(7, 3));
    assert_ne!(text(7, 3), text(7, 4));
    assert_ne!(text(7, 3), text(8, 3));
}

/// Neighbours have their machine in common; runs so far apart, three in a tree, show more machines.
const STRIDE: u64 = 7;

/// The most steps that a planted mistake may be shrunk to.
const MOST_STEPS: usize = 6;

/// Explores with an oracle that makes one mistake until it shows, and shrinks what showed it.
fn explore(mistake: Mistake) -> Option<Scenario> {
    // Only older releases cannot put the memmap of every block on itself.
    let release = if mistake == Mistake::MemmapOnEveryBlock { Release::new(6, 1) } else { RELEASE };
    // A shrink that reaches partial blocks in a kernel zone has more than one outcome in a guest.
    let rules = rules(release, mistake != Mistake::KernelPartialsLast);
    let differs = |candidate: &Scenario| on_a_model(candidate, release, Some(mistake)).step();
    let (step, found) = (0..4000).map(|number| number * STRIDE).find_map(|run| {
        let scenario = scenario(1, run, rules);
        differs(&scenario).map(|step| (step, scenario))
    })?;
    let smallest = shrink(found, step, rules, usize::MAX, |candidate| differs(&candidate.scenario)).scenario;
    assert!(differs(&smallest).is_some(), "{mistake:?} does not show any more: {}", smallest.to_toml());
    Some(smallest)
}

#[test]
fn every_planted_mistake_is_found_and_shrunk() {
    for mistake in Mistake::ALL {
        let smallest = explore(*mistake).unwrap_or_else(|| panic!("{mistake:?} is not found"));
        let text = smallest.to_toml();
        assert!(smallest.steps.len() <= MOST_STEPS, "{mistake:?}: {text}");
        assert_eq!(Scenario::parse(&text, Path::new("a.toml")).unwrap(), smallest, "{mistake:?}: {text}");
    }
}
