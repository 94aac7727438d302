//! Fewer steps, and smaller ones.

use std::collections::BTreeSet;

use crate::scenario::{BlockSet, Guest, Inject, NotifyWord, Parameters, Plug, Scenario, Size, Step};

/// Sizes that a person would choose.
const ROUND: [u64; 6] = [128 << 20, 256 << 20, 512 << 20, 1 << 30, 2 << 30, 4 << 30];

/// The steps without some of them: long runs first, then shorter ones, then each alone.
pub(super) fn fewer(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    let mut length = steps.len().div_ceil(2);
    while length > 0 && !steps.is_empty() {
        for start in (0..steps.len()).step_by(length) {
            let rest = steps[..start].iter().chain(steps.iter().skip(start + length));
            all.push(rest.cloned().collect());
        }
        length = if length == 1 { 0 } else { length.div_ceil(2) };
    }
    all
}

/// The scenario with two neighbouring steps made one, or a first change of parameters made the guest's
/// settings.
pub(super) fn merged(scenario: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    for index in 1..scenario.steps.len() {
        if let Some(step) = one_of_two(&scenario.steps[index - 1], &scenario.steps[index]) {
            let mut steps = scenario.steps.clone();
            steps.splice(index - 1..=index, [step]);
            all.push(Scenario { steps, ..scenario.clone() });
        }
    }
    for (index, step) in scenario.steps.iter().enumerate() {
        if let Some(guest) = step.set.and_then(|set| from_the_start(&scenario.guest, set)) {
            let mut steps = scenario.steps.clone();
            steps.remove(index);
            all.push(Scenario { steps, guest, ..scenario.clone() });
        }
    }
    all
}

fn one_of_two(first: &Step, second: &Step) -> Option<Step> {
    let mut step = second.clone();
    match (first, second) {
        (Step { online: Some(one), .. }, Step { online: Some(other), .. }) if one.how == other.how => {
            step.online.as_mut()?.blocks = both(&one.blocks, &other.blocks);
        }
        (Step { offline: Some(one), .. }, Step { offline: Some(other), .. }) => {
            step.offline = Some(both(one, other));
        }
        (Step { set: Some(one), .. }, Step { set: Some(other), .. }) => {
            step.set = Some(Parameters {
                online_policy: other.online_policy.or(one.online_policy),
                auto_movable_ratio: other.auto_movable_ratio.or(one.auto_movable_ratio),
                auto_movable_numa_aware: other.auto_movable_numa_aware.or(one.auto_movable_numa_aware),
                auto_online_blocks: other.auto_online_blocks.or(one.auto_online_blocks),
                acpi_eject: other.acpi_eject.or(one.acpi_eject),
                hwpoison_filter_dev_major: other.hwpoison_filter_dev_major.or(one.hwpoison_filter_dev_major),
            });
        }
        _ => return None,
    }
    Some(step)
}

fn both(one: &BlockSet, other: &BlockSet) -> BlockSet {
    BlockSet(one.0.union(&other.0).copied().collect())
}

/// The settings of a guest that has these parameters from the start, where that is possible.
fn from_the_start(guest: &Guest, set: Parameters) -> Option<Guest> {
    let changed = Guest {
        online_policy: set.online_policy.or(guest.online_policy),
        auto_movable_ratio: set.auto_movable_ratio.unwrap_or(guest.auto_movable_ratio),
        auto_movable_numa_aware: set.auto_movable_numa_aware.unwrap_or(guest.auto_movable_numa_aware),
        auto_online_blocks: set.auto_online_blocks.or(guest.auto_online_blocks),
        ..guest.clone()
    };
    set.acpi_eject.is_none().then_some(changed)
}

/// The steps with one of them smaller.
pub(super) fn smaller(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        for other in smaller_step(step) {
            let mut steps = steps.to_vec();
            steps[index] = other;
            all.push(steps);
        }
    }
    all
}

fn smaller_step(step: &Step) -> Vec<Step> {
    if let Some(plug) = &step.plug {
        return smaller_plugs(plug)
            .into_iter()
            .map(|plug| Step { plug: Some(plug), ..step.clone() })
            .collect();
    }
    if let Some(resize) = &step.resize {
        let sizes = smaller_sizes(resize.to).into_iter();
        let with =
            |to| Step { resize: Some(crate::scenario::Resize { to, ..resize.clone() }), ..step.clone() };
        return sizes.map(with).collect();
    }
    if let Some(add) = &step.add {
        let sizes = add.requested.into_iter().flat_map(smaller_sizes).map(Some);
        let sizes = sizes.chain(add.requested.is_some().then_some(None));
        let with =
            |requested| Step { add: Some(crate::scenario::Add { requested, ..add.clone() }), ..step.clone() };
        return sizes.map(with).collect();
    }
    if let Some(blocks) = &step.offline {
        return fewer_blocks(blocks)
            .into_iter()
            .map(|set| Step { offline: Some(set), ..step.clone() })
            .collect();
    }
    if let Some(online) = &step.online {
        let with = |blocks| crate::scenario::Blocks { blocks, ..online.clone() };
        let sets = fewer_blocks(&online.blocks).into_iter();
        return sets.map(|set| Step { online: Some(with(set)), ..step.clone() }).collect();
    }
    if let Some(id) = &step.eject {
        return vec![Step { eject: None, unplug: Some(id.clone()), ..step.clone() }];
    }
    step.inject.map_or_else(Vec::new, |inject| {
        let one = |inject| Step { inject: Some(inject), ..step.clone() };
        vec![one(Inject { going_online: false, ..inject }), one(Inject { going_offline: false, ..inject })]
    })
}

fn smaller_plugs(plug: &Plug) -> Vec<Plug> {
    let mut all = Vec::new();
    if let Some(count) = plug.count {
        all.push(Plug { count: None, ..plug.clone() });
        all.extend((1..count).map(|count| Plug { count: Some(count), ..plug.clone() }));
    }
    if plug.notify != NotifyWord::default() {
        all.push(Plug { notify: NotifyWord::default(), ..plug.clone() });
    }
    if plug.start.is_some() || plug.align.is_some() {
        all.push(Plug { start: None, align: None, ..plug.clone() });
    }
    if plug.ranges.is_some() {
        for size in [128 << 20, 1 << 30] {
            all.push(Plug { ranges: None, size: Some(Size(size)), descending: false, ..plug.clone() });
        }
        all.push(Plug { descending: false, ..plug.clone() });
    }
    if let Some(size) = plug.size {
        all.extend(smaller_sizes(size).into_iter().map(|size| Plug { size: Some(size), ..plug.clone() }));
    }
    all
}

/// Smaller sizes, round ones first.
fn smaller_sizes(size: Size) -> Vec<Size> {
    let mut all: Vec<u64> = vec![0];
    all.extend(ROUND);
    let block = ROUND[0];
    all.extend([size.0 / 2 / block * block, size.0 / block * block, size.0.saturating_sub(block)]);
    all.retain(|other| *other < size.0);
    all.into_iter().map(Size).collect()
}

/// One block, half of them, or all but one.
fn fewer_blocks(blocks: &BlockSet) -> Vec<BlockSet> {
    let all: Vec<u64> = blocks.0.iter().copied().collect();
    let set = |blocks: &[u64]| BlockSet(blocks.iter().copied().collect::<BTreeSet<_>>());
    match all.len() {
        0 | 1 => Vec::new(),
        length => {
            vec![
                set(&all[..1]),
                set(&all[length - 1..]),
                set(&all[..length / 2]),
                set(&all[length / 2..]),
                set(&all[1..]),
                set(&all[..length - 1]),
            ]
        }
    }
}
