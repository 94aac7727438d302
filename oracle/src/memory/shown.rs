//! What blocks show in `state` and `valid_zones`.

use std::fmt;
use std::ops::Range;

use super::{Block, Memory, Mistake, OnlineType, Rule, Zone};

/// What a block shows in `state` and `valid_zones`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Whether it is online.
    pub online: bool,
    /// Whether it is on its way offline, and waits for a page; it is then neither online nor offline.
    pub going_offline: bool,
    /// The zones in their order; none at all for an online block without a single zone.
    pub zones: [Option<Zone>; 3],
}

impl Shown {
    /// The words of `valid_zones`.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let none = self.zones.iter().all(Option::is_none).then_some("none");
        self.zones.into_iter().flatten().map(Zone::name).chain(none)
    }
}

/// As in a layout: `Movable`, `offline:Normal/Movable`.
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.online, self.going_offline) {
            (true, _) => "",
            (false, true) => "going-offline:",
            (false, false) => "offline:",
        })?;
        for (number, zone) in self.words().enumerate() {
            if number > 0 {
                f.write_str("/")?;
            }
            f.write_str(zone)?;
        }
        Ok(())
    }
}

/// When an online block of one zone shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShowsZone {
    /// It does.
    Always,
    /// While the zone spans these page frames.
    WhileItSpans(Range<u64>),
    /// Its holes are of another zone.
    Never,
}

impl Memory {
    /// What a block shows: its zone when it is online, else where it would go, the default first
    /// (`valid_zones_show`).
    ///
    /// # Panics
    /// When there is no such block.
    pub fn shown(&self, index: u64) -> Shown {
        self.shown_of(index, &self.blocks[&index])
    }

    /// What all blocks show, ascending.
    pub fn all_shown(&self) -> impl Iterator<Item = (u64, &Block, Shown)> {
        self.blocks.iter().map(|(index, block)| (*index, block, self.shown_of(*index, block)))
    }

    fn shown_of(&self, index: u64, block: &Block) -> Shown {
        let going_offline = block.going_offline;
        if block.is_online() && !going_offline {
            return Shown { online: true, going_offline, zones: [self.shown_zone(block), None, None] };
        }
        let candidate = self.candidate(index);
        let ways = [OnlineType::Policy, OnlineType::Kernel, OnlineType::Movable];
        let [first, kernel, movable] = ways.map(|how| self.zone_for(&candidate, how).zone);
        let kernel = (kernel != first).then_some(kernel);
        let movable = (movable != first).then_some(movable);
        let mut zones = [Some(first), kernel, movable];
        if self.makes(Mistake::ValidZonesSorted) {
            zones.sort_unstable();
        }
        Shown { online: false, going_offline, zones }
    }

    /// Notes what offline blocks show: a kernel zone first, or the movable one.
    pub fn meet_shown(&mut self) {
        for index in self.offline.clone() {
            let movable = self.shown(index).zones[0] == Some(Zone::Movable);
            self.meet(if movable { Rule::ShowsMovableFirst } else { Rule::ShowsKernelFirst });
        }
    }

    /// The words of `valid_zones` of a block.
    ///
    /// # Panics
    /// When there is no such block.
    pub fn valid_zones(&self, index: u64) -> Vec<&'static str> {
        self.shown(index).words().collect()
    }

    /// The one zone that an online block is in, as far as it shows.
    fn shown_zone(&self, block: &Block) -> Option<Zone> {
        block.zone().filter(|zone| match &block.shows_zone {
            ShowsZone::Always => true,
            ShowsZone::WhileItSpans(frames) => self.zone(block.node(), *zone).spans(frames),
            ShowsZone::Never => false,
        })
    }
}
