//! Steps that name blocks, on another machine.

use std::collections::BTreeSet;

use dimmer_oracle::memory::Memory;

use crate::explore::history::Rules;
use crate::predict::Prediction;
use crate::scenario::{BlockSet, Scenario, Step};

/// `candidate` has the steps of `old` on another machine, where the same blocks have other numbers: the
/// third block behind boot memory stays the third. `None` when it cannot be carried out.
pub(super) fn rebased(old: &Scenario, mut candidate: Scenario, rules: Rules) -> Option<Scenario> {
    let mut from = Prediction::new(old, rules.release).ok()?;
    let mut to = Prediction::new(&candidate, rules.release).ok()?;
    for (before, after) in old.steps.iter().zip(&mut candidate.steps) {
        if let Some(blocks) = blocks_of(after) {
            let ranks = ranks(&from.linux.memory, blocks);
            *blocks = at_ranks(&to.linux.memory, &ranks)?;
        }
        if let Some(write) = &mut after.write {
            let ranks = ranks(&from.linux.memory, &BlockSet([write.block].into()));
            write.block = at_ranks(&to.linux.memory, &ranks)?.0.pop_first()?;
        }
        from.apply(&before.action()).ok()?;
        to.apply(&after.action()).ok()?;
    }
    Some(candidate)
}

fn blocks_of(step: &mut Step) -> Option<&mut BlockSet> {
    let online = step.online.as_mut().map(|online| &mut online.blocks);
    online.or(step.offline.as_mut()).or(step.pin.as_mut()).or(step.unpin.as_mut())
}

/// The blocks that no boot memory is in, ascending.
fn plugged(memory: &Memory) -> Vec<u64> {
    memory.blocks().iter().filter(|(_, block)| !block.early).map(|(index, _)| *index).collect()
}

fn ranks(memory: &Memory, blocks: &BlockSet) -> Vec<usize> {
    let plugged = plugged(memory);
    blocks.0.iter().filter_map(|index| plugged.binary_search(index).ok()).collect()
}

fn at_ranks(memory: &Memory, ranks: &[usize]) -> Option<BlockSet> {
    let plugged = plugged(memory);
    let blocks: BTreeSet<u64> = ranks.iter().filter_map(|rank| plugged.get(*rank)).copied().collect();
    (!blocks.is_empty()).then_some(BlockSet(blocks))
}
