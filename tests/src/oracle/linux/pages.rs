//! Single pages that decide on their block: pinned ones, which cannot be moved, and broken ones, which are out of
//! use.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::memory::Errno;
use super::super::zone::PAGE;
use super::Linux;

/// Pages with something about them, by their addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pages {
    /// Somebody holds a reference to these, so that they cannot be migrated.
    pub pinned: BTreeSet<u64>,
    /// These have `PG_hwpoison`.
    pub broken: BTreeSet<u64>,
    /// Pages that `HardwareCorrupted` counts.
    pub counted: u64,
    /// Whether the filter of `hwpoison-inject` lets no page of a program be taken for broken.
    pub filtered: bool,
}

impl Pages {
    pub(super) const fn new() -> Self {
        Self { pinned: BTreeSet::new(), broken: BTreeSet::new(), counted: 0, filtered: false }
    }

    /// Whether `alloc_contig_range` cannot take these bytes out of use while they are online: it migrates no
    /// pinned page, and does not skip a broken one.
    pub fn keep(&self, bytes: &Range<u64>) -> bool {
        [&self.pinned, &self.broken].into_iter().any(|pages| pages.range(bytes.clone()).next().is_some())
    }
}

impl Linux {
    /// The bytes of block `index`.
    pub(in crate::oracle) const fn bytes(&self, index: u64) -> Range<u64> {
        let size = self.memory.block_size();
        index * size..(index + 1) * size
    }

    /// Whether a page of block `index` is pinned.
    pub(super) fn is_pinned(&self, index: u64) -> bool {
        self.pages.pinned.range(self.bytes(index)).next().is_some()
    }

    /// A free page of block `index`, `offset` bytes behind its start, is taken for broken (`memory_failure`,
    /// `soft_offline_page`).
    ///
    /// # Errors
    /// `ENXIO` when the block is not online, or `EIO` for `soft_offline_page`.
    pub fn poison(&mut self, index: u64, offset: u64, soft: bool) -> Result<(), Errno> {
        if !self.memory.blocks().get(&index).is_some_and(|block| block.is_online()) {
            return Err(if soft { Errno::EIO } else { Errno::ENXIO });
        }
        if self.pages.broken.insert((self.bytes(index).start + offset) / PAGE * PAGE) {
            self.pages.counted += 1;
        }
        Ok(())
    }

    /// Whether block `index` must stay offline because of a broken page (`memory_block_online`).
    pub(super) fn is_broken(&self, index: u64) -> bool {
        self.release.keeps_broken_blocks_offline()
            && self.pages.broken.range(self.bytes(index)).next().is_some()
    }

    /// Going online writes the memmap anew: what it said of broken pages is forgotten, but not that they were
    /// counted (`memmap_init_range`).
    pub(super) fn forget_broken(&mut self, index: u64) {
        let bytes = self.bytes(index);
        self.pages.broken.retain(|address| !bytes.contains(address));
    }

    /// Removes an offline block; broken pages that it is known to have are no longer counted
    /// (`clear_hwpoisoned_pages`).
    pub(super) fn remove(&mut self, index: u64) {
        self.pages.counted -= self.pages.broken.range(self.bytes(index)).count() as u64;
        self.forget_broken(index);
        self.memory.remove(index);
    }
}
