//! Histories that go on from machines that were kept are found the same as alone.

use super::super::history::TREE;
use super::*;

#[test]
fn runs_with_a_beginning_in_common_part_behind_it() {
    for run in 0..TREE {
        let one = history(5, run, rules(RELEASE, true));
        let first = history(5, 0, rules(RELEASE, true));
        assert_eq!(one.common, first.common);
        assert_eq!(one.scenario.steps[..one.common], first.scenario.steps[..one.common]);
        assert_eq!(one.scenario.machine, history(5, 0, rules(RELEASE, true)).scenario.machine);
        assert!(one.scenario.steps.len() > one.common, "run {run} has no end");
    }
}

#[test]
fn a_beginning_is_carried_out_once() {
    let mut seat = Seat::default();
    let (mut carried, mut steps) = (0, 0);
    for run in 0..TREE {
        let history = history(5, run, rules(RELEASE, true));
        let keep = [history.common];
        let (found, once) = on_a_seat(&mut seat, &history.scenario, RELEASE, None, &keep);
        assert_eq!(found, on_a_model(&history.scenario, RELEASE, None));
        carried += once.steps;
        steps += (history.scenario.steps.len() - history.common) as u64;
        if run == 0 {
            steps += history.common as u64;
        }
    }
    assert_eq!(carried, steps);
}

#[test]
fn a_difference_is_found_from_a_kept_machine_as_it_is_alone() {
    let mistake = Some(Mistake::SpansOnlyGrow);
    let (mut seat, mut differences) = (Seat::default(), 0);
    for run in 0..200 {
        let history = history(1, run, rules(RELEASE, true));
        let keep = [history.common];
        let (found, _) = on_a_seat(&mut seat, &history.scenario, RELEASE, mistake, &keep);
        assert_eq!(found, on_a_model(&history.scenario, RELEASE, mistake), "run {run}");
        differences += usize::from(found.step().is_some());
    }
    assert!(differences > 0);
}

#[test]
fn a_shrink_goes_on_from_where_candidates_part() {
    let mistake = Some(Mistake::SpansOnlyGrow);
    let rules = rules(RELEASE, true);
    let found = (0..200).map(|run| scenario(1, run, rules));
    let scenario = found.into_iter().find(|one| on_a_model(one, RELEASE, mistake).step() > Some(6));
    let scenario = scenario.expect("some history shows it late");
    let step = on_a_model(&scenario, RELEASE, mistake).step().expect("it was just found");
    let (mut alone, mut kept, mut seat) = (0, 0, Seat::default());
    let alone_it_is = shrink(scenario.clone(), step, rules, usize::MAX, |candidate| {
        let (found, carried) = on_a_seat(&mut Seat::default(), &candidate.scenario, RELEASE, mistake, &[]);
        alone += carried.steps;
        found.step()
    });
    let shrunk = shrink(scenario, step, rules, usize::MAX, |candidate| {
        let keep = [candidate.common];
        let (found, carried) = on_a_seat(&mut seat, &candidate.scenario, RELEASE, mistake, &keep);
        kept += carried.steps;
        found.step()
    });
    assert_eq!((shrunk.scenario, shrunk.attempts), (alone_it_is.scenario, alone_it_is.attempts));
    assert!(kept < alone, "{kept} steps instead of {alone}");
}
