//! Poisoned pages (mm/memory-failure.c): which they are, and how many Linux counts.

use super::linux::Linux;
use super::memory::Errno;
use super::rule::Rule;
use super::zone::PAGE;

impl Linux {
    /// A page of movable or free memory is given up, as `hard_offline_page` does; nobody uses it any more. `frame` is its
    /// page frame number.
    ///
    /// # Errors
    /// [`Errno::ENXIO`] when it is not online, [`Errno::EHWPOISON`] when it is poisoned already.
    pub fn poison(&mut self, frame: u64) -> Result<(), Errno> {
        let block = self.memory.blocks().get(&(frame / self.memory.block_pages()));
        if !block.is_some_and(|block| block.is_online()) {
            self.memory.meet(Rule::OfflineCannotBreak);
            return Err(Errno::ENXIO);
        }
        if !self.poisoned.insert(frame) {
            self.memory.meet(Rule::BrokenAlready);
            return Err(Errno::EHWPOISON);
        }
        self.memory.meet(Rule::PageBreaks);
        self.corrupted += 1;
        self.fixed.insert(frame);
        Ok(())
    }

    /// The poisoned pages of a block, as far as Linux remembers them.
    pub(super) fn poisoned_in(&self, index: u64) -> Vec<u64> {
        self.poisoned.range(self.memory.frames(index)).copied().collect()
    }

    /// A block goes online: releases that do not refuse that write its memmap anew and forget its poisoned
    /// pages, but keep counting them.
    pub(super) fn forget_poison(&mut self, index: u64) {
        for frame in self.poisoned_in(index) {
            self.memory.meet(Rule::BrokenIsForgotten);
            self.poisoned.remove(&frame);
            self.fixed.remove(&frame);
        }
    }

    /// A block is removed: its poisoned pages, as far as they are remembered, count no more.
    pub(super) fn remove_poison(&mut self, index: u64) {
        for frame in self.poisoned_in(index) {
            self.memory.meet(Rule::BrokenIsRemoved);
            self.poisoned.remove(&frame);
            self.fixed.remove(&frame);
            self.corrupted -= 1;
        }
    }

    /// `HardwareCorrupted` of /proc/meminfo, in KiB.
    pub const fn corrupted_kb(&self) -> u64 {
        self.corrupted * PAGE / 1024
    }
}
