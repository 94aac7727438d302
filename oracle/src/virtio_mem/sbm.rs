//! Sub-block mode: memory blocks of which each sub-block is plugged or not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Linux, VirtioMem};
use crate::rule::Rule;
use crate::zone::{PAGE, Zone};

mod plug;
mod unplug;

/// The memory blocks of a device and their sub-blocks.
#[derive(Debug, Clone)]
pub struct SubBlocks {
    /// Bytes of a sub-block, and of a memory block.
    sub_block: u64,
    memory_block: u64,
    /// The first memory block that was never used.
    next: u64,
    /// Those that were used and are not any more.
    unused: BTreeSet<u64>,
    /// Those of which every sub-block is plugged.
    whole: BTreeSet<u64>,
    /// The plugged sub-blocks of the others that Linux has.
    partial: BTreeMap<u64, BTreeSet<u64>>,
}

/// Where a memory block is online, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Offline,
    Kernel,
    Movable,
}

impl SubBlocks {
    pub(super) fn new(region: &Range<u64>, sub_block: u64, memory_block: u64) -> Self {
        Self {
            sub_block,
            memory_block,
            next: region.start.div_ceil(memory_block),
            unused: BTreeSet::new(),
            whole: BTreeSet::new(),
            partial: BTreeMap::new(),
        }
    }

    pub(super) fn plugged(&self) -> u64 {
        let partial: usize = self.partial.values().map(BTreeSet::len).sum();
        self.whole.len() as u64 * self.memory_block + partial as u64 * self.sub_block
    }

    /// Pages that are not plugged of the blocks for which `online` says so.
    pub(super) fn unplugged_pages(&self, online: impl Fn(u64) -> bool) -> u64 {
        let partial = self.partial.iter().filter(|(index, _)| online(**index));
        partial.map(|(_, plugged)| (self.per_block() - plugged.len() as u64) * self.sub_block / PAGE).sum()
    }

    const fn per_block(&self) -> u64 {
        self.memory_block / self.sub_block
    }

    /// Brings the plugged size nearer to the requested one, once.
    pub(super) fn run(&mut self, linux: &mut Linux, device: &mut VirtioMem) {
        if linux.release.retries_unplugged_blocks() {
            self.clean_up(linux);
        }
        let (plugged, requested) = (self.plugged(), device.requested);
        if requested > plugged {
            self.plug(linux, device, (requested - plugged) / self.sub_block);
        } else {
            self.unplug(linux, device, (plugged - requested) / self.sub_block);
        }
    }

    /// Removes blocks of which nothing is plugged any more, when they now can be
    /// (`virtio_mem_cleanup_pending_mb`).
    fn clean_up(&mut self, linux: &mut Linux) {
        for place in [Place::Movable, Place::Kernel, Place::Offline] {
            for index in self.partial_in(linux, &[place]) {
                if self.partial[&index].is_empty() {
                    self.partial.remove(&index);
                    self.remove_empty(linux, index);
                    if self.unused.contains(&index) {
                        linux.memory.meet(Rule::EmptyBlockGoesLater);
                    }
                }
            }
        }
    }

    fn partial_in(&self, linux: &Linux, places: &[Place]) -> Vec<u64> {
        self.partial.keys().copied().filter(|index| places.contains(&place(linux, *index))).collect()
    }

    fn put_back(&mut self, index: u64, plugged: BTreeSet<u64>) {
        if plugged.len() as u64 == self.per_block() {
            self.whole.insert(index);
        } else {
            self.partial.insert(index, plugged);
        }
    }

    /// Linux may keep a block of which nothing is plugged, when it cannot take it offline.
    fn remove_empty(&mut self, linux: &mut Linux, index: u64) {
        if linux.offline_and_remove(index..index + 1).is_ok() {
            self.unused.insert(index);
        } else {
            linux.memory.meet(Rule::EmptyBlockStays);
            self.put_back(index, BTreeSet::new());
        }
    }

    fn bytes(&self, index: u64, subs: Range<u64>) -> Range<u64> {
        let start = index * self.memory_block;
        start + subs.start * self.sub_block..start + subs.end * self.sub_block
    }
}

fn place(linux: &Linux, index: u64) -> Place {
    match linux.memory.blocks().get(&index).and_then(|block| block.zone()) {
        None => Place::Offline,
        Some(Zone::Movable) => Place::Movable,
        Some(_) => Place::Kernel,
    }
}
