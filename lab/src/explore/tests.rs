//! The explorer on models alone: thousands of histories, and no machine.

use dimmer_oracle::mistake::Mistake;
use dimmer_oracle::release::Release;

use super::found::Found;
use super::history::{Rules, history};
use super::kept::{Carried, Seat, Wanted};
use super::shrink::shrink;
use crate::check::subject::ModelError;
use crate::predict::Prediction;
use crate::scenario::Scenario;

mod planted;
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
pub(super) fn on_a_model(scenario: &Scenario, release: Release, mistake: Option<Mistake>) -> Found {
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
