//! ACPI memory devices (drivers/acpi/acpi_memhotplug.c, scan.c).

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::absent::{NotAdded, Reason};
use super::super::group::GroupKind;
use super::super::memory::{Errno, GroupId};
use super::super::mistake::Mistake;
use super::super::rule::Rule;
use super::super::zone::PAGE;
use super::Linux;

/// An ACPI memory device that the driver is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluggedDimm {
    /// Its node.
    pub node: u32,
    /// The blocks that it has, in the order of its ranges, which is the one in which they were bound to the device
    /// and go offline and online with it; those of ranges that could not be added are missing.
    pub blocks: Vec<u64>,
    group: Option<GroupId>,
}

impl PluggedDimm {
    /// Its memory group; `None` where the release has none.
    pub const fn group(&self) -> Option<GroupId> {
        self.group
    }
}

/// How an ejection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ejected {
    /// The device is gone.
    Gone,
    /// A block could not be taken offline; those that could are online again.
    Refused {
        /// The block that refused.
        block: u64,
    },
    /// A page of a block is pinned: it goes on when that is let go.
    Stuck {
        /// The block.
        block: u64,
    },
    /// Ejecting is switched off.
    Disabled,
}

/// An ejection that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The device.
    pub id: String,
    /// The block that it waits for.
    pub block: u64,
    /// Whether the guest began it, rather than the machine.
    pub by_guest: bool,
    /// The blocks that it has taken offline.
    offlined: BTreeSet<u64>,
}

impl Ejected {
    /// The `_OST` pairs that report it, for an ejection that the machine asked for.
    pub fn ost(&self) -> Vec<(u32, u32)> {
        match self {
            Self::Gone => vec![(3, 0x84), (3, 0)],
            Self::Refused { .. } => vec![(3, 0x84), (3, 0x82)],
            Self::Stuck { .. } => vec![(3, 0x84)],
            Self::Disabled => vec![(3, 0x80)],
        }
    }
}

impl Linux {
    /// The guest checks a device with these ranges of bytes, in the order of `_CRS`. The report is
    /// `_OST(1, 0)` whatever comes of it; the device is only bound when a range could be added.
    pub fn plug_dimm(&mut self, id: &str, ranges: &[Range<u64>], node: u32) {
        let all = ranges.iter().filter(|range| !range.is_empty()).count();
        let ranges = merged(ranges);
        if ranges.is_empty() {
            return;
        }
        if ranges.len() < all {
            self.memory.meet(Rule::RangesAreJoined);
        }
        if ranges.len() > 1 {
            self.memory.meet(Rule::SeveralRanges);
        }
        let max_pages = ranges.iter().map(|range| range.end - range.start).sum::<u64>().div_ceil(PAGE);
        let group = self.release.has_groups();
        let group = group.then(|| self.memory.register(GroupKind::Static { max_pages }, node));
        let (mut blocks, mut not_added) = (Vec::new(), Vec::new());
        let mut memmap_asked = false;
        let every_block =
            self.release.has_memmap_on_every_block() || self.memory.makes(Mistake::MemmapOnEveryBlock);
        for range in &ranges {
            let size = self.memory.block_size();
            memmap_asked |= self.settings.memmap_on_memory
                && self.release.has_memmap_on_memory()
                && (self.release.has_memmap_on_every_block() || range.end - range.start == size);
            // Releases that can only put the memmap of one block on itself ask for it for every range behind
            // the first that could have it, too, and then fail.
            let wrong_memmap = memmap_asked && !every_block && range.end - range.start != size;
            let memmap = if memmap_asked { self.memory.memmap_pages() } else { 0 };
            let indices = range.start / size..range.end / size;
            let limit = self.boot_limit.filter(|limit| range.end > *limit);
            let limit = limit.filter(|_| !self.memory.makes(Mistake::MemKeepsNothingAway));
            let reason = match range {
                _ if limit.is_some() => limit.map(Reason::Limit),
                _ if self.memory.makes(Mistake::HalfBlocksCome) => {
                    self.add_memory(indices.clone(), node, group, memmap).err()
                }
                Range { start, .. } if !start.is_multiple_of(size) => Some(Reason::Start(size)),
                Range { end, .. } if !end.is_multiple_of(size) => Some(Reason::Size(size)),
                _ if wrong_memmap => Some(Reason::Memmap),
                _ => self.add_memory(indices.clone(), node, group, memmap).err(),
            };
            match reason {
                None => blocks.extend(indices),
                Some(reason) => {
                    self.memory.meet(reason.rule());
                    not_added.push(NotAdded { range: range.clone(), reason });
                }
            }
        }
        self.bind_dimm(id, PluggedDimm { node, blocks, group }, not_added);
    }

    /// The driver is bound to a device of which something could be added.
    fn bind_dimm(&mut self, id: &str, dimm: PluggedDimm, not_added: Vec<NotAdded>) {
        self.not_added.remove(id);
        if !not_added.is_empty() {
            self.not_added.insert(id.to_owned(), not_added);
        }
        if !dimm.blocks.is_empty() {
            self.dimms.insert(id.to_owned(), dimm);
            return;
        }
        self.memory.meet(Rule::NoDriver);
        if let Some(group) = dimm.group {
            self.memory.unregister(group);
        }
    }

    /// The guest is asked to let a device go (`acpi_scan_hot_remove`).
    pub fn eject_dimm(&mut self, id: &str) -> Ejected {
        if !self.settings.eject_enabled {
            self.memory.meet(Rule::EjectIsOff);
            return Ejected::Disabled;
        }
        self.eject_rest(id, BTreeSet::new(), None)
    }

    /// The ejection that waits goes on, if it can. Returns what it was, and what came of it.
    pub fn eject_stuck(&mut self) -> Option<(Stuck, Ejected)> {
        let before = self.stuck.take()?;
        self.memory.set_going_offline(before.block, false);
        let ejected = self.eject_rest(&before.id, before.offlined.clone(), Some(before.block));
        match &mut self.stuck {
            Some(stuck) => stuck.by_guest = before.by_guest,
            None => self.memory.meet(Rule::EjectionGoesOn),
        }
        Some((before, ejected))
    }

    /// Ejects a device of which this ejection has already taken some blocks offline. The one that it has `waited` for is
    /// past the notifiers, and nothing but its pages keeps it (`offline_pages`).
    fn eject_rest(&mut self, id: &str, mut offlined: BTreeSet<u64>, waited: Option<u64>) -> Ejected {
        // A device that the driver is not bound to has nothing to take offline.
        let Some(dimm) = self.dimms.get(id).cloned() else {
            self.not_added.remove(id);
            self.memory.meet(Rule::DimmWithoutDriverGoes);
            return Ejected::Gone;
        };
        // All are tried, and those that failed once more; it ends with the first that fails twice.
        let mut refused = None;
        for pass in 0..2 {
            for index in &dimm.blocks {
                let online = self.memory.blocks().get(index).is_some_and(|block| block.is_online());
                let offline = |linux: &mut Self| match waited == Some(*index) {
                    true => linux.offline_behind_notifiers(*index),
                    false => linux.offline(*index),
                };
                match online.then(|| offline(self)) {
                    Some(Err(Errno::EINTR)) => {
                        self.memory.meet(Rule::EjectionWaits);
                        // No signal reaches the kernel's own thread.
                        self.memory.set_going_offline(*index, true);
                        self.stuck =
                            Some(Stuck { id: id.to_owned(), block: *index, by_guest: false, offlined });
                        return Ejected::Stuck { block: *index };
                    }
                    Some(Ok(())) => drop(offlined.insert(*index)),
                    Some(Err(_)) if pass == 1 => refused = refused.or(Some(*index)),
                    _ => {}
                }
            }
        }
        let Some(block) = refused else {
            self.memory.meet(Rule::DimmGoes);
            self.remove_dimm(id);
            return Ejected::Gone;
        };
        self.memory.meet(Rule::DimmStays);
        for index in dimm.blocks.iter().filter(|index| offlined.contains(index)) {
            self.meet_kept_word(*index);
            // By the policy of now, not to the zone it was in. What cannot come back stays offline.
            let _ = self.device_online(*index);
        }
        Ejected::Refused { block }
    }

    fn remove_dimm(&mut self, id: &str) {
        self.not_added.remove(id);
        let Some(dimm) = self.dimms.remove(id) else { return };
        for index in dimm.blocks {
            self.remove_memory(index);
        }
        if let Some(group) = dimm.group {
            self.memory.unregister(group);
        }
    }
}

/// The driver joins a range to an earlier one that it starts right behind
/// (`acpi_memory_get_resource`), and leaves out empty ones.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut all: Vec<Range<u64>> = Vec::new();
    for range in ranges.iter().filter(|range| !range.is_empty()) {
        match all.iter_mut().find(|earlier| earlier.end == range.start) {
            Some(earlier) => earlier.end = range.end,
            None => all.push(range.clone()),
        }
    }
    all
}
