//! One slot: what is in it, and what the guest still owes it.
//!
//! A slot that was emptied is not shown anything new before the guest has finished with the old:
//! Linux reads `_STA` after `_EJ0` and must find the slot empty, and an eject request that it has
//! not answered yet would hit the newcomer. Until then a new device waits in the slot unseen.

use dimmer_acpi::hotplug::{NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST};
use serde::{Deserialize, Serialize};

use super::description::Notify;
use super::occupant::{Occupant, Sight};
use crate::hotplug::ost::Report;

/// One slot.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) occupant: Option<Occupant>,
    pub(super) owed: Owed,
}

/// What guest and slot have not finished with; plain data, void after a reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owed {
    /// The device that was here last, as long as the guest has not finished with it.
    leaver: Option<String>,
    /// Notifications that the guest has not fetched: device check, eject request.
    check_waits: bool,
    eject_waits: bool,
    /// Eject requests that the guest has not answered with a final `_OST`.
    unanswered: u32,
    /// `_EJ0` was there, its final `_OST` was not.
    closing: bool,
    /// The device vanished unasked, and the guest has not answered the device check.
    vanished: bool,
    /// `_STA` still shows the device that was ejected.
    late: bool,
}

impl Slot {
    /// Whether a device put here now would be seen at once.
    pub(super) const fn is_settled(&self) -> bool {
        self.owed.unanswered == 0 && !self.owed.closing && !self.owed.vanished
    }

    /// The device that the guest sees.
    pub(super) fn shown(&self) -> Option<&Occupant> {
        self.occupant.as_ref().filter(|occupant| occupant.is_shown())
    }

    /// Whether `_STA` says that there is a device.
    pub(super) fn is_present(&self) -> bool {
        self.owed.late || self.shown().is_some()
    }

    /// Whom it is about when the guest says something of this slot, or is told something.
    pub(super) fn about(&self) -> Option<&str> {
        self.shown().map(|occupant| occupant.dimm.id.as_str()).or(self.owed.leaver.as_deref())
    }

    /// Takes the device out, whose memory the host has back.
    pub(super) fn take(&mut self) -> Option<Occupant> {
        let occupant = self.occupant.take()?;
        if occupant.is_shown() && !self.is_settled() {
            self.owed.leaver = Some(occupant.dimm.id.clone());
        }
        Some(occupant)
    }

    /// Whether `notification` has to be queued: not when the same one still waits.
    pub(super) fn notify(&mut self, notification: u32) -> bool {
        let waits = match notification {
            NOTIFY_EJECT_REQUEST => &mut self.owed.eject_waits,
            _ => &mut self.owed.check_waits,
        };
        let new = !std::mem::replace(waits, true);
        if new && notification == NOTIFY_EJECT_REQUEST {
            self.owed.unanswered = self.owed.unanswered.saturating_add(1);
        }
        new
    }

    /// The guest has fetched `notification`.
    pub(super) const fn fetched(&mut self, notification: u32) {
        match notification {
            NOTIFY_DEVICE_CHECK => self.owed.check_waits = false,
            _ => self.owed.eject_waits = false,
        }
    }

    /// The guest ran `_EJ0`.
    pub(super) const fn ejected(&mut self) {
        self.owed.closing = true;
    }

    /// The device is gone, and `_STA` shows it until the ejection has ended.
    pub(super) const fn shows_late(&mut self) {
        self.owed.late = true;
    }

    /// The device was taken out of a guest that was not asked.
    pub(super) const fn has_vanished(&mut self) {
        self.owed.vanished = true;
    }

    /// The guest reported `report`; `answer` tells whether it answers an eject request.
    pub(super) fn reported(&mut self, report: &Report, answer: bool) {
        if report.ends_ejection() {
            self.owed.closing = false;
            self.owed.late = false;
            if answer {
                self.owed.unanswered = self.owed.unanswered.saturating_sub(1);
            }
        }
        if report.ends_check() {
            self.owed.vanished = false;
        }
        if self.is_settled() {
            self.owed.leaver = None;
        }
    }

    /// System reset: the guest owes nothing any more, and sees what is there and was to be shown.
    pub(super) fn reset(&mut self) {
        self.owed = Owed::default();
        if let Some(occupant) = &mut self.occupant
            && occupant.sight != Sight::Hidden(Notify::None)
        {
            occupant.sight = Sight::Shown;
        }
    }
}
