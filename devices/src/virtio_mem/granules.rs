//! Host memory behind a virtio-mem region, in granules: a granule is backed while one of its
//! blocks is plugged, and an unplugged block of a backed granule is discarded.
//!
//! Every change happens as a whole or not at all. Only the *contents* of blocks that the driver
//! wanted to unplug may be lost when the host fails, and those it had given up.

use std::ops::Range;
use std::sync::Arc;

use super::blocks::Blocks;
use crate::memory::{GuestRange, HostError, HostMemory, back_all};

/// A region's granules, and which are backed.
#[derive(Debug)]
pub(super) struct Granules {
    region: GuestRange,
    block_size: u64,
    /// Blocks of a granule; the last granule may have fewer.
    blocks: usize,
    backed: Blocks,
    host: Arc<dyn HostMemory>,
}

impl Granules {
    /// No granule is backed. `size` is a multiple of `block_size`, as `region` is.
    pub(super) fn new(region: GuestRange, block_size: u64, size: u64, host: Arc<dyn HostMemory>) -> Self {
        let blocks = index(size / block_size);
        let granules = index(region.size.div_ceil(size));
        Self { region, block_size, blocks, backed: Blocks::new(granules), host }
    }

    /// Backs what plugging `blocks` needs.
    pub(super) fn plug(&mut self, blocks: &Range<usize>) -> Result<(), HostError> {
        let missing: Vec<usize> = self.touched(blocks).filter(|granule| !self.is_backed(*granule)).collect();
        let ranges: Vec<GuestRange> = missing.iter().map(|granule| self.range(*granule)).collect();
        back_all(&*self.host, &ranges)?;
        for granule in missing {
            self.backed.insert(granule..granule + 1);
        }
        Ok(())
    }

    /// Gives the memory of `blocks` back, which are still in `plugged`.
    pub(super) fn unplug(&mut self, blocks: &Range<usize>, plugged: &Blocks) -> Result<(), HostError> {
        let mut emptied = Vec::new();
        for granule in self.touched(blocks).filter(|granule| self.is_backed(*granule)) {
            let all = self.blocks_of(granule);
            let part = all.start.max(blocks.start)..all.end.min(blocks.end);
            if plugged.any(all.start..part.start) || plugged.any(part.end..all.end) {
                self.host.discard(self.block_range(&part))?;
            } else {
                emptied.push(granule);
            }
        }
        self.unback(&emptied)
    }

    /// Gives the memory of all blocks back.
    pub(super) fn unplug_all(&mut self) -> Result<(), HostError> {
        let backed: Vec<usize> = self.all_backed().collect();
        self.unback(&backed)
    }

    /// Gives back what the host takes; what it does not take is empty, at least. For a system
    /// reset, which cannot fail.
    pub(super) fn reset(&mut self) {
        for granule in self.all_backed().collect::<Vec<_>>() {
            let range = self.range(granule);
            match self.host.unback(range) {
                Ok(()) => self.backed.remove(granule..granule + 1),
                Err(error) => {
                    tracing::error!("{range:x?} stays backed after a system reset: {error}");
                    if let Err(error) = self.host.discard(range) {
                        tracing::error!("{range:x?} keeps its contents over a system reset: {error}");
                    }
                }
            }
        }
    }

    /// Unbacks all of `granules`, or backs again what it had unbacked.
    fn unback(&mut self, granules: &[usize]) -> Result<(), HostError> {
        for (done, granule) in granules.iter().enumerate() {
            if let Err(error) = self.host.unback(self.range(*granule)) {
                self.back_again(&granules[..done]);
                return Err(error);
            }
            self.backed.remove(*granule..granule + 1);
        }
        Ok(())
    }

    fn back_again(&mut self, granules: &[usize]) {
        for granule in granules {
            let range = self.range(*granule);
            match self.host.back(range) {
                Ok(()) => self.backed.insert(*granule..granule + 1),
                // The driver gave these blocks up, so it does not miss them before it tries again.
                Err(error) => tracing::error!("{range:x?} has lost its memory: {error}"),
            }
        }
    }

    fn is_backed(&self, granule: usize) -> bool {
        self.backed.any(granule..granule + 1)
    }

    fn all_backed(&self) -> impl Iterator<Item = usize> {
        let count = if self.backed.count() == 0 { 0 } else { self.granules() };
        (0..count).filter(|granule| self.is_backed(*granule))
    }

    fn granules(&self) -> usize {
        index(self.region.size / self.block_size).div_ceil(self.blocks)
    }

    /// The granules that `blocks` lie in.
    fn touched(&self, blocks: &Range<usize>) -> Range<usize> {
        blocks.start / self.blocks..blocks.end.div_ceil(self.blocks)
    }

    fn blocks_of(&self, granule: usize) -> Range<usize> {
        let start = granule * self.blocks;
        start..(start + self.blocks).min(index(self.region.size / self.block_size))
    }

    fn range(&self, granule: usize) -> GuestRange {
        self.block_range(&self.blocks_of(granule))
    }

    fn block_range(&self, blocks: &Range<usize>) -> GuestRange {
        let bytes = |count: usize| count as u64 * self.block_size;
        GuestRange::new(self.region.start + bytes(blocks.start), bytes(blocks.len()))
    }
}

/// A number of blocks as an index; there are far fewer than addresses.
pub(super) fn index(count: u64) -> usize {
    usize::try_from(count).expect("block counts fit in the 64-bit host's usize")
}
