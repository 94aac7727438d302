//! Telling the guest: which device is shown to it when, and the queue of notifications.

use dimmer_acpi::ged::MEMORY;
use dimmer_acpi::hotplug::{CONTAINER, NO_EVENT, NOTIFY_BUS_CHECK, NOTIFY_DEVICE_CHECK};

use super::DimmSlots;
use super::description::Notify;
use super::occupant::Sight;
use crate::bus::lock;
use crate::fault::{Action, Point};

impl DimmSlots {
    /// Shows the hidden device in `slot` to the guest, when the slot is settled and the device is not
    /// one that waits for another's bus check.
    pub(super) fn announce(&mut self, slot: u16) {
        let settled = self.slot(slot).is_settled();
        match self.occupant(slot).sight {
            Sight::Hidden(Notify::DeviceCheck) if settled => {
                self.occupant(slot).sight = Sight::Shown;
                self.notify(slot, NOTIFY_DEVICE_CHECK);
            }
            Sight::Hidden(Notify::BusCheck) if settled => self.bus_check(slot),
            Sight::Hidden(Notify::None) => {
                self.unannounced.insert(slot);
            }
            Sight::Hidden(_) | Sight::Shown => {}
        }
    }

    /// Shows the device in `slot` and all that wait for a bus check. One whose slot is not settled gets
    /// a bus check of its own when it is.
    fn bus_check(&mut self, slot: u16) {
        let mut slots = std::mem::take(&mut self.unannounced);
        slots.insert(slot);
        slots.retain(|slot| {
            let settled = self.slot(*slot).is_settled();
            self.occupant(*slot).sight = if settled { Sight::Shown } else { Sight::Hidden(Notify::BusCheck) };
            settled
        });
        if self.bus_checks.ask(slots) {
            self.notifications.push_back((CONTAINER, NOTIFY_BUS_CHECK));
        }
        self.raise(slot);
    }

    /// Queues `notification` for the device that is, or was, in `slot`.
    pub(super) fn notify(&mut self, slot: u16, notification: u32) {
        if self.slot(slot).notify(notification) {
            self.notifications.push_back((slot, notification));
        }
        self.raise(slot);
    }

    /// Interrupts the guest, because of `slot`. An interrupt that is lost leaves the queue as it is, so
    /// the next one delivers everything.
    fn raise(&self, slot: u16) {
        let id = self.slots[usize::from(slot)].about();
        let fault = id.and_then(|id| self.outside.faults.hit(id, Point::Interrupt));
        if fault != Some(Action::Lose) {
            lock(&self.ged).raise(MEMORY);
        }
    }

    /// What the event register reads.
    pub(super) fn next_notification(&self) -> u32 {
        self.notifications
            .front()
            .map_or(NO_EVENT, |(slot, notification)| notification << 16 | u32::from(*slot))
    }

    pub(super) fn take_notification(&mut self) {
        match self.notifications.pop_front() {
            Some((CONTAINER, _)) => self.bus_checks.fetched(),
            Some((slot, notification)) => self.slot(slot).fetched(notification),
            None => {}
        }
    }
}
