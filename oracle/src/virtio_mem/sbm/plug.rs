//! In which order sub-blocks are plugged.

use super::{Linux, Place, SubBlocks, VirtioMem, place};
use crate::mistake::Mistake;
use crate::release::Release;
use crate::rule::Rule;
use crate::virtio_mem::Request;

impl SubBlocks {
    /// Partly plugged blocks first, then blocks that were used before, then new ones
    /// (`virtio_mem_sbm_plug_request`).
    pub(super) fn plug(&mut self, linux: &mut Linux, device: &mut VirtioMem, mut count: u64) {
        let filled = if linux.memory.makes(Mistake::PartialsAreNotFilled) { 0 } else { usize::MAX };
        for places in plug_order(linux.release).iter().take(filled) {
            for index in self.partial_in(linux, places) {
                if !self.fill(linux, device, index, &mut count) {
                    return;
                }
            }
        }
        let last = (device.spec.region.start + device.usable) / self.memory_block;
        while count > 0 {
            if !device.could_add(&linux.memory, linux.release, self.memory_block) {
                return linux.memory.meet(Rule::TooMuchOffline);
            }
            let again = self.unused.first().copied();
            let Some(index) = again.or(Some(self.next).filter(|next| *next < last)) else { return };
            self.unused.remove(&index);
            self.next = self.next.max(index + 1);
            linux.memory.meet(if again.is_some() { Rule::UsedBlock } else { Rule::NewBlock });
            let some = count.min(self.per_block());
            if !self.plug_new(linux, device, index, some) {
                return;
            }
            count -= some;
        }
    }

    /// Plugs the first sub-blocks of a block that Linux does not have, and adds it. Returns whether that
    /// went well.
    fn plug_new(&mut self, linux: &mut Linux, device: &mut VirtioMem, index: u64, count: u64) -> bool {
        if !device.ask(linux, Request::Plug(self.bytes(index, 0..count))) {
            self.unused.insert(index);
            return false;
        }
        linux.chance.assume_short(device.could_not_add(&self.bytes(index, 0..count)));
        if linux.add_memory(index..index + 1, device.spec.node, device.group, 0).is_err() {
            linux.memory.meet(Rule::GivesBack);
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
            linux.memory.meet(match place(linux, index) {
                Place::Kernel => Rule::FillsKernel,
                Place::Movable => Rule::FillsMovable,
                Place::Offline => Rule::FillsOffline,
            });
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
}

/// Where partly plugged blocks are that are filled first, second, …
const fn plug_order(release: Release) -> &'static [&'static [Place]] {
    if release.prefers_to_unplug_movable() {
        &[&[Place::Kernel], &[Place::Movable], &[Place::Offline]]
    } else {
        &[&[Place::Kernel, Place::Movable], &[Place::Offline]]
    }
}
