//! Blocks: what the model shows of each, held against what the guest shows.

use std::collections::{BTreeMap, BTreeSet};

use dimmer_oracle::memory::Memory;
use dimmer_oracle::words::{ABSENT, nodes, shown, why};
use dimmer_report::{Block as SeenBlock, Layout};

use super::{Difference, What};

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
    let zones = crate::expect::shows(block);
    if block.nodes == [0] { zones } else { zones + &nodes(&block.nodes) }
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
