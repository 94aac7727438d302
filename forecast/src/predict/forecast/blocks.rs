//! The blocks of a forecast, as they are shown: kept up with the model, which says what may have changed. Looking at all of them
//! after each step is most of the time that a forecast of a large machine takes.

use std::collections::BTreeMap;

use dimmer_oracle::memory::{GroupId, Memory, Shown};
use rangemap::RangeInclusiveSet;

/// What one block shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Its state and zones.
    pub shown: Shown,
    /// The node that it is linked to; `None` when there are several.
    pub node: Option<u32>,
}

/// All blocks.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    looks: BTreeMap<u64, Look>,
    group_of: BTreeMap<u64, GroupId>,
    groups: BTreeMap<GroupId, RangeInclusiveSet<u64>>,
    changed: Vec<(u64, Option<Look>)>,
}

impl Blocks {
    /// Each block that there is, by its number.
    pub const fn looks(&self) -> &BTreeMap<u64, Look> {
        &self.looks
    }

    /// The blocks that do not show what they did before the last step, ascending, with what they show now; `None` if they are
    /// gone.
    pub fn changed(&self) -> &[(u64, Option<Look>)] {
        &self.changed
    }

    /// The blocks of a group, as first and last of each run.
    pub fn of_group(&self, id: GroupId) -> Vec<(u64, u64)> {
        let runs = self.groups.get(&id).into_iter().flat_map(RangeInclusiveSet::iter);
        runs.map(|run| (*run.start(), *run.end())).collect()
    }

    /// Takes over what has changed in `memory`.
    pub(super) fn keep_up(&mut self, memory: &mut Memory) {
        self.changed.clear();
        for index in memory.take_changed() {
            let block = memory.blocks().get(&index);
            let look = block.map(|block| Look { shown: memory.shown(index), node: block.only_node() });
            let before = match look {
                Some(look) => self.looks.insert(index, look),
                None => self.looks.remove(&index),
            };
            if before != look {
                self.changed.push((index, look));
            }
            self.regroup(index, block.and_then(|block| block.group));
        }
    }

    fn regroup(&mut self, index: u64, group: Option<GroupId>) {
        let before = match group {
            Some(id) => self.group_of.insert(index, id),
            None => self.group_of.remove(&index),
        };
        if before == group {
            return;
        }
        if let Some(blocks) = before.and_then(|id| self.groups.get_mut(&id)) {
            blocks.remove(index..=index);
        }
        if let Some(id) = group {
            self.groups.entry(id).or_default().insert(index..=index);
        }
    }
}
