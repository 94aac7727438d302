//! The model held against what a guest shows: every block, every zone, and the memory in all.

use std::collections::BTreeSet;

use dimmer_agent::report::Layout;

use super::linux::Linux;
use super::memory::Memory;
use super::zone::Zone;

/// Something that is not as predicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs.
    pub what: What,
    /// As the model has it.
    pub expected: String,
    /// As the guest has it.
    pub seen: String,
    /// Why the model has it so, for the first block; empty where there is no more to say.
    pub why: String,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Neighbouring blocks.
    Blocks {
        /// The first.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A zone of a node.
    Zone {
        /// The node.
        node: u32,
        /// The zone.
        zone: Zone,
    },
    /// The size of a memory block.
    BlockSize,
}

const ABSENT: &str = "absent";

/// All differences, blocks first; nothing when the guest is as predicted.
pub fn differences(linux: &Linux, seen: &Layout) -> Vec<Difference> {
    let memory = &linux.memory;
    if memory.block_size() != seen.block_size {
        let (expected, seen) = (memory.block_size().to_string(), seen.block_size.to_string());
        return vec![Difference { what: What::BlockSize, expected, seen, why: String::new() }];
    }
    let mut all = blocks(memory, seen);
    all.extend(zones(memory, seen));
    all
}

/// What the model shows of a block, in the words of a layout: `Movable`, `offline:Normal/Movable`, with the
/// node when it is not node 0.
pub fn shown(memory: &Memory, index: u64) -> String {
    let Some(block) = memory.blocks().get(&index) else { return ABSENT.to_owned() };
    with_nodes(shown_state(memory, index), &block.nodes())
}

/// The same without the node, of a block that is there.
pub fn shown_state(memory: &Memory, index: u64) -> String {
    let block = &memory.blocks()[&index];
    let zones = memory.valid_zones(index).join("/");
    match (block.is_online(), block.going_offline) {
        (true, true) => format!("going-offline:{zones}"),
        (true, false) => zones,
        (false, _) => format!("offline:{zones}"),
    }
}

/// What the model shows of all blocks: runs of neighbours that show the same, as first, last and words.
pub fn runs(memory: &Memory) -> Vec<(u64, u64, String)> {
    let mut all: Vec<(u64, u64, String)> = Vec::new();
    for index in memory.blocks().keys() {
        let shown = shown(memory, *index);
        match all.last_mut() {
            Some((_, last, same)) if *last + 1 == *index && *same == shown => *last = *index,
            _ => all.push((*index, *index, shown)),
        }
    }
    all
}

fn with_nodes(text: String, nodes: &[u32]) -> String {
    if nodes == [0] {
        return text;
    }
    let nodes: Vec<String> = nodes.iter().map(u32::to_string).collect();
    format!("{text} node {}", nodes.join("+"))
}

fn blocks(memory: &Memory, layout: &Layout) -> Vec<Difference> {
    let seen = crate::expect::seen(layout);
    let nodes = |index| layout.blocks.iter().find(|block| block.index == index).map(|block| &block.nodes[..]);
    let indices: BTreeSet<u64> = memory.blocks().keys().chain(seen.keys()).copied().collect();
    let mut all: Vec<Difference> = Vec::new();
    for index in indices {
        let expected = shown(memory, index);
        let seen = seen
            .get(&index)
            .map_or(ABSENT.to_owned(), |shows| with_nodes(shows.clone(), nodes(index).unwrap_or_default()));
        if expected == seen {
            continue;
        }
        match all.last_mut() {
            Some(Difference { what: What::Blocks { last, .. }, expected: same, seen: also, .. })
                if *last + 1 == index && *same == expected && *also == seen =>
            {
                *last = index;
            }
            _ => {
                let what = What::Blocks { first: index, last: index };
                all.push(Difference { what, expected, seen, why: why(memory, index) });
            }
        }
    }
    all
}

/// Why the model has a block as it has it.
pub fn why(memory: &Memory, index: u64) -> String {
    use super::policy::OnlineType;
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

fn zones(memory: &Memory, layout: &Layout) -> Vec<Difference> {
    let nodes: BTreeSet<u32> =
        memory.nodes().map(|(node, _)| node).chain(layout.zones.iter().map(|zone| zone.node)).collect();
    let mut all = Vec::new();
    for (node, zone) in nodes.into_iter().flat_map(|node| Zone::ALL.map(|zone| (node, zone))) {
        let state = memory.zone(node, zone);
        let expected = numbers(state.present, state.span.start, state.span.end - state.span.start);
        let found = layout.zones.iter().find(|seen| seen.node == node && seen.name == zone.name());
        let seen = found
            .map_or_else(|| numbers(0, 0, 0), |seen| numbers(seen.present, seen.start_pfn, seen.spanned));
        if expected != seen {
            all.push(Difference { what: What::Zone { node, zone }, expected, seen, why: String::new() });
        }
    }
    all
}

/// A zone in words; an empty one starts nowhere.
fn numbers(present: u64, start: u64, spanned: u64) -> String {
    match spanned {
        0 => "empty".to_owned(),
        _ => format!("{present} pages present, {spanned} spanned from {start:#x}"),
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Blocks { first, last } if first == last => write!(f, "block {first}")?,
            What::Blocks { first, last } => write!(f, "blocks {first}-{last}")?,
            What::Zone { node, zone } => write!(f, "zone {zone} of node {node}")?,
            What::BlockSize => write!(f, "block size")?,
        }
        write!(f, ": expected {}, seen {}", self.expected, self.seen)?;
        if !self.why.is_empty() {
            write!(f, " ({})", self.why)?;
        }
        Ok(())
    }
}
