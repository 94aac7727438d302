//! The host's side of the slots: devices come, are asked back, and stay over a reset.

use dimmer_acpi::hotplug::{NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST};

use super::description::{Dimm, Notify};
use super::occupant::{Occupant, Sight};
use super::registers::Selectors;
use super::{BusChecks, DimmError, DimmSlots};
use crate::fault::{Action, Point};
use crate::hotplug::{Phase, Taken};
use crate::memory::{GuestRange, Last, MemoryEvent, MemoryStatus, back_all};

/// How the insertion of a device ends that is asked for again.
const SUPERSEDED: &str = "superseded by a request to remove the device";
/// How a request to remove a device ends with the guest that it was made to.
const RESET: &str = "the machine was reset before the guest let the device go";

impl DimmSlots {
    /// Puts `dimm` into the lowest free slot at the lowest free address, and notifies the guest as
    /// `notify` says.
    ///
    /// Works before the guest has started, too: the guest then finds the device when it looks for
    /// devices, and its answer to the notification follows.
    ///
    /// # Errors
    /// Any [`DimmError`] but `Slots` and `UnknownId`.
    pub fn add(&mut self, dimm: Dimm, notify: Notify) -> Result<MemoryStatus, DimmError> {
        let slot = self.insert(dimm, Phase::OFFERED, Sight::Hidden(notify))?;
        let status = self.status_in(slot);
        self.tell(MemoryEvent::Accepted { device: status.clone() });
        self.announce(slot);
        Ok(status)
    }

    /// Puts `dimm` into the lowest free slot at the lowest free address of a machine that has not
    /// started. Nobody is notified: the guest finds it when it looks for devices, without a report.
    ///
    /// # Errors
    /// Any [`DimmError`] but `Slots` and `UnknownId`.
    pub fn add_at_boot(&mut self, dimm: Dimm) -> Result<MemoryStatus, DimmError> {
        let phase = Phase { taken: Taken::Plugged, leaving: false };
        let slot = self.insert(dimm, phase, Sight::Shown)?;
        Ok(self.status_in(slot))
    }

    /// Asks the guest to let the device go; asks again when it was asked already.
    ///
    /// A device that the guest has never seen is gone when this returns.
    ///
    /// # Errors
    /// [`DimmError::UnknownId`], and [`DimmError::Host`] for a device that is gone at once.
    pub fn remove(&mut self, id: &str) -> Result<MemoryStatus, DimmError> {
        let slot = *self.ids.get(id).ok_or_else(|| DimmError::UnknownId(id.to_owned()))?;
        let fault = self.outside.faults.hit(id, Point::Remove);
        let is_shown = self.occupant(slot).is_shown();
        if !is_shown || fault == Some(Action::Surprise) {
            return self.withdraw(slot);
        }
        self.supersede(slot);
        self.occupant(slot).phase.leaving = true;
        let status = self.status_in(slot);
        self.tell(MemoryEvent::Accepted { device: status.clone() });
        self.notify(slot, NOTIFY_EJECT_REQUEST);
        Ok(status)
    }

    /// System reset: the devices stay in their slots, and the new guest finds them there, but for
    /// those that wait unseen for a bus check.
    ///
    /// A request to remove a device ends as refused, unless the old guest has ejected it. A device that
    /// the old guest did not take, or not yet, is offered again: the new guest's answer ends that. The
    /// [`Ged`](crate::ged::Ged) is to be reset before this.
    pub fn reset(&mut self) {
        self.notifications.clear();
        self.bus_checks = BusChecks::default();
        self.ejecting = None;
        self.selectors = Selectors::default();
        for index in (0_u16..).take(self.slots.len()) {
            self.slot(index).reset();
            self.end_delay(index);
            let Some(occupant) = &mut self.slot(index).occupant else { continue };
            if std::mem::take(&mut occupant.phase.leaving) {
                self.finish(index, Last::refused(RESET));
            }
            let occupant = self.occupant(index);
            if occupant.is_shown() && occupant.phase.taken != Taken::Plugged {
                occupant.phase = Phase::OFFERED;
                self.notify(index, NOTIFY_DEVICE_CHECK);
            }
        }
    }

    /// Checks, acts on the host, and commits.
    fn insert(&mut self, dimm: Dimm, phase: Phase, sight: Sight) -> Result<u16, DimmError> {
        let (slot, span) = self.place(&dimm)?;
        let id = dimm.id.clone();
        let occupant = Occupant::new(dimm, span, phase, sight);
        back_all(&*self.outside.host, &id, &occupant.ranges).map_err(DimmError::Host)?;
        self.window.take(span);
        self.free.remove(&slot);
        self.ids.insert(id, slot);
        self.slot(slot).occupant = Some(occupant);
        Ok(slot)
    }

    /// The ranges that `dimm` would get now, in the order of `_CRS`, and the device as one that is to get these: what
    /// becomes free before it is [added](Self::add) is nothing to it.
    ///
    /// # Errors
    /// As [`add`](Self::add), but for what the host says.
    pub fn placed(&self, mut dimm: Dimm) -> Result<(Dimm, Vec<GuestRange>), DimmError> {
        let (_, span) = self.place(&dimm)?;
        dimm.placement.start = Some(span.start);
        let ranges = dimm.at(span.start);
        Ok((dimm, ranges))
    }

    fn place(&self, dimm: &Dimm) -> Result<(u16, GuestRange), DimmError> {
        dimm.check()?;
        let (field, span) = (dimm.size_field(), dimm.span());
        let window = self.window.range();
        if span > window.size {
            return Err(DimmError::LargerThanWindow { field, span, window: window.size });
        }
        if self.ids.contains_key(&dimm.id) {
            return Err(DimmError::DuplicateId(dimm.id.clone()));
        }
        let slot = *self.free.first().ok_or(DimmError::NoFreeSlot(self.slots.len()))?;
        let none = match dimm.placement.start {
            Some(start) => {
                DimmError::NotFree { range: GuestRange::new(start, span.min(u64::MAX - start)), window }
            }
            None => DimmError::NoFreeRange { field, span },
        };
        Ok((slot, self.window.find(span, dimm.size(), dimm.placement).ok_or(none)?))
    }

    /// Takes a device out without asking the guest: because the guest has never seen it, or because a
    /// fault says so. Then the guest is told to look.
    fn withdraw(&mut self, slot: u16) -> Result<MemoryStatus, DimmError> {
        let host = self.outside.host.clone();
        self.occupant(slot).unback(&*host).map_err(DimmError::Host)?;
        self.supersede(slot);
        self.occupant(slot).phase.leaving = true;
        self.tell(MemoryEvent::Accepted { device: self.status_in(slot) });
        let is_shown = self.occupant(slot).is_shown();
        if is_shown {
            self.slot(slot).has_vanished();
        }
        let device = self.gone(slot);
        if is_shown {
            self.notify(slot, NOTIFY_DEVICE_CHECK);
        }
        Ok(device)
    }

    /// A device that was offered and is to go now: its insertion is over.
    fn supersede(&mut self, slot: u16) {
        if self.occupant(slot).phase == Phase::OFFERED {
            self.finish(slot, Last::refused(SUPERSEDED));
        }
    }
}
