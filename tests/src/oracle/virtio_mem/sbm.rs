//! Sub-block mode: memory blocks of which each sub-block is plugged or not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Linux, Request, VirtioMem};
use crate::oracle::zone::Zone;

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

    const fn per_block(&self) -> u64 {
        self.memory_block / self.sub_block
    }

    /// Brings the plugged size nearer to the requested one, once.
    pub(super) fn run(&mut self, linux: &mut Linux, device: &mut VirtioMem) {
        if linux.release.retries_empty_blocks() {
            self.remove_all_empty(linux);
        }
        let (plugged, requested) = (self.plugged(), device.requested);
        if requested > plugged {
            self.plug(linux, device, (requested - plugged) / self.sub_block);
        } else {
            self.unplug(linux, device, (plugged - requested) / self.sub_block);
        }
    }

    /// Partly plugged blocks first, then blocks that were used before, then new ones
    /// (`virtio_mem_sbm_plug_request`).
    fn plug(&mut self, linux: &mut Linux, device: &mut VirtioMem, mut count: u64) {
        for place in [Place::Kernel, Place::Movable, Place::Offline] {
            for index in self.partial_in(linux, place) {
                if !self.fill(linux, device, index, &mut count) {
                    return;
                }
            }
        }
        let last = (device.spec.region.start + device.usable) / self.memory_block;
        while count > 0 && device.could_add(&linux.memory, self.memory_block) {
            let again = self.unused.first().copied();
            let Some(index) = again.or(Some(self.next).filter(|next| *next < last)) else { return };
            self.unused.remove(&index);
            self.next = self.next.max(index + 1);
            let some = count.min(self.per_block());
            if !self.plug_new(linux, device, index, some) {
                return;
            }
            count -= some;
        }
    }

    fn partial_in(&self, linux: &Linux, wanted: Place) -> Vec<u64> {
        self.partial.keys().copied().filter(|index| place(linux, *index) == wanted).collect()
    }

    /// Plugs the first sub-blocks of a block that Linux does not have, and adds it. Returns whether that
    /// went well.
    fn plug_new(&mut self, linux: &mut Linux, device: &mut VirtioMem, index: u64, count: u64) -> bool {
        if !device.ask(linux, &Request::Plug(self.bytes(index, 0..count))) {
            self.unused.insert(index);
            return false;
        }
        if linux.add_memory(index..index + 1, device.spec.node, device.group).is_err() {
            device.ask(linux, &Request::Unplug(self.bytes(index, 0..count)));
            self.unused.insert(index);
            return false;
        }
        if count == self.per_block() {
            self.whole.insert(index);
        } else {
            self.partial.insert(index, (0..count).collect());
        }
        true
    }

    /// Plugs missing sub-blocks of a block, lowest runs first (`virtio_mem_sbm_plug_any_sb`). Returns whether the
    /// device did as asked.
    fn fill(&mut self, linux: &mut Linux, device: &mut VirtioMem, index: u64, count: &mut u64) -> bool {
        let per_block = self.per_block();
        let mut went_well = true;
        let mut plugged = self.partial.remove(&index).unwrap_or_default();
        while let Some(start) = (0..per_block).find(|sub| !plugged.contains(sub)).filter(|_| *count > 0) {
            let run = (start..per_block).take_while(|sub| !plugged.contains(sub)).count() as u64;
            let run = run.min(*count);
            went_well = device.ask(linux, &Request::Plug(self.bytes(index, start..start + run)));
            if !went_well {
                break;
            }
            plugged.extend(start..start + run);
            *count -= run;
        }
        self.put_back(index, plugged);
        went_well
    }

    fn put_back(&mut self, index: u64, plugged: BTreeSet<u64>) {
        if plugged.len() as u64 == self.per_block() {
            self.whole.insert(index);
        } else {
            self.partial.insert(index, plugged);
        }
    }

    /// What is least needed first, from the top (`virtio_mem_sbm_unplug_request`).
    fn unplug(&mut self, linux: &mut Linux, device: &mut VirtioMem, mut count: u64) {
        let order = [
            (Place::Offline, false),
            (Place::Offline, true),
            (Place::Movable, false),
            (Place::Kernel, false),
            (Place::Movable, true),
            (Place::Kernel, true),
        ];
        for (wanted, whole) in order {
            let mut below = self.next;
            while let Some(index) = self.last_below(below, whole).filter(|_| count > 0) {
                below = index;
                if place(linux, index) == wanted && !self.unplug_some(linux, device, index, &mut count) {
                    return;
                }
            }
        }
    }

    fn last_below(&self, below: u64, whole: bool) -> Option<u64> {
        if whole {
            self.whole.range(..below).next_back().copied()
        } else {
            self.partial.range(..below).next_back().map(|(index, _)| *index)
        }
    }

    /// Unplugs as much of a block as is wanted, and removes the block from Linux when nothing is left. An
    /// online block that is held keeps what it has, and an online sub-block with a page that cannot be taken
    /// out of use stays. Returns whether the device did as asked.
    fn unplug_some(
        &mut self,
        linux: &mut Linux,
        device: &mut VirtioMem,
        index: u64,
        count: &mut u64,
    ) -> bool {
        let online = place(linux, index) != Place::Offline;
        if online && linux.held.contains(&index) {
            return true;
        }
        let all = 0..self.per_block();
        let was_whole = self.whole.remove(&index);
        let kept = online && linux.pages.keep(&self.bytes(index, all.clone()));
        if was_whole && !kept && *count >= self.per_block() {
            let went_well = device.ask(linux, &Request::Unplug(self.bytes(index, all)));
            if went_well {
                *count -= self.per_block();
                self.remove_empty(linux, index);
            } else {
                self.whole.insert(index);
            }
            return went_well;
        }
        let mut plugged = if was_whole {
            (0..self.per_block()).collect()
        } else {
            self.partial.remove(&index).unwrap_or_default()
        };
        let mut candidates = plugged.clone();
        candidates.retain(|sub| !online || !linux.pages.keep(&self.bytes(index, *sub..*sub + 1)));
        // Offline blocks lose runs of sub-blocks, online ones one after the other.
        let at_once = if online { 1 } else { u64::MAX };
        let mut went_well = true;
        while let Some(last) = candidates.last().copied().filter(|_| *count > 0 && went_well) {
            let run = (0..=last).rev().take_while(|sub| candidates.contains(sub)).count() as u64;
            let start = last + 1 - run.min(*count).min(at_once);
            went_well = device.ask(linux, &Request::Unplug(self.bytes(index, start..last + 1)));
            if went_well {
                drop(candidates.split_off(&start));
                plugged.retain(|sub| !(start..=last).contains(sub));
                *count -= last + 1 - start;
            }
        }
        if plugged.is_empty() {
            self.remove_empty(linux, index);
        } else {
            self.put_back(index, plugged);
        }
        went_well
    }

    /// Blocks of which nothing is plugged and that Linux could not let go (`virtio_mem_cleanup_pending_mb`).
    fn remove_all_empty(&mut self, linux: &mut Linux) {
        let empty: Vec<u64> =
            self.partial.iter().filter(|(_, plugged)| plugged.is_empty()).map(|(index, _)| *index).collect();
        for index in empty {
            self.partial.remove(&index);
            self.remove_empty(linux, index);
        }
    }

    /// Linux may keep a block of which nothing is plugged, when it cannot take it offline.
    fn remove_empty(&mut self, linux: &mut Linux, index: u64) {
        if linux.offline_and_remove(index..index + 1).is_ok() {
            self.unused.insert(index);
        } else {
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
