//! The host's side: a number of processors is asked for, and the guest is asked to take or let go as many as that takes.

use dimmer_acpi::ged::PROCESSORS;
use dimmer_acpi::hotplug::{NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST};

use super::registers::Selectors;
use super::{BadCount, ProcessorEvent, ProcessorSlots, ProcessorsStatus, Slot, Underway};
use crate::bus::lock;
use crate::hotplug::{Phase, Taken};
use crate::memory::Last;

/// How a change ends in whose place there is another.
const SUPERSEDED: &str = "another number of processors was asked for before the guest had finished";
/// How the letting go of processors ends with a reset.
const RESET: &str = "the machine was reset before the guest let the processors go";
/// How a change ends that the guest did nothing for, and did not say why.
const NO_REASON: &str = "the guest gave no reason";

impl ProcessorSlots {
    /// Asks the guest to have `count` processors.
    ///
    /// # Errors
    /// [`BadCount`]; nothing has changed then.
    pub fn request(&mut self, count: u16) -> Result<ProcessorsStatus, BadCount> {
        let max = self.numbers().end;
        if !(1..=max).contains(&count) {
            return Err(BadCount { max });
        }
        if self.change.is_some() {
            self.finish(|_| Last::refused(SUPERSEDED));
        }
        self.requested = count;
        let settled = self.slots.iter().all(|slot| slot.phase.is_none() || *slot == Slot::PLUGGED);
        if settled && self.plugged() == count {
            return Ok(self.status());
        }
        self.slots.iter_mut().for_each(|slot| slot.asked = false);
        self.change = Some(Underway { before: self.plugged(), reason: None });
        self.ask();
        let status = self.status();
        self.tell(ProcessorEvent::CpusAccepted { cpus: status.clone() });
        self.conclude();
        Ok(status)
    }

    /// Asks the guest for what the change that is under way still needs, and ends it when nothing can come of it any more.
    pub(super) fn pursue(&mut self) {
        if self.change.is_some() {
            self.ask();
            self.conclude();
        }
    }

    fn ask(&mut self) {
        let staying = self.count(Slot::stays);
        for number in self.surplus().take(staying.saturating_sub(self.requested).into()).collect::<Vec<_>>() {
            let slot = self.slot(number);
            slot.asked = true;
            if let Some(phase) = &mut slot.phase {
                phase.leaving = true;
            }
            self.notify(number, NOTIFY_EJECT_REQUEST);
        }
        let coming = self.count(|slot| slot.stays() && !slot.is(Taken::Declined));
        for number in self.absent().take(self.requested.saturating_sub(coming).into()).collect::<Vec<_>>() {
            self.outside.seats.arrive(number);
            *self.slot(number) = Slot { phase: Some(Phase::OFFERED), owes: false, asked: true };
            self.notify(number, NOTIFY_DEVICE_CHECK);
        }
    }

    /// Those that can be asked to go, in the order in which they are: first what the guest has not taken, then the highest.
    fn surplus(&self) -> impl Iterator<Item = u16> {
        let can_go = |number: &u16| {
            let slot = &self.slots[usize::from(*number)];
            *number > 0 && slot.stays() && !slot.asked
        };
        let is_declined = |number: &u16| self.slots[usize::from(*number)].is(Taken::Declined);
        let (declined, taken): (Vec<_>, Vec<_>) = self.numbers().rev().filter(can_go).partition(is_declined);
        declined.into_iter().chain(taken)
    }

    /// Those that can be offered to the guest, ascending; also what it once declined.
    fn absent(&self) -> impl Iterator<Item = u16> {
        self.numbers().filter(|number| {
            let slot = &self.slots[usize::from(*number)];
            let free = slot.phase.is_none() && !slot.owes;
            !slot.asked && (free || slot.stays() && slot.is(Taken::Declined))
        })
    }

    /// Ends the change if the guest has answered for all that it was asked for, and there is nobody else to ask.
    fn conclude(&mut self) {
        let open = |slot: &Slot| slot.is_leaving() || slot.is(Taken::Offered);
        let owed = |slot: &Slot| slot.phase.is_none() && slot.owes && !slot.asked;
        let waits = self.plugged() < self.requested && self.slots.iter().any(owed);
        if !waits && !self.slots.iter().any(open) {
            self.finish(Self::outcome);
        }
    }

    fn outcome(&self) -> Last {
        let plugged = self.plugged();
        let Some(Underway { before, reason }) = self.change.as_ref().filter(|_| plugged != self.requested)
        else {
            return Last::done();
        };
        let reason = reason.clone().unwrap_or_else(|| NO_REASON.to_owned());
        if plugged == *before { Last::refused(reason) } else { Last::partial(reason) }
    }

    fn finish(&mut self, how: impl FnOnce(&Self) -> Last) {
        self.last = Some(how(self));
        self.change = None;
        self.tell(ProcessorEvent::CpusFinished { cpus: self.status() });
    }

    fn notify(&mut self, number: u16, notification: u32) {
        let new = (number, notification);
        if !self.notifications.contains(&new) {
            self.notifications.push_back(new);
        }
        lock(&self.outside.ged).raise(PROCESSORS);
    }

    /// System reset: the new guest finds in its tables all that are there, and what it was asked to take. Those that the old
    /// guest had not let go stay. The [`Ged`](crate::ged::Ged) is to be reset before this.
    pub fn reset(&mut self) {
        self.notifications.clear();
        self.selectors = Selectors::default();
        for slot in &mut self.slots {
            let phase = slot.phase.map(|_| Phase { taken: Taken::Plugged, leaving: false });
            *slot = Slot { phase, owes: false, asked: false };
        }
        let Some(change) = &mut self.change else { return };
        change.reason = Some(RESET.to_owned());
        let missing = self.requested.saturating_sub(self.plugged());
        for number in self.absent().take(missing.into()).collect::<Vec<_>>() {
            self.outside.seats.arrive(number);
            *self.slot(number) = Slot::PLUGGED;
        }
        self.finish(Self::outcome);
    }
}
