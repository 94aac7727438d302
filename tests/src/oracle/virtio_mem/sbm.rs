//! Sub-block mode: memory blocks of which each sub-block is plugged or not.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::{Linux, Request, VirtioMem};
use crate::oracle::mistake::Mistake;
use crate::oracle::release::Release;
use crate::oracle::zone::{PAGE, Zone};

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

    /// Partly plugged blocks first, then blocks that were used before, then new ones
    /// (`virtio_mem_sbm_plug_request`).
    fn plug(&mut self, linux: &mut Linux, device: &mut VirtioMem, mut count: u64) {
        let filled = if linux.memory.makes(Mistake::PartialsAreNotFilled) { 0 } else { usize::MAX };
        for places in plug_order(linux.release).iter().take(filled) {
            for index in self.partial_in(linux, places) {
                if !self.fill(linux, device, index, &mut count) {
                    return;
                }
            }
        }
        let last = (device.spec.region.start + device.usable) / self.memory_block;
        while count > 0 && device.could_add(&linux.memory, linux.release, self.memory_block) {
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

    /// Removes blocks of which nothing is plugged any more, when they now can be
    /// (`virtio_mem_cleanup_pending_mb`).
    fn clean_up(&mut self, linux: &mut Linux) {
        for place in [Place::Movable, Place::Kernel, Place::Offline] {
            for index in self.partial_in(linux, &[place]) {
                if self.partial[&index].is_empty() {
                    self.partial.remove(&index);
                    self.remove_empty(linux, index);
                }
            }
        }
    }

    fn partial_in(&self, linux: &Linux, places: &[Place]) -> Vec<u64> {
        self.partial.keys().copied().filter(|index| places.contains(&place(linux, *index))).collect()
    }

    /// Plugs the first sub-blocks of a block that Linux does not have, and adds it. Returns whether that
    /// went well.
    fn plug_new(&mut self, linux: &mut Linux, device: &mut VirtioMem, index: u64, count: u64) -> bool {
        if !device.ask(linux, Request::Plug(self.bytes(index, 0..count))) {
            self.unused.insert(index);
            return false;
        }
        if linux.add_memory(index..index + 1, device.spec.node, device.group, 0).is_err() {
            device.ask(linux, Request::Unplug(self.bytes(index, 0..count)));
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
            went_well = device.ask(linux, Request::Plug(self.bytes(index, start..start + run)));
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
        let mut order = unplug_order(linux.release).to_vec();
        if linux.memory.makes(Mistake::KernelPartialsLast) {
            order[3..].rotate_left(1);
        }
        let bottom_up = linux.memory.makes(Mistake::UnplugsBottomUp);
        let next = if bottom_up { Self::first_above } else { Self::last_below };
        for (places, whole) in order {
            let mut passed = if bottom_up { 0 } else { self.next };
            while let Some(index) = next(self, linux, passed, places, whole).filter(|_| count > 0) {
                passed = index;
                if !self.unplug_some(linux, device, index, &mut count) {
                    return;
                }
            }
        }
    }

    /// The highest block below `below` that is in one of `places`, and plugged as a whole or not.
    fn last_below(&self, linux: &Linux, below: u64, places: &[Place], whole: bool) -> Option<u64> {
        let is_wanted = |index: &u64| places.contains(&place(linux, *index));
        if places == [Place::Offline] {
            // Few are, so it is not all others that are looked at.
            let mut offline = linux.memory.offline_blocks().range(..below).rev().copied();
            let plugged = |index: &u64| {
                if whole { self.whole.contains(index) } else { self.partial.contains_key(index) }
            };
            return offline.find(plugged);
        }
        if whole {
            self.whole.range(..below).rev().copied().find(is_wanted)
        } else {
            self.partial.range(..below).rev().map(|(index, _)| *index).find(is_wanted)
        }
    }

    /// The lowest such block above `above`; what [`Mistake::UnplugsBottomUp`] takes.
    fn first_above(&self, linux: &Linux, above: u64, places: &[Place], whole: bool) -> Option<u64> {
        let is_wanted = |index: &u64| places.contains(&place(linux, *index));
        if whole {
            self.whole.range(above + 1..).copied().find(is_wanted)
        } else {
            self.partial.range(above + 1..).map(|(index, _)| *index).find(is_wanted)
        }
    }

    /// Unplugs as much of a block as is wanted, and removes the block from Linux when nothing is left. Returns
    /// whether the device did as asked.
    fn unplug_some(
        &mut self,
        linux: &mut Linux,
        device: &mut VirtioMem,
        index: u64,
        count: &mut u64,
    ) -> bool {
        let whole = self.whole.remove(&index);
        let mut plugged = if whole {
            (0..self.per_block()).collect()
        } else {
            self.partial.remove(&index).unwrap_or_default()
        };
        let went_well = if place(linux, index) == Place::Offline {
            self.unplug_offline(linux, device, index, &mut plugged, count)
        } else {
            self.unplug_online(linux, device, index, &mut plugged, count)
        };
        if plugged.is_empty() {
            self.remove_empty(linux, index);
        } else {
            self.put_back(index, plugged);
        }
        went_well
    }

    /// Runs of sub-blocks, from the top (`virtio_mem_sbm_unplug_any_sb_raw`).
    fn unplug_offline(
        &self,
        linux: &mut Linux,
        device: &mut VirtioMem,
        index: u64,
        plugged: &mut BTreeSet<u64>,
        count: &mut u64,
    ) -> bool {
        while let Some(last) = plugged.last().copied().filter(|_| *count > 0) {
            let run = (0..=last).rev().take_while(|sub| plugged.contains(sub)).count() as u64;
            let start = last + 1 - run.min(*count);
            if !device.ask(linux, Request::Unplug(self.bytes(index, start..last + 1))) {
                return false;
            }
            drop(plugged.split_off(&start));
            *count -= last + 1 - start;
        }
        true
    }

    /// A whole block at once where that many are wanted, else and when a page of it is busy one sub-block after the
    /// other, from the top, without those that are busy (`virtio_mem_sbm_unplug_any_sb_online`).
    fn unplug_online(
        &self,
        linux: &mut Linux,
        device: &mut VirtioMem,
        index: u64,
        plugged: &mut BTreeSet<u64>,
        count: &mut u64,
    ) -> bool {
        let per_block = self.per_block();
        let whole = *count >= per_block && plugged.len() as u64 == per_block;
        if whole && self.can_take(linux, device, index, 0..per_block) {
            let went_well = device.ask(linux, Request::Unplug(self.bytes(index, 0..per_block)));
            if went_well {
                plugged.clear();
                *count -= per_block;
            }
            return went_well;
        }
        for sub in (0..per_block).rev() {
            if *count > 0 && plugged.contains(&sub) && self.can_take(linux, device, index, sub..sub + 1) {
                if !device.ask(linux, Request::Unplug(self.bytes(index, sub..sub + 1))) {
                    return false;
                }
                plugged.remove(&sub);
                *count -= 1;
            }
        }
        true
    }

    /// Whether sub-blocks can be taken out of an online block, since no page of them is busy
    /// (`virtio_mem_sbm_unplug_sb_online`).
    fn can_take(&self, linux: &mut Linux, device: &VirtioMem, index: u64, subs: Range<u64>) -> bool {
        let bytes = self.bytes(index, subs);
        if linux.held.contains(&index) || linux.holds_a_page_in(&bytes) {
            return false;
        }
        if place(linux, index) == Place::Kernel {
            linux.chance.leave_open(index);
            return device.is_let_go(&bytes);
        }
        true
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

/// Where partly plugged blocks are that are filled first, second, …
const fn plug_order(release: Release) -> &'static [&'static [Place]] {
    if release.prefers_to_unplug_movable() {
        &[&[Place::Kernel], &[Place::Movable], &[Place::Offline]]
    } else {
        &[&[Place::Kernel, Place::Movable], &[Place::Offline]]
    }
}

/// Where blocks are that are unplugged first, second, …, and whether they are wholly plugged.
const fn unplug_order(release: Release) -> &'static [(&'static [Place], bool)] {
    if release.prefers_to_unplug_movable() {
        &[
            (&[Place::Offline], false),
            (&[Place::Offline], true),
            (&[Place::Movable], false),
            (&[Place::Kernel], false),
            (&[Place::Movable], true),
            (&[Place::Kernel], true),
        ]
    } else {
        &[
            (&[Place::Offline], false),
            (&[Place::Offline], true),
            (&[Place::Kernel, Place::Movable], false),
            (&[Place::Kernel, Place::Movable], true),
        ]
    }
}
