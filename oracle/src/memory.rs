//! Linux's picture of memory: nodes with their zones, memory blocks, memory groups; and the steps
//! that change it one block at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::group::{Group, GroupKind};
use super::mistake::Mistake;
use super::policy::{Candidate, Decision, OnlineType, Policy};
use super::rule::{Met, Rule};
use super::zone::{PAGE, SECTION, Zone, ZoneState};

pub mod block;
mod changed;
mod shown;
mod steps;

use changed::Changed;

pub use block::{Block, Errno, Part};
pub use shown::{Shown, ShowsZone};

/// A group's number; the model's own, the kernel's differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

/// All memory that the kernel knows.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Bytes of a memory block.
    block_size: u64,
    /// The parameters that decide on zones.
    pub policy: Policy,
    /// The rule that is planted wrong, if any.
    pub mistake: Option<Mistake>,
    /// The rules that decided something so far.
    pub met: Met,
    nodes: BTreeMap<u32, [ZoneState; 4]>,
    blocks: BTreeMap<u64, Block>,
    offline: BTreeSet<u64>,
    groups: BTreeMap<GroupId, Group>,
    next_group: u32,
    /// Pages that memmaps take of kernel zones.
    memmaps: u64,
    /// Pages by which the blocks that are online give the page allocator more than those of the boot did.
    since_boot: i64,
    changed: Changed,
}

impl Memory {
    /// No memory at all.
    pub const fn new(block_size: u64, policy: Policy) -> Self {
        Self {
            block_size,
            policy,
            mistake: None,
            met: Met::new(),
            nodes: BTreeMap::new(),
            blocks: BTreeMap::new(),
            offline: BTreeSet::new(),
            groups: BTreeMap::new(),
            next_group: 0,
            memmaps: 0,
            since_boot: 0,
            changed: Changed::new(),
        }
    }

    /// Whether this rule is planted wrong.
    pub fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    /// Bytes of a memory block.
    pub const fn block_size(&self) -> u64 {
        self.block_size
    }

    /// Pages of a memory block.
    pub const fn block_pages(&self) -> u64 {
        self.block_size / PAGE
    }

    /// Pages that the memmap of a block takes: 64 bytes for each of its pages (`struct page`).
    pub const fn memmap_pages(&self) -> u64 {
        (self.block_pages() * 64).div_ceil(PAGE)
    }

    /// Pages that the memmaps of all memory take of kernel zones.
    pub const fn memmaps(&self) -> u64 {
        self.memmaps
    }

    /// Pages by which the page allocator has more than right after the boot (`totalram_pages`), as far as whole blocks count:
    /// those that were added and are online, without their own memmap, less those of the boot that are not online any more.
    pub const fn since_boot(&self) -> i64 {
        self.since_boot
    }

    /// Counts the memmap of boot memory.
    pub const fn add_boot_memmap(&mut self, pages: u64) {
        self.memmaps += pages;
    }

    /// The page frames of block `index`.
    pub const fn frames(&self, index: u64) -> Range<u64> {
        index * self.block_pages()..(index + 1) * self.block_pages()
    }

    /// The zones of every node that has ever had memory.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, &[ZoneState; 4])> {
        self.nodes.iter().map(|(node, zones)| (*node, zones))
    }

    /// One zone of one node.
    pub fn zone(&self, node: u32, zone: Zone) -> &ZoneState {
        const NOTHING: &ZoneState = &ZoneState { span: 0..0, present: 0, early: 0 };
        self.nodes.get(&node).map_or(NOTHING, |zones| &zones[zone as usize])
    }

    fn zone_mut(&mut self, node: u32, zone: Zone) -> &mut ZoneState {
        &mut self.nodes.entry(node).or_default()[zone as usize]
    }

    /// All blocks, ascending.
    pub const fn blocks(&self) -> &BTreeMap<u64, Block> {
        &self.blocks
    }

    /// The blocks that are offline, ascending.
    pub const fn offline_blocks(&self) -> &BTreeSet<u64> {
        &self.offline
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().map(|(id, group)| (*id, group))
    }

    /// One group, which is there.
    pub fn group(&self, id: GroupId) -> &Group {
        &self.groups[&id]
    }

    /// Registers a group of which nothing is online.
    pub fn register(&mut self, kind: GroupKind, node: u32) -> GroupId {
        let id = GroupId(self.next_group);
        self.next_group += 1;
        self.groups.insert(id, Group::new(kind, node));
        id
    }

    /// Forgets a group, whose blocks are gone.
    pub fn unregister(&mut self, id: GroupId) {
        self.groups.remove(&id);
    }

    /// Puts boot memory in: an online part of one node in one zone. Parts come ascending; `present` of its
    /// pages are RAM, the others are holes of the same section.
    pub fn boot(&mut self, part: Part, present: u64) {
        if part.zone == Zone::Movable {
            self.meet(Rule::MovableAtBoot);
        }
        let state = self.zone_mut(part.node, part.zone);
        state.present += present;
        state.early += present;
        let pages = self.block_pages();
        for index in part.frames.start / pages..part.frames.end.div_ceil(pages) {
            let frames = self.frames(index);
            let cut = part.frames.start.max(frames.start)..part.frames.end.min(frames.end);
            let block = self.blocks.entry(index).or_insert_with(Block::boot);
            block.parts.push(Part { frames: cut, ..part });
            self.changed.touch(index);
        }
    }

    /// Marks a boot block as one that RAM does not fill, and says when it shows its zone for all that.
    pub fn mark_holes(&mut self, index: u64, shows_zone: ShowsZone) {
        if let Some(block) = self.blocks.get_mut(&index) {
            self.changed.touch(index);
            self.changed.set_unsteady(index, matches!(shows_zone, ShowsZone::WhileItSpans(_)));
            block.holes = true;
            block.shows_zone = shows_zone;
            self.meet(Rule::HolesAtBoot);
        }
    }

    /// Sets what a zone spans at boot.
    pub fn set_span(&mut self, node: u32, zone: Zone, span: Range<u64>) {
        self.zone_mut(node, zone).span = span;
    }

    /// Adds an offline block, of which the first `memmap` pages hold its own memmap
    /// (`create_memory_block_devices`).
    ///
    /// # Errors
    /// [`Errno::EEXIST`] when there is memory already.
    pub fn add(&mut self, index: u64, node: u32, group: Option<GroupId>, memmap: u64) -> Result<(), Errno> {
        if self.blocks.contains_key(&index) {
            return Err(Errno::EEXIST);
        }
        self.nodes.entry(node).or_default();
        if memmap == 0 {
            self.memmaps += self.memmap_pages();
        }
        self.blocks.insert(index, Block::added(node, group, memmap));
        self.offline.insert(index);
        self.changed.touch(index);
        Ok(())
    }

    /// Says how a block is to go online next time.
    ///
    /// # Errors
    /// [`Errno::EINVAL`] when there is no such block.
    pub fn set_online_type(&mut self, index: u64, how: Option<OnlineType>) -> Result<(), Errno> {
        self.blocks.get_mut(&index).ok_or(Errno::EINVAL)?.online_type = how;
        Ok(())
    }

    /// Marks a block as one that waits on its way offline, or does not any more.
    pub fn set_going_offline(&mut self, index: u64, waits: bool) {
        if let Some(block) = self.blocks.get_mut(&index) {
            block.going_offline = waits;
            self.changed.touch(index);
            self.changed.set_unsteady(index, waits || matches!(block.shows_zone, ShowsZone::WhileItSpans(_)));
        }
    }

    /// Removes an offline block.
    ///
    /// # Panics
    /// When it is online or not there; the kernel would stop, too.
    pub fn remove(&mut self, index: u64) {
        let block = self.blocks.remove(&index).expect("only blocks that are there are removed");
        assert!(block.parts.is_empty(), "block {index} is removed while it is online");
        if block.memmap == 0 {
            self.memmaps -= self.memmap_pages();
        }
        self.offline.remove(&index);
        self.changed.touch(index);
        self.changed.set_unsteady(index, false);
    }

    /// What decides on the zone of block `index`.
    ///
    /// # Panics
    /// When there is no such block.
    pub fn candidate(&self, index: u64) -> Candidate {
        let block = &self.blocks[&index];
        Candidate { frames: self.frames(index), node: block.node(), group: block.group }
    }

    /// The zone that the section with page frame `frame` is online in.
    pub fn zone_of_section(&self, frame: u64) -> Option<Zone> {
        debug_assert!(frame.is_multiple_of(SECTION), "page frame {frame:#x} is no section's first");
        let block = self.blocks.get(&(frame / self.block_pages()))?;
        block.parts.iter().find(|part| part.frames.contains(&frame)).map(|part| part.zone)
    }
}
