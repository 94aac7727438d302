//! The guest's side of the slots: it fetches notifications, ejects, and reports.

use dimmer_acpi::hotplug::{NO_EVENT, NOTIFY_DEVICE_CHECK};

use super::DimmSlots;
use super::ost::{self, Report};
use super::phase::{Phase, Step, Taken};
use crate::memory::{Last, MemoryEvent};

impl DimmSlots {
    /// What the event register reads.
    pub(super) fn next_notification(&self) -> u32 {
        self.notifications
            .front()
            .map_or(NO_EVENT, |(slot, notification)| notification << 16 | u32::from(*slot))
    }

    pub(super) fn take_notification(&mut self) {
        if let Some((slot, notification)) = self.notifications.pop_front() {
            self.slots[usize::from(slot)].fetched(notification);
        }
    }

    /// The guest ran `_EJ0`. On an empty slot that is harmless: Linux does so when it is asked
    /// twice to eject a device.
    pub(super) fn eject(&mut self, slot: u16) {
        self.slots[usize::from(slot)].ejected();
        let Some(occupant) =
            self.slots[usize::from(slot)].occupant.as_mut().filter(|occupant| occupant.shown)
        else {
            return;
        };
        match occupant.unback(&*self.host) {
            Ok(()) => {
                self.gone(slot);
            }
            Err(error) => {
                if self.stuck.first() {
                    tracing::error!("DIMM {} stays in slot {slot}: {error}", occupant.dimm.id);
                }
                occupant.phase = Phase { taken: Taken::Declined, leaving: false };
                self.finish(slot, Last::refused(format!("the host could not take the memory back: {error}")));
            }
        }
    }

    /// The guest ran `_OST`.
    pub(super) fn report(&mut self, index: u16, source: u32, status: u32) {
        let report = Report::decode(source, status);
        let slot = &mut self.slots[usize::from(index)];
        let id = slot.shown().map(|occupant| occupant.dimm.id.clone());
        self.events.memory(MemoryEvent::Ost { id, slot: index, source, status });
        slot.reported(&report, ost::answers_request(source));
        let settled = slot.is_settled();
        let Some(occupant) = &mut slot.occupant else { return };
        if !occupant.shown {
            occupant.shown = settled;
            if settled {
                self.notify(index, NOTIFY_DEVICE_CHECK);
            }
            return;
        }
        match occupant.phase.report(report) {
            Step::Silent => {}
            Step::Progress => self.events.memory(MemoryEvent::Progress { device: occupant.status(index) }),
            Step::Finished(last) => self.finish(index, last),
        }
    }
}
