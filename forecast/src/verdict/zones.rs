//! Zones: what they span and how many pages are in them.

use std::collections::BTreeSet;

use dimmer_oracle::memory::Memory;
use dimmer_oracle::zone::Zone;
use dimmer_report::Layout;

use super::{Difference, What};

pub(super) fn differences(memory: &Memory, layout: &Layout) -> Vec<Difference> {
    let nodes: BTreeSet<u32> =
        memory.nodes().map(|(node, _)| node).chain(layout.zones.iter().map(|zone| zone.node)).collect();
    let mut all = Vec::new();
    for (node, zone) in nodes.into_iter().flat_map(|node| Zone::ALL.map(|zone| (node, zone))) {
        let state = memory.zone(node, zone);
        let found = layout.zones.iter().find(|seen| seen.node == node && seen.name == zone.name());
        // Not every guest tells what is boot memory.
        let early = found.is_some_and(|seen| seen.present_early.is_some()).then_some(state.early);
        let expected = numbers(state.present, early, state.span.start, state.span.end - state.span.start);
        let seen = found.map_or_else(
            || numbers(0, None, 0, 0),
            |seen| numbers(seen.present, seen.present_early, seen.start_pfn, seen.spanned),
        );
        if expected != seen {
            all.push(Difference { what: What::Zone { node, zone }, expected, seen, why: String::new() });
        }
    }
    all
}

/// A zone in words; an empty one starts nowhere.
fn numbers(present: u64, early: Option<u64>, start: u64, spanned: u64) -> String {
    let early = early.map_or_else(String::new, |early| format!(", {early} of them early"));
    match spanned {
        0 => "empty".to_owned(),
        _ => format!("{present} pages present{early}, {spanned} spanned from {start:#x}"),
    }
}
