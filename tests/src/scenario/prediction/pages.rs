//! What the oracle says about steps with single pages and files of blocks.

use super::{Effect, Prediction, each};
use crate::oracle::memory::Errno;
use crate::scenario::{BlockFile, BlockSet, OutcomeWord, PageWord, Poison, PoisonWord, Write};

/// Where in its block the first page lies that is taken for broken, and how far on the next one; little that these
/// guests do comes there.
const FIRST: u64 = (61 << 20) + 5 * 4096;
const NEXT: u64 = 64 * 4096;

/// The address of the page `number` that is broken in a block, from the block's start.
pub const fn broken_page(number: u64) -> u64 {
    FIRST + number * NEXT
}

impl Prediction {
    pub(super) fn write(&mut self, write: &Write) -> Effect {
        each(&[write.block].into(), |index| {
            if !self.linux.memory.blocks().contains_key(&index) {
                return Err(Errno::Other);
            }
            match write.file {
                BlockFile::State => self.linux.write_state(index, &write.word),
                BlockFile::Online => self.linux.write_online(index, &write.word),
            }
        })
    }

    /// Which page of a block the guest pins, only the guest knows; until it has said so, the first one.
    pub(super) fn pin(&mut self, blocks: &BlockSet) -> Result<Effect, String> {
        for index in &blocks.0 {
            let online = self.linux.memory.blocks().get(index).is_some_and(|block| block.is_online());
            if !online {
                return Err(format!("pin: block {index} is not online"));
            }
            self.linux.pages.pinned.insert(index * self.linux.memory.block_size());
        }
        Ok(Effect::default())
    }

    /// Takes over which pages the guest has pinned.
    pub fn adopt(&mut self, seen: &Effect) {
        let size = self.linux.memory.block_size();
        for address in &seen.pinned {
            let pinned = &mut self.linux.pages.pinned;
            if pinned.remove(&(address / size * size)) {
                pinned.insert(*address);
            }
        }
    }

    pub(super) fn unpin(&mut self, blocks: &BlockSet) -> Result<Effect, String> {
        let size = self.linux.memory.block_size();
        for index in &blocks.0 {
            let before = self.linux.pages.pinned.len();
            self.linux.pages.pinned.retain(|address| address / size != *index);
            if self.linux.pages.pinned.len() == before {
                return Err(format!("unpin: no page of block {index} is pinned"));
            }
        }
        Ok(Effect { ost: self.go_on(), ..Effect::default() })
    }

    pub(super) fn poison(&mut self, poison: &Poison) -> Result<Effect, String> {
        let count = self.poisoned.entry(poison.block).or_default();
        let offset = broken_page(*count);
        *count += 1;
        match poison.page {
            PageWord::Pinned if self.linux.pages.filtered => {
                Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() })
            }
            PageWord::Pinned => {
                Err("poison: what comes of a pinned page without a filter is not known".to_owned())
            }
            PageWord::Free => {
                let soft = poison.by == PoisonWord::SoftOffline;
                Ok(each(&[poison.block].into(), |index| self.linux.poison(index, offset, soft)))
            }
        }
    }

    /// Bytes that the kernel takes for broken, once a step has broken a page.
    pub(super) fn hardware_corrupted(&self) -> Option<u64> {
        (!self.poisoned.is_empty()).then_some(self.linux.pages.counted * 4096)
    }
}
