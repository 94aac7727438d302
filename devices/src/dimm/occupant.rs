//! A device in a slot: its memory, and how far guest and host are with it.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::description::{Dimm, Notify};
use crate::hotplug::{Phase, Taken};
use crate::memory::{GuestRange, Holding, HostError, HostMemory, Kind, Last, MemoryStatus, back_all, joined};

/// Whether the guest sees a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// It does.
    Shown,
    /// It does not. As soon as the slot is settled, it is shown with this notification; with none, it
    /// waits for the bus check of another device.
    Hidden(Notify),
}

/// A device in a slot.
#[derive(Debug)]
pub(super) struct Occupant {
    pub(super) dimm: Dimm,
    /// Its ranges in the order of `_CRS`.
    pub(super) ranges: Vec<GuestRange>,
    /// All that it takes of the window, gaps included.
    pub(super) span: GuestRange,
    /// The first so many of `ranges` have host memory; all of them, unless the host failed.
    backed: usize,
    pub(super) phase: Phase,
    pub(super) sight: Sight,
    /// `_EJ0` was there, and an alarm is set for when it takes effect: then.
    pub(super) delayed: Option<Instant>,
    pub(super) last: Option<Last>,
}

impl Occupant {
    /// A device whose ranges within `span` the caller has backed.
    pub(super) fn new(dimm: Dimm, span: GuestRange, phase: Phase, sight: Sight) -> Self {
        let ranges = dimm.at(span.start);
        let backed = ranges.len();
        Self { dimm, ranges, span, backed, phase, sight, delayed: None, last: None }
    }

    /// How many of its ranges have host memory, the first ones.
    pub(super) const fn backed(&self) -> usize {
        self.backed
    }

    /// Says that the first so many have; returns whether there are that many.
    pub(super) const fn set_backed(&mut self, backed: usize) -> bool {
        let there = backed <= self.ranges.len();
        if there {
            self.backed = backed;
        }
        there
    }

    /// Whether the guest sees it.
    pub(super) fn is_shown(&self) -> bool {
        self.sight == Sight::Shown
    }

    /// Whether the guest is to do something about it.
    pub(super) fn is_under_way(&self) -> bool {
        let asked = self.sight != Sight::Hidden(Notify::None) && self.delayed.is_none();
        asked && (self.phase.leaving || self.phase.taken == Taken::Offered)
    }

    /// Gives the host memory of all ranges back, or none of it.
    pub(super) fn unback(&mut self, host: &dyn HostMemory) -> Result<(), HostError> {
        while let Some(range) = self.backed.checked_sub(1).map(|last| self.ranges[last]) {
            if let Err(error) = host.unback(&self.dimm.id, range) {
                self.back_again(host);
                return Err(error);
            }
            self.backed -= 1;
        }
        Ok(())
    }

    /// What it has plugged; neighbouring ranges are one.
    pub(super) fn holding(&self) -> Holding {
        let mut ranges = self.ranges[..self.backed].to_vec();
        ranges.sort();
        Holding { id: self.dimm.id.clone(), ranges: joined(&ranges) }
    }

    fn back_again(&mut self, host: &dyn HostMemory) {
        match back_all(host, &self.dimm.id, &self.ranges[self.backed..]) {
            Ok(()) => self.backed = self.ranges.len(),
            Err(error) => tracing::error!("DIMM {} has lost memory: {error}", self.dimm.id),
        }
    }

    /// What the world sees of the device in slot `slot`.
    pub(super) fn status(&self, slot: u16) -> MemoryStatus {
        let size = self.dimm.size();
        MemoryStatus {
            id: self.dimm.id.clone(),
            kind: Kind::Dimm,
            node: self.dimm.node,
            ranges: self.ranges.clone(),
            slot: Some(slot),
            block_size: size,
            usable_size: size,
            requested_size: if self.phase.leaving { 0 } else { size },
            plugged_size: if self.phase.taken == Taken::Plugged { size } else { 0 },
            state: self.phase.state(),
            last: self.last.clone(),
            waits_for: None,
        }
    }
}
