//! Big-block mode: one or more memory blocks at a time, plugged and unplugged as a whole.

use std::collections::BTreeSet;
use std::ops::Range;

use super::{Linux, Request, VirtioMem};
use crate::mistake::Mistake;
use crate::rule::Rule;
use crate::zone::Zone;

/// The big blocks of a device.
#[derive(Debug, Clone)]
pub struct BigBlocks {
    /// Bytes of a big block.
    size: u64,
    /// The first one, and the first that was never used.
    first: u64,
    next: u64,
    plugged: BTreeSet<u64>,
    /// Those that are plugged, and that Linux does not have: the device did not take them when it was asked to.
    left: BTreeSet<u64>,
}

/// The order in which big blocks are looked at for unplugging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Those of which nothing is online.
    Offline,
    /// Those of which nothing is online in a kernel zone.
    Movable,
    /// All.
    Any,
}

impl BigBlocks {
    pub(super) fn new(region: &Range<u64>, size: u64) -> Self {
        let first = region.start.div_ceil(size);
        Self { size, first, next: first, plugged: BTreeSet::new(), left: BTreeSet::new() }
    }

    pub(super) fn plugged(&self) -> u64 {
        (self.plugged.len() + self.left.len()) as u64 * self.size
    }

    /// Brings the plugged size nearer to the requested one, once.
    pub(super) fn run(&mut self, linux: &mut Linux, device: &mut VirtioMem) {
        if !self.clean_up(linux, device) {
            return;
        }
        let (plugged, requested) = (self.plugged(), device.requested);
        if requested > plugged {
            self.plug(linux, device, (requested - plugged) / self.size);
        } else {
            self.unplug(linux, device, (plugged - requested) / self.size);
        }
    }

    /// Gives back what is left of earlier runs (`virtio_mem_cleanup_pending_mb`). Returns whether the device did as asked.
    fn clean_up(&mut self, linux: &mut Linux, device: &mut VirtioMem) -> bool {
        while let Some(index) = self.left.first().copied() {
            if !device.ask(linux, Request::Unplug(self.bytes(index))) {
                return false;
            }
            linux.memory.meet(Rule::LeftoverIsGivenBack);
            self.left.remove(&index);
        }
        true
    }

    fn plug(&mut self, linux: &mut Linux, device: &mut VirtioMem, count: u64) {
        let is_unused = |index: &u64| !self.plugged.contains(index) && !self.left.contains(index);
        let unused: Vec<u64> = (self.first..self.next).filter(is_unused).collect();
        let last = (device.spec.region.start + device.usable) / self.size;
        let indices = unused.into_iter().chain(self.next..last);
        for (_, index) in (0..count).zip(indices) {
            if !device.could_add(&linux.memory, linux.release, self.size) {
                return linux.memory.meet(Rule::TooMuchOffline);
            }
            linux.memory.meet(if index < self.next { Rule::UsedBigBlock } else { Rule::NewBigBlock });
            self.next = self.next.max(index + 1);
            if !device.ask(linux, Request::Plug(self.bytes(index))) {
                return;
            }
            linux.chance.assume_short(device.could_not_add(&self.bytes(index)));
            if linux.add_memory(self.blocks(linux, index), device.spec.node, device.group, 0).is_err() {
                linux.memory.meet(Rule::GivesBack);
                if !device.ask(linux, Request::Unplug(self.bytes(index))) {
                    self.left.insert(index);
                }
                return;
            }
            self.plugged.insert(index);
        }
    }

    fn unplug(&mut self, linux: &mut Linux, device: &mut VirtioMem, mut count: u64) {
        for pass in [Pass::Offline, Pass::Movable, Pass::Any] {
            for step in 0..self.next - self.first {
                let bottom_up = linux.memory.makes(Mistake::UnplugsBottomUp);
                let index = if bottom_up { self.first + step } else { self.next - 1 - step };
                if count == 0 {
                    return;
                }
                if !self.plugged.contains(&index) || !self.is_for(pass, linux, index) {
                    continue;
                }
                if self.can_be_emptied(linux, device, index)
                    && linux.offline_and_remove(self.blocks(linux, index)).is_ok()
                {
                    linux.memory.meet(match pass {
                        Pass::Offline => Rule::OfflineBigBlockGoes,
                        Pass::Movable => Rule::MovableBigBlockGoes,
                        Pass::Any => Rule::KernelBigBlockGoes,
                    });
                    // Linux does not have it any more, whatever the device says.
                    self.plugged.remove(&index);
                    if !device.ask(linux, Request::Unplug(self.bytes(index))) {
                        self.left.insert(index);
                        return;
                    }
                    count -= 1;
                }
            }
        }
    }

    /// Whether no page of a big block is busy, section by section (`virtio_mem_fake_offline`).
    fn can_be_emptied(&self, linux: &mut Linux, device: &VirtioMem, index: u64) -> bool {
        let bytes = self.bytes(index);
        if linux.holds_a_page_in(&bytes) {
            linux.memory.meet(Rule::PassesOverHeld);
            return false;
        }
        let kernel =
            |block: &u64| linux.memory.blocks()[block].zone().is_some_and(|zone| zone != Zone::Movable);
        let kernel: Vec<u64> = self.blocks(linux, index).filter(kernel).collect();
        for block in &kernel {
            linux.chance.leave_open(*block);
        }
        kernel.is_empty() || device.is_let_go(linux, &bytes)
    }

    fn is_for(&self, pass: Pass, linux: &Linux, index: u64) -> bool {
        let mut zones = self.blocks(linux, index).map(|block| linux.memory.blocks()[&block].zone());
        match pass {
            Pass::Offline => zones.all(|zone| zone.is_none()),
            Pass::Movable => zones.all(|zone| zone.is_none_or(|zone| zone == Zone::Movable)),
            Pass::Any => true,
        }
    }

    fn bytes(&self, index: u64) -> Range<u64> {
        index * self.size..(index + 1) * self.size
    }

    /// The memory blocks of a big block.
    fn blocks(&self, linux: &Linux, index: u64) -> Range<u64> {
        let bytes = self.bytes(index);
        bytes.start / linux.memory.block_size()..bytes.end / linux.memory.block_size()
    }
}
