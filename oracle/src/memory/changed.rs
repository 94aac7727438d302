//! Which blocks may show something else than before: for those who follow a guest step by step, so that they need not look at
//! all of its blocks again.

use std::collections::BTreeSet;

use super::Memory;

/// Blocks, by their numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    /// Those that came, went, or changed by themselves since somebody asked.
    touched: BTreeSet<u64>,
    /// Those of which zones decide what they show, besides the offline ones: they change without being touched.
    unsteady: BTreeSet<u64>,
}

impl Changed {
    pub(super) const fn new() -> Self {
        Self { touched: BTreeSet::new(), unsteady: BTreeSet::new() }
    }

    pub(super) fn touch(&mut self, index: u64) {
        self.touched.insert(index);
    }

    pub(super) fn set_unsteady(&mut self, index: u64, unsteady: bool) {
        if unsteady {
            self.unsteady.insert(index)
        } else {
            self.unsteady.remove(&index)
        };
    }
}

impl Memory {
    /// The numbers of the blocks whose state, zones, node or group may be others than when this was asked last, and of those
    /// that are gone since. What is not among them shows what it did.
    pub fn take_changed(&mut self) -> BTreeSet<u64> {
        let mut all = std::mem::take(&mut self.changed.touched);
        all.extend(&self.offline);
        all.extend(&self.changed.unsteady);
        all
    }

    /// This is memory after a boot, and `before` what the machine had until then.
    pub fn follow(&mut self, before: &Self) {
        self.changed.touched.extend(before.blocks.keys().chain(&before.changed.touched));
    }
}
