//! Making a scenario that shows a difference as small as it gets (delta debugging): each candidate is
//! carried out, and one that still shows a difference takes the scenario's place.

use std::collections::HashSet;

use super::history::{Rules, is_possible};
use crate::scenario::Scenario;

mod machine;
mod rebase;
mod steps;

/// A scenario to try.
#[derive(Debug)]
pub struct Candidate {
    /// The scenario.
    pub scenario: Scenario,
    /// How many steps at its beginning are those of the smallest one so far: others will have them, too.
    pub common: usize,
}

/// The smallest scenario that was found, and what it took.
#[derive(Debug)]
pub struct Shrunk {
    /// The scenario.
    pub scenario: Scenario,
    /// Candidates that were carried out.
    pub attempts: usize,
}

/// Shrinks `scenario`. `differs` carries out a candidate and gives the step after which guest and oracle
/// differ, or `None`: also when the guest was lost, which shows nothing. At most `most` candidates are
/// carried out.
pub fn shrink(
    mut scenario: Scenario,
    step: usize,
    rules: Rules,
    most: usize,
    mut differs: impl FnMut(&Candidate) -> Option<usize>,
) -> Shrunk {
    scenario.steps.truncate(step);
    let mut seen = HashSet::from([key(&scenario)]);
    let mut attempts = 0;
    let mut attempt = |smallest: &Scenario, scenario: Scenario| {
        if attempts == most || !seen.insert(key(&scenario)) || !is_possible(&scenario, rules) {
            return None;
        }
        attempts += 1;
        let mut candidate = Candidate { common: common(smallest, &scenario), scenario };
        let step = differs(&candidate)?;
        candidate.scenario.steps.truncate(step);
        seen.insert(key(&candidate.scenario));
        Some(candidate.scenario)
    };
    loop {
        let smaller = candidates(&scenario, rules).find_map(|smaller| attempt(&scenario, smaller));
        match smaller {
            Some(smaller) => scenario = smaller,
            None => break,
        }
    }
    Shrunk { scenario, attempts }
}

/// How many steps two scenarios have in common before they part; none when their machines or settings differ.
fn common(one: &Scenario, other: &Scenario) -> usize {
    if (&one.machine, &one.guest) != (&other.machine, &other.guest) {
        return 0;
    }
    one.steps.iter().zip(&other.steps).take_while(|(one, other)| one == other).count()
}

/// What tells one candidate from another.
fn key(scenario: &Scenario) -> String {
    scenario.to_toml()
}

/// Simpler scenarios, those that save most first. Later ones are only made when they are asked for.
fn candidates(scenario: &Scenario, rules: Rules) -> impl Iterator<Item = Scenario> {
    let fewer = steps::fewer(&scenario.steps).into_iter();
    let fewer = fewer.map(|steps| Scenario { steps, ..scenario.clone() });
    let merged = steps::merged(scenario).into_iter();
    let machines = machine::simpler(scenario).into_iter();
    let machines = machines.filter_map(move |candidate| rebase::rebased(scenario, candidate, rules));
    let smaller = steps::smaller(&scenario.steps).into_iter();
    let smaller = smaller.map(|steps| Scenario { steps, ..scenario.clone() });
    fewer.chain(merged).chain(machines).chain(smaller)
}
