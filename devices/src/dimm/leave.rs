//! How a device leaves: at once when the guest ejects it, or as a fault says.

use std::time::{Duration, Instant};

use super::DimmSlots;
use crate::alarm::{self, Purpose};
use crate::fault::{Action, Point};
use crate::hotplug::{Phase, Taken};
use crate::memory::{Last, MemoryEvent, MemoryStatus};

/// How a change ends when a fault keeps the device in its slot.
const REFUSED: &str = "failed: the machine refused to eject the device, because a fault was set";

impl DimmSlots {
    /// The guest ran `_EJ0`. On an empty slot that is harmless: Linux does so when it is asked
    /// twice to eject a device. So it is on a device that is about to go.
    pub(super) fn eject(&mut self, slot: u16) {
        self.slot(slot).ejected();
        let Some(occupant) = self.slot(slot).shown().filter(|occupant| occupant.delayed.is_none()) else {
            return;
        };
        let id = occupant.dimm.id.clone();
        match self.outside.faults.hit(&id, Point::Eject) {
            Some(Action::Refuse) => self.keep(slot, REFUSED.to_owned()),
            Some(Action::Delay { milliseconds }) => self.delay(slot, &id, alarm::delay(milliseconds)),
            Some(Action::LateStatus) => {
                if self.take_back(slot) {
                    self.slot(slot).shows_late();
                }
            }
            _ => {
                self.take_back(slot);
            }
        }
    }

    /// An alarm that was set for the device of this name has rung: an ejection that was delayed takes
    /// effect.
    pub fn alarm(&mut self, id: &str) {
        if let Some(slot) = self.ids.get(id) {
            self.end_delay(*slot);
        }
    }

    /// Carries out the ejection of `slot`, if one is delayed.
    pub(super) fn end_delay(&mut self, slot: u16) {
        let occupant = self.slot(slot).occupant.as_mut();
        if occupant.and_then(|occupant| occupant.delayed.take()).is_some() {
            self.take_back(slot);
        }
    }

    fn delay(&mut self, slot: u16, id: &str, delay: Duration) {
        let occupant = self.occupant(slot);
        occupant.delayed = Some(Instant::now() + delay);
        let known = std::mem::replace(&mut occupant.phase.leaving, true);
        if !known {
            self.tell(MemoryEvent::Progress { device: self.status_in(slot) });
        }
        self.outside.alarm.after(delay, id, Purpose::Delay);
    }

    /// Gives the memory of the device in `slot` back to the host and empties the slot. Returns whether
    /// the host could.
    fn take_back(&mut self, slot: u16) -> bool {
        let host = self.outside.host.clone();
        let occupant = self.occupant(slot);
        let Err(error) = occupant.unback(&*host) else {
            self.gone(slot);
            return true;
        };
        let id = occupant.dimm.id.clone();
        if self.stuck.first() {
            tracing::error!("DIMM {id} stays in slot {slot}: {error}");
        }
        self.keep(slot, format!("the host could not take the memory back: {error}"));
        false
    }

    /// The guest let the device in `slot` go, but it stays.
    fn keep(&mut self, slot: u16, reason: String) {
        self.occupant(slot).phase = Phase { taken: Taken::Declined, leaving: false };
        self.finish(slot, Last::refused(reason));
    }

    /// Ends the change that is under way on the device in `slot`.
    pub(super) fn finish(&mut self, slot: u16, last: Last) {
        self.occupant(slot).last = Some(last);
        self.tell(MemoryEvent::Finished { device: self.status_in(slot) });
    }

    /// Empties a slot whose memory the host has back. Returns the device's last state.
    pub(super) fn gone(&mut self, slot: u16) -> MemoryStatus {
        let mut occupant = self.slot(slot).take().expect("the caller saw the device");
        self.ids.remove(&occupant.dimm.id);
        self.window.give_back(occupant.span);
        self.free.insert(slot);
        self.unannounced.remove(&slot);
        self.bus_checks.forget(slot);
        occupant.phase = Phase { taken: Taken::Declined, leaving: false };
        occupant.last = Some(Last::done());
        let device = MemoryStatus { requested_size: 0, ..occupant.status(slot) };
        self.tell(MemoryEvent::Finished { device: device.clone() });
        self.tell(MemoryEvent::Removed { device: device.clone() });
        device
    }
}
