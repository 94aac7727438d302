//! One memory block.

use std::fmt;
use std::ops::Range;

use super::{Decision, GroupId, OnlineType, ShowsZone, Zone};

/// What a step is refused with, as Linux numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errno {
    /// The step makes no sense in this state.
    EINVAL,
    /// Somebody holds a page.
    EBUSY,
    /// There is memory already.
    EEXIST,
    /// There is no such page.
    ENXIO,
    /// The same, of `soft_offline_page`.
    EIO,
    /// A page is poisoned.
    EHWPOISON,
    /// It never ended, until a signal interrupted it.
    EINTR,
    /// Anything else, which no rule of the model ends in.
    Other,
}

impl Errno {
    /// The one of this name.
    pub fn named(name: &str) -> Self {
        let known =
            [Self::EINVAL, Self::EBUSY, Self::EEXIST, Self::ENXIO, Self::EIO, Self::EHWPOISON, Self::EINTR];
        known.into_iter().find(|errno| errno.to_string() == name).unwrap_or(Self::Other)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Online page frames of one node in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub frames: Range<u64>,
    /// Their node.
    pub node: u32,
    /// Their zone.
    pub zone: Zone,
}

/// One memory block.
#[derive(Debug, Clone)]
pub struct Block {
    /// What of it is online, ascending: all of it in one part, unless it is boot memory with a zone's or
    /// a node's border inside.
    pub parts: Vec<Part>,
    /// Its group.
    pub group: Option<GroupId>,
    /// Whether it is boot memory; that stays so when it was offline in between.
    pub early: bool,
    /// Whether some of its pages are no RAM, so that it can never go offline.
    pub holes: bool,
    /// When it shows the one zone that it is online in, which holes can hide.
    pub shows_zone: ShowsZone,
    /// How it is to go online next time, left by somebody who asked for it in vain while it was online.
    pub online_type: Option<OnlineType>,
    /// Whether it is on its way offline, and waits for a page.
    pub going_offline: bool,
    /// Pages at its start that hold its own memmap (`memmap_on_memory`) and never reach the page allocator.
    pub memmap: u64,
    /// Why it is in its zone; `None` for boot memory and for offline blocks.
    pub decision: Option<Decision>,
    /// The node of a block that is offline; that of its last part else.
    node: u32,
}

impl Block {
    pub(super) const fn boot() -> Self {
        Self {
            parts: Vec::new(),
            group: None,
            early: true,
            holes: false,
            shows_zone: ShowsZone::Always,
            online_type: None,
            going_offline: false,
            memmap: 0,
            decision: None,
            node: 0,
        }
    }

    pub(super) fn added(node: u32, group: Option<GroupId>, memmap: u64) -> Self {
        Self { group, early: false, memmap, node, ..Self::boot() }
    }

    pub(super) fn take_offline(&mut self) {
        self.node = self.node();
        self.parts.clear();
        self.decision = None;
    }

    /// Whether it is online.
    pub const fn is_online(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The node that its pages are counted for.
    pub fn node(&self) -> u32 {
        self.parts.last().map_or(self.node, |part| part.node)
    }

    /// The nodes that it is linked to, ascending.
    pub fn nodes(&self) -> Vec<u32> {
        let mut nodes: Vec<u32> = self.parts.iter().map(|part| part.node).collect();
        if nodes.is_empty() {
            nodes.push(self.node);
        }
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// The one node that it is linked to; `None` when there are several.
    pub fn only_node(&self) -> Option<u32> {
        let node = self.node();
        self.parts.iter().all(|part| part.node == node).then_some(node)
    }

    /// The one zone that it is online in; `None` when it is offline or in several.
    pub fn zone(&self) -> Option<Zone> {
        let first = self.parts.first()?;
        let same = |part: &Part| (part.node, part.zone) == (first.node, first.zone);
        self.parts.iter().all(same).then_some(first.zone)
    }
}
