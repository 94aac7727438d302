//! In which order sub-blocks are unplugged.

use std::collections::BTreeSet;
use std::ops::Range;

use super::{Linux, Place, SubBlocks, VirtioMem, place};
use crate::mistake::Mistake;
use crate::release::Release;
use crate::rule::Rule;
use crate::virtio_mem::Request;

impl SubBlocks {
    /// What is least needed first, from the top (`virtio_mem_sbm_unplug_request`).
    pub(super) fn unplug(&mut self, linux: &mut Linux, device: &mut VirtioMem, mut count: u64) {
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
        linux.memory.meet(match (place(linux, index), whole) {
            (Place::Offline, _) => Rule::TakesOffline,
            (Place::Movable, true) => Rule::TakesMovable,
            (Place::Movable, false) => Rule::TakesPartialMovable,
            (Place::Kernel, true) => Rule::TakesKernel,
            (Place::Kernel, false) => Rule::TakesPartialKernel,
        });
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
                linux.memory.meet(Rule::TakesABlockAtOnce);
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
            linux.memory.meet(Rule::PassesOverHeld);
            return false;
        }
        if place(linux, index) == Place::Kernel {
            linux.chance.leave_open(index);
            return device.is_let_go(linux, &bytes);
        }
        true
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
