//! Blocks that go online and offline, with their zones and groups.

use std::ops::Range;

use super::{Candidate, Decision, Errno, Memory, Mistake, OnlineType, Part, Rule, Zone};

impl Memory {
    /// Puts an offline block online (`memory_block_online`).
    ///
    /// # Errors
    /// [`Errno::EINVAL`] when it is online.
    pub fn online(&mut self, index: u64, how: OnlineType) -> Result<Decision, Errno> {
        let block = &self.blocks[&index];
        if block.is_online() {
            return Err(Errno::EINVAL);
        }
        let candidate = self.candidate(index);
        let decision = self.zone_for(&candidate, how);
        let Candidate { frames, node, group } = candidate;
        let part = Part { frames: frames.clone(), node, zone: decision.zone };
        let block = self.blocks.get_mut(&index).expect("looked up before");
        block.parts = vec![part];
        block.decision = Some(decision.clone());
        self.offline.remove(&index);
        let kind = group.map(|id| self.group(id).kind);
        self.met.add_all(decision.met(frames.end - frames.start, kind));
        self.grow(node, decision.zone, &frames);
        self.account(index, decision.zone, true);
        Ok(decision)
    }

    /// What is left of putting an offline block online when a notifier refuses: its zone grew before, and shrinks again
    /// to what is online, which need not be where it was (`move_pfn_range_to_zone`, `remove_pfn_range_from_zone`).
    ///
    /// # Panics
    /// When there is no such block.
    pub fn online_in_vain(&mut self, index: u64, how: OnlineType) {
        let candidate = self.candidate(index);
        let zone = self.zone_for(&candidate, how).zone;
        self.meet(Rule::NotifierKeepsOffline);
        let before = self.zone(candidate.node, zone).span.clone();
        self.grow(candidate.node, zone, &candidate.frames);
        self.shrink(index, zone);
        if self.zone(candidate.node, zone).span != before {
            self.meet(Rule::VainGrowthMovesZone);
        }
    }

    /// Takes an online block offline (`memory_block_offline`), as far as zones and holes decide; whether its
    /// pages can be moved is another question.
    ///
    /// # Errors
    /// [`Errno::EINVAL`] when it is offline, has no single zone, or has holes.
    pub fn offline(&mut self, index: u64) -> Result<(), Errno> {
        let block = self.blocks.get_mut(&index).ok_or(Errno::EINVAL)?;
        let (zone, early) = (block.zone(), block.early);
        let Some(zone) = zone.filter(|_| !block.holes) else {
            if block.is_online() {
                self.meet(Rule::NoSingleZoneStays);
            }
            return Err(Errno::EINVAL);
        };
        block.take_offline();
        self.meet(match zone {
            _ if early => Rule::BootMemoryMayGo,
            Zone::Movable => Rule::MovableGoes,
            _ => Rule::KernelMayGo,
        });
        self.offline.insert(index);
        self.account(index, zone, false);
        if !self.makes(Mistake::SpansOnlyGrow) {
            self.shrink(index, zone);
        }
        Ok(())
    }

    fn grow(&mut self, node: u32, zone: Zone, frames: &Range<u64>) {
        let rule = self.zone_mut(node, zone).grow(frames);
        self.met.add_all(rule);
    }

    fn shrink(&mut self, index: u64, zone: Zone) {
        let (frames, node) = (self.frames(index), self.blocks[&index].node());
        let mut state = self.zone(node, zone).clone();
        let here = |part: &&Part| part.node == node && part.zone == zone;
        let before = self.blocks.range(..index).rev().flat_map(|(_, block)| block.parts.iter().rev());
        let behind = self.blocks.range(index + 1..).flat_map(|(_, block)| &block.parts);
        let (before, behind) = (before.filter(here), behind.filter(here));
        let rule = state.shrink(&frames, before.map(|part| &part.frames), behind.map(|part| &part.frames));
        self.meet(rule);
        *self.zone_mut(node, zone) = state;
    }

    /// Counts a block's pages in or out of its zone and group (`adjust_present_page_count`), and of the page allocator.
    fn account(&mut self, index: u64, zone: Zone, add: bool) {
        self.changed.touch(index);
        let pages = self.block_pages();
        let block = &self.blocks[&index];
        let (node, group, early) = (block.node(), block.group, block.early);
        let allocated = if early { pages } else { pages - block.memmap }.cast_signed();
        self.since_boot += if add { allocated } else { -allocated };
        let change = |count: &mut u64| *count = if add { *count + pages } else { *count - pages };
        let state = self.zone_mut(node, zone);
        change(&mut state.present);
        if early {
            change(&mut state.early);
        }
        if let Some(group) = group.and_then(|id| self.groups.get_mut(&id)) {
            change(match zone {
                Zone::Movable => &mut group.present_movable,
                _ => &mut group.present_kernel,
            });
        }
    }
}
