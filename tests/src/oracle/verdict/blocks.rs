//! Blocks: what the model shows of each, held against what the guest shows.

use std::collections::{BTreeMap, BTreeSet};

use dimmer_agent::report::{Block as SeenBlock, Layout};

use super::{Difference, What};
use crate::oracle::memory::{Memory, Shown};
use crate::oracle::policy::OnlineType;

const ABSENT: &str = "absent";

/// What the model shows of a block, in the words of a layout: `Movable`, `offline:Normal/Movable`, with the
/// node when it is not node 0.
pub fn shown(memory: &Memory, index: u64) -> String {
    let Some(block) = memory.blocks().get(&index) else { return ABSENT.to_owned() };
    words(memory.shown(index), &block.nodes())
}

/// The same without the node, of a block that is there.
pub fn shown_state(memory: &Memory, index: u64) -> String {
    words(memory.shown(index), &[0])
}

fn words(shown: Shown, nodes: &[u32]) -> String {
    let zones: Vec<&str> = shown.words().collect();
    let zones = zones.join("/");
    let state = match shown {
        Shown { online: true, .. } => zones,
        Shown { going_offline: true, .. } => format!("going-offline:{zones}"),
        _ => format!("offline:{zones}"),
    };
    with_nodes(state, nodes)
}

fn with_nodes(text: String, nodes: &[u32]) -> String {
    if nodes == [0] {
        return text;
    }
    let nodes: Vec<String> = nodes.iter().map(u32::to_string).collect();
    format!("{text} node {}", nodes.join("+"))
}

/// What the model shows of all blocks: runs of neighbours that show the same, as first, last and words.
pub fn runs(memory: &Memory) -> Vec<(u64, u64, String)> {
    let mut runs: Vec<(u64, u64, Shown, Option<u32>)> = Vec::new();
    for (index, block, shown) in memory.all_shown() {
        let node = block.only_node();
        match runs.last_mut() {
            Some((_, last, same, on))
                if *last + 1 == index && *same == shown && *on == node && node.is_some() =>
            {
                *last = index;
            }
            _ => runs.push((index, index, shown, node)),
        }
    }
    let nodes = |first: u64| memory.blocks()[&first].nodes();
    runs.into_iter().map(|(first, last, shown, _)| (first, last, words(shown, &nodes(first)))).collect()
}

/// Whether the guest shows every block as the model does.
pub fn blocks_agree(memory: &Memory, layout: &Layout) -> bool {
    differences(memory, layout).is_empty()
}

/// Whether the guest shows block `index` as the model does.
pub fn block_agrees(memory: &Memory, index: u64, layout: &Layout) -> bool {
    let seen = layout.blocks.iter().find(|block| block.index == index);
    shown(memory, index) == seen.map_or(ABSENT.to_owned(), seen_words)
}

fn seen_words(block: &SeenBlock) -> String {
    with_nodes(crate::expect::shows(block), &block.nodes)
}

pub(super) fn differences(memory: &Memory, layout: &Layout) -> Vec<Difference> {
    let seen: BTreeMap<u64, &SeenBlock> = layout.blocks.iter().map(|block| (block.index, block)).collect();
    let indices: BTreeSet<u64> = memory.blocks().keys().chain(seen.keys()).copied().collect();
    let mut all: Vec<Difference> = Vec::new();
    for index in indices {
        let expected = shown(memory, index);
        let seen = seen.get(&index).map_or(ABSENT.to_owned(), |block| seen_words(block));
        if expected != seen {
            let what = What::Blocks { first: index, last: index };
            super::add_block(&mut all, index, Difference { what, expected, seen, why: why(memory, index) });
        }
    }
    all
}

/// Why the model has a block as it has it.
pub fn why(memory: &Memory, index: u64) -> String {
    let Some(block) = memory.blocks().get(&index) else { return "no device has it plugged".to_owned() };
    if let Some(decision) = &block.decision {
        return decision.to_string();
    }
    if block.is_online() {
        return match block.zone() {
            Some(zone) => format!("{zone}: boot memory"),
            None => "none: boot memory of several zones or nodes".to_owned(),
        };
    }
    let decision = memory.zone_for(&memory.candidate(index), OnlineType::Policy);
    format!("offline; online would put it to {decision}")
}
