//! What the oracle says about steps with single pages and files of blocks.

use dimmer_oracle::memory::Errno;
use dimmer_oracle::zone::PAGE;

use super::{Prediction, each};
use crate::scenario::{
    BlockFile, BlockSet, Effect, MOST_BROKEN, OutcomeWord, PageWord, Poison, PoisonWord, Write, broken_page,
};

impl Prediction {
    /// The blocks with a broken page.
    pub fn poisoned(&self) -> impl Iterator<Item = u64> {
        self.poisoned.keys().copied()
    }

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
            self.linux.fixed.insert(self.linux.memory.frames(*index).start);
        }
        Ok(Effect::default())
    }

    /// Takes over which pages the guest has pinned.
    pub(super) fn adopt(&mut self, seen: &Effect) {
        let pages = self.linux.memory.block_pages();
        for frame in seen.pinned.iter().map(|address| address / PAGE) {
            if self.linux.fixed.remove(&(frame / pages * pages)) {
                self.linux.fixed.insert(frame);
            }
        }
    }

    pub(super) fn unpin(&mut self, blocks: &BlockSet) -> Result<Effect, String> {
        for index in &blocks.0 {
            if !self.linux.unpin(*index) {
                return Err(format!("unpin: no page of block {index} is pinned"));
            }
        }
        Ok(Effect { ost: self.go_on(), ..Effect::default() })
    }

    pub(super) fn poison(&mut self, poison: &Poison) -> Result<Effect, String> {
        let count = self.poisoned.entry(poison.block).or_default();
        if *count == MOST_BROKEN {
            return Err(format!("poison: no more than {MOST_BROKEN} pages of a block can be broken"));
        }
        let frame = poison.block * self.linux.memory.block_pages() + broken_page(*count) / PAGE;
        *count += 1;
        match poison.page {
            PageWord::Pinned if self.linux.hwpoison_filter => {
                Ok(Effect { outcome: Some(OutcomeWord::Done), ..Effect::default() })
            }
            PageWord::Pinned if poison.by != PoisonWord::HardOffline => {
                Err("poison: what becomes of a pinned page is known for hard-offline alone".to_owned())
            }
            PageWord::Pinned => {
                let frames = self.linux.memory.frames(poison.block);
                let pinned = self.linux.fixed.range(frames).next().copied();
                let frame =
                    pinned.ok_or_else(|| format!("poison: no page of block {} is pinned", poison.block))?;
                Ok(each(&[poison.block].into(), |_| self.linux.poison(frame)))
            }
            PageWord::Free => {
                // The two files say it with different numbers.
                let soft = |errno| if errno == Errno::ENXIO { Errno::EIO } else { errno };
                let is_soft = poison.by == PoisonWord::SoftOffline;
                let mut poisoned = |_| self.linux.poison(frame);
                Ok(each(&[poison.block].into(), |index| {
                    poisoned(index).map_err(|errno| if is_soft { soft(errno) } else { errno })
                }))
            }
        }
    }

    /// Bytes that the kernel takes for broken, once a step has broken a page.
    pub(super) fn hardware_corrupted(&self) -> Option<u64> {
        (!self.poisoned.is_empty()).then(|| self.linux.corrupted_kb() << 10)
    }
}
