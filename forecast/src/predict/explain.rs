//! Why a block is where it is, after the boot and after each step.

use dimmer_oracle::memory::{Memory, Part};
use dimmer_oracle::release::Release;
use dimmer_oracle::words;

use super::Prediction;
use crate::scenario::{Addresses, Scenario};

/// A block after one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The step; 0 is the boot.
    pub step: usize,
    /// What it does, by its key.
    pub action: String,
    /// What the block shows, as layouts have it: `Movable`, `offline:Normal/Movable`, `absent`.
    pub shows: String,
    /// The rule that made it so, and its numbers.
    pub why: String,
}

/// Why block `index` is where it is: after the boot, and after each step of `scenario` on a kernel of `release`.
///
/// # Errors
/// What is wrong with the scenario, and in which step.
pub fn explain(scenario: &Scenario, release: Release, index: u64) -> Result<Vec<Explanation>, String> {
    let addresses = Addresses::of(scenario)?;
    let mut model = Prediction::new(scenario, release)?;
    let mut all = vec![explanation(&model, &addresses, 0, "boot", index)];
    for (step, wanted) in (1..).zip(&scenario.steps) {
        let action = wanted.action();
        model.apply(&action).map_err(|problem| format!("step {step}: {problem}"))?;
        all.push(explanation(&model, &addresses, step, action.name(), index));
    }
    Ok(all)
}

/// Those that differ from the one before, and the first.
pub fn changes(all: Vec<Explanation>) -> Vec<Explanation> {
    let mut changes: Vec<Explanation> = Vec::new();
    for now in all {
        let same = |last: &Explanation| (&last.shows, &last.why) == (&now.shows, &now.why);
        if !changes.last().is_some_and(same) {
            changes.push(now);
        }
    }
    changes
}

fn explanation(
    model: &Prediction,
    addresses: &Addresses,
    step: usize,
    action: &str,
    index: u64,
) -> Explanation {
    let memory = &model.linux.memory;
    let why = match memory.blocks().get(&index) {
        None => absent(model, addresses, index),
        Some(block) if block.early && block.is_online() => boot_memory(memory, index),
        Some(_) => match model.linux.cost_of(index) {
            Some(cost) => format!("{}; {cost}", words::why(memory, index)),
            None => words::why(memory, index),
        },
    };
    Explanation { step, action: action.to_owned(), shows: words::shown(memory, index), why }
}

/// Why there is no such block.
fn absent(model: &Prediction, addresses: &Addresses, index: u64) -> String {
    let size = model.linux.memory.block_size();
    let bytes = index * size..(index + 1).saturating_mul(size);
    if let Some(why) = model.linux.why_absent(index) {
        return why;
    }
    if let Some(id) = model.dimm_at(&bytes) {
        return format!("it lies in DIMM {id}, which is plugged, but of which Linux was not told");
    }
    match addresses.place_of(&bytes) {
        Some(place) => format!("it lies in {place}, and no device has it plugged"),
        None => "it lies neither in boot memory nor where memory devices can be".to_owned(),
    }
}

/// What boot memory is made of: zones are fixed by addresses, not by any policy.
fn boot_memory(memory: &Memory, index: u64) -> String {
    let block = &memory.blocks()[&index];
    if let Some(decision) = &block.decision {
        return decision.to_string();
    }
    // Holes in RAM cut parts, too; only zones and nodes matter here.
    let mut parts: Vec<Part> = Vec::new();
    for part in &block.parts {
        match parts.last_mut() {
            Some(last) if (last.node, last.zone) == (part.node, part.zone) => {
                last.frames.end = part.frames.end
            }
            _ => parts.push(part.clone()),
        }
    }
    let several = if parts.len() > 1 { "; of more than one zone, it can never go offline" } else { "" };
    let holes = if block.holes { "; not all of it is RAM, so it can never go offline" } else { "" };
    let shown = memory.shown(index).zones[0].is_some();
    let hidden = if shown || parts.len() > 1 { "" } else { "; its holes hide its zone from this release" };
    let part = |Part { frames, node, zone }: &Part| {
        format!("{zone} of node {node} ({:#x}-{:#x})", frames.start, frames.end - 1)
    };
    let parts: Vec<String> = parts.iter().map(part).collect();
    format!("boot memory: page frames in {}{several}{holes}{hidden}", parts.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: Release = Release::new(6, 12);

    fn why(name: &str, block: u64) -> Vec<(usize, String, String)> {
        let source = crate::library::find(name).unwrap().remove(0);
        let all = explain(&source.scenario, RELEASE, block).unwrap();
        changes(all).into_iter().map(|found| (found.step, found.shows, found.why)).collect()
    }

    #[test]
    fn the_numbers_of_the_ratio_are_named() {
        let all = why("01-six-dimms-at-ratio-301", 144);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].0, all[0].1.as_str()), (0, "absent"));
        assert!(all[0].2.contains("the window for DIMMs"), "{all:?}");
        assert_eq!((all[1].0, all[1].1.as_str()), (1, "Normal"));
        assert!(all[1].2.contains("> 301 % of 1048478 early kernel pages = 3155918"), "{all:?}");
    }

    #[test]
    fn a_block_is_explained_whenever_it_changes() {
        let shows: Vec<_> =
            why("07-a-changed-ratio-makes-a-mixed-dimm", 50).into_iter().map(|all| (all.0, all.1)).collect();
        let expected = [
            (0, "absent"),
            (1, "Movable"),
            (2, "offline:Movable/Normal"),
            (3, "offline:Normal/Movable"),
            (4, "Normal"),
        ];
        assert_eq!(shows, expected.map(|(step, shows)| (step, shows.to_owned())));
    }

    #[test]
    fn holes_that_hide_a_zone_are_named_where_they_do() {
        let source = crate::library::find("49d-holes-hide-zones-before-5-18").unwrap().remove(0);
        for (release, hidden) in [(Release::new(5, 10), true), (RELEASE, false)] {
            let why = explain(&source.scenario, release, 48).unwrap().remove(0).why;
            assert_eq!(why.contains("its holes hide its zone"), hidden, "{release}: {why}");
        }
    }

    #[test]
    fn boot_memory_absent_blocks_and_those_that_could_not_be_added_are_explained() {
        let only = |name, block| why(name, block).pop().unwrap().2;
        let first = only("01-six-dimms-at-ratio-301", 0);
        assert!(
            first.contains("DMA of node 0 (0x0-0xfff) and DMA32") && first.contains("can never go offline"),
            "{first}"
        );
        assert!(only("01-six-dimms-at-ratio-301", 40).contains("Normal of node 0"));
        assert!(only("01-six-dimms-at-ratio-301", 9_999_999).contains("neither in boot memory"));
        assert!(only("20-virtio-mem-grows", 303).contains("vmem0"));
        let unaligned = only("12-an-unaligned-dimm", 48);
        assert!(unaligned.contains("memory blocks of 128M") && unaligned.contains("nearest"), "{unaligned}");
    }
}
