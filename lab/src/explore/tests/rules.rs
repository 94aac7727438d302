//! Every rule of the model is met by some history, or there is a reason why only scenarios meet it.

use std::sync::Mutex;

use dimmer_oracle::rule::{Met, Rule};

use super::super::history::{TREE, Trunk, met};
use super::*;

/// Histories of each release in which every other rule is met.
const RUNS: u64 = 4000;

/// Rules that no history meets, and why.
const ONLY_IN_SCENARIOS: &[(Rule, &str)] = &[
    (Rule::Exists, "a machine plugs nothing where memory is"),
    (Rule::KernelZoneIsLow, OPEN),
    (Rule::KernelMayGo, OPEN),
    (Rule::BootMemoryMayGo, OPEN),
    (Rule::TakesPartialKernel, OPEN),
    (Rule::TakesKernel, OPEN),
    (Rule::KernelBigBlockGoes, OPEN),
    (Rule::MemmapMayNotBePaid, OPEN),
    (Rule::GivesBack, "guests are given no more memory than they can pay for"),
    (Rule::BehindTheLimit, "guests boot without `mem=`"),
    (Rule::BehindKaslr, "no kernel of Debian's refuses it, and memory that is as far away is rare"),
    (Rule::BigBlockStays, REFUSED),
    (Rule::EmptyBlockStays, REFUSED),
    (Rule::EmptyBlockGoesLater, REFUSED),
    (Rule::GoesOnAfterOffline, "it takes a driver of 5.10 that has too much, and too little of it offline"),
    (Rule::BrokenAlready, "each step breaks another page"),
    (Rule::BrokenIsForgotten, "Debian's small kernels before 6.12 take no page for broken"),
];

const OPEN: &str = "Linux leaves open whether kernel memory can be moved; histories with --inexact meet it";
const REFUSED: &str = "memory that is given back while a notifier refuses is for scenarios";

/// The rules that the histories meet, tree by tree: those of one tree have their beginning in common, which is made once.
fn met_by_trees(release: Release) -> impl Iterator<Item = Met> {
    let trees = (0..RUNS * STRIDE).step_by(usize::try_from(TREE).unwrap());
    trees.map(move |first| {
        let trunk = Trunk::of(1, first, rules(release, true));
        let mut all = Met::new();
        for run in (first..(first + TREE).min(RUNS * STRIDE)).filter(|run| run.is_multiple_of(STRIDE)) {
            let scenario = trunk.history(run).scenario;
            all.add_all(met(&scenario, scenario.steps.len(), release));
        }
        all
    })
}

#[test]
fn every_rule_is_met_or_there_is_a_reason() {
    let listed = |rule: &Rule| ONLY_IN_SCENARIOS.iter().any(|(other, _)| other == rule);
    let wanted = Rule::ALL.len() - ONLY_IN_SCENARIOS.len();
    let all = Mutex::new(Met::new());
    std::thread::scope(|scope| {
        for release in [Release::new(5, 10), Release::new(6, 1), RELEASE] {
            let all = &all;
            scope.spawn(move || {
                for found in met_by_trees(release) {
                    let mut all = all.lock().unwrap();
                    all.add_all(found);
                    if all.iter().filter(|rule| !listed(rule)).count() == wanted {
                        break;
                    }
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    let never: Vec<_> = Rule::ALL.iter().filter(|rule| !all.has(**rule) && !listed(rule)).collect();
    assert!(never.is_empty(), "no history meets {never:?}");
    let met: Vec<_> = ONLY_IN_SCENARIOS.iter().filter(|(rule, _)| all.has(*rule)).collect();
    assert!(met.is_empty(), "histories meet {met:?}");
}
