//! What the model shows of blocks, in the words of a layout, and why.

use std::fmt;

use crate::memory::{Block, Memory, Shown};
use crate::policy::OnlineType;

/// What is shown of a block that is not there.
pub const ABSENT: &str = "absent";

/// What the model shows of a block; in the words of a layout: `Movable`, `offline:Normal/Movable`, with the node
/// when it is not node 0.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    shown: Shown,
    block: &'a Block,
}

impl Words<'_> {
    /// Whether the two are the same words.
    fn are(&self, other: &Self) -> bool {
        let nodes = (self.block.only_node(), other.block.only_node());
        self.shown == other.shown && nodes.0 == nodes.1 && nodes.0.is_some()
    }
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)?;
        match self.block.only_node() {
            Some(0) => Ok(()),
            Some(node) => write!(f, " node {node}"),
            None => f.write_str(&nodes(&self.block.nodes())),
        }
    }
}

/// The nodes of a block, behind its zones.
pub fn nodes(nodes: &[u32]) -> String {
    let nodes: Vec<String> = nodes.iter().map(u32::to_string).collect();
    format!(" node {}", nodes.join("+"))
}

/// What the model shows of a block, `absent` when there is none.
pub fn shown(memory: &Memory, index: u64) -> String {
    let Some(block) = memory.blocks().get(&index) else { return ABSENT.to_owned() };
    Words { shown: memory.shown(index), block }.to_string()
}

/// The same without the node, of a block that is there.
pub fn shown_state(memory: &Memory, index: u64) -> String {
    memory.shown(index).to_string()
}

/// What the model shows of all blocks: runs of neighbours that show the same, as first, last and words.
pub fn runs(memory: &Memory) -> Vec<(u64, u64, Words<'_>)> {
    let mut runs: Vec<(u64, u64, Words<'_>)> = Vec::new();
    for (index, block, shown) in memory.all_shown() {
        let words = Words { shown, block };
        match runs.last_mut() {
            Some((_, last, same)) if *last + 1 == index && same.are(&words) => *last = index,
            _ => runs.push((index, index, words)),
        }
    }
    runs
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
