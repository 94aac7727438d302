//! One slot: what is in it, and what the guest still owes it.
//!
//! A slot that was ejected is not shown anything new before the guest has finished with the old:
//! Linux reads `_STA` after `_EJ0` and must find the slot empty, and an eject request that it has
//! not answered yet would hit the newcomer. Until then a new device waits in the slot unseen.

use dimmer_acpi::hotplug::{NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST};

use super::Dimm;
use super::ost::Report;
use super::phase::{Phase, Taken};
use crate::memory::{GuestRange, HostError, HostMemory, Kind, Last, MemoryStatus, back_all};

/// A device in a slot.
#[derive(Debug)]
pub(super) struct Occupant {
    pub(super) dimm: Dimm,
    pub(super) ranges: Vec<GuestRange>,
    /// The first so many of `ranges` have host memory; all of them, unless the host failed.
    backed: usize,
    pub(super) phase: Phase,
    /// Whether the guest sees it; it does, unless it waits for the slot to settle.
    pub(super) shown: bool,
    pub(super) last: Option<Last>,
}

impl Occupant {
    /// A device whose `ranges` the caller has backed.
    pub(super) fn new(dimm: Dimm, ranges: Vec<GuestRange>, shown: bool) -> Self {
        let backed = ranges.len();
        Self { dimm, ranges, backed, phase: Phase::OFFERED, shown, last: None }
    }

    /// Gives the host memory of all ranges back, or none of it.
    pub(super) fn unback(&mut self, host: &dyn HostMemory) -> Result<(), HostError> {
        while let Some(range) = self.backed.checked_sub(1).map(|last| self.ranges[last]) {
            if let Err(error) = host.unback(range) {
                self.back_again(host);
                return Err(error);
            }
            self.backed -= 1;
        }
        Ok(())
    }

    fn back_again(&mut self, host: &dyn HostMemory) {
        match back_all(host, &self.ranges[self.backed..]) {
            Ok(()) => self.backed = self.ranges.len(),
            Err(error) => tracing::error!("DIMM {} has lost memory: {error}", self.dimm.id),
        }
    }

    /// What the world sees of the device in slot `slot`.
    pub(super) fn status(&self, slot: u16) -> MemoryStatus {
        let size = self.dimm.size;
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
        }
    }
}

/// One slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) occupant: Option<Occupant>,
    /// Notifications that the guest has not fetched: device check, eject request.
    check_waits: bool,
    eject_waits: bool,
    /// Eject requests that the guest has not answered with a final `_OST`.
    unanswered: u32,
    /// `_EJ0` was there, its final `_OST` was not.
    closing: bool,
}

impl Slot {
    /// Whether a device put here now would be seen at once.
    pub(super) const fn is_settled(&self) -> bool {
        self.unanswered == 0 && !self.closing
    }

    /// The device that the guest sees.
    pub(super) fn shown(&self) -> Option<&Occupant> {
        self.occupant.as_ref().filter(|occupant| occupant.shown)
    }

    /// Whether `notification` has to be queued: not when the same one still waits.
    pub(super) fn notify(&mut self, notification: u32) -> bool {
        let waits = match notification {
            NOTIFY_EJECT_REQUEST => &mut self.eject_waits,
            _ => &mut self.check_waits,
        };
        let new = !std::mem::replace(waits, true);
        if new && notification == NOTIFY_EJECT_REQUEST {
            self.unanswered = self.unanswered.saturating_add(1);
        }
        new
    }

    /// The guest has fetched `notification`.
    pub(super) fn fetched(&mut self, notification: u32) {
        match notification {
            NOTIFY_DEVICE_CHECK => self.check_waits = false,
            _ => self.eject_waits = false,
        }
    }

    /// The guest ran `_EJ0`.
    pub(super) const fn ejected(&mut self) {
        self.closing = true;
    }

    /// The guest reported `report`; `answer` tells whether it answers an eject request.
    pub(super) const fn reported(&mut self, report: &Report, answer: bool) {
        if report.ends_ejection() {
            self.closing = false;
            if answer {
                self.unanswered = self.unanswered.saturating_sub(1);
            }
        }
    }

    /// System reset: the guest owes nothing any more and sees what is there.
    pub(super) fn reset(&mut self) {
        let occupant = self.occupant.take();
        *self = Self { occupant, ..Self::default() };
        if let Some(occupant) = &mut self.occupant {
            occupant.shown = true;
        }
    }
}
