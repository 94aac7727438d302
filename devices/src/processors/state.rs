//! What is saved of the processors' places; what they are doing is saved with the vCPUs.

use dimmer_acpi::hotplug::{NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST};
use serde::{Deserialize, Serialize};

use super::registers::Selectors;
use super::{ProcessorSlots, Slot, Underway};
use crate::hotplug::Phase;
use crate::memory::Last;
use crate::state::StateError;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessorSlotsState {
    /// Each place.
    pub slots: Vec<SlotState>,
    /// How many the guest was asked to have.
    pub requested: u16,
    /// The change that is under way.
    pub change: Option<ChangeState>,
    /// How the latest one ended.
    pub last: Option<Last>,
    /// Number and `Notify` value of what the guest has not fetched; oldest first.
    pub notifications: Vec<(u16, u32)>,
    /// What the guest selected.
    pub selectors: Selectors,
}

/// One place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotState {
    /// Where the processor is on its way in or out, if it is there.
    pub phase: Option<Phase>,
    /// Whether the guest still has to report the end of its going.
    pub owes: bool,
    /// Whether the guest was asked for the change that is under way.
    pub asked: bool,
}

/// A change that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeState {
    /// How many there were.
    pub before: u16,
    /// What the guest refused last.
    pub reason: Option<String>,
}

impl ProcessorSlots {
    /// Their state.
    pub fn state(&self) -> ProcessorSlotsState {
        let slot =
            |Slot { phase, owes, asked }: &Slot| SlotState { phase: *phase, owes: *owes, asked: *asked };
        let change =
            |Underway { before, reason }: &Underway| ChangeState { before: *before, reason: reason.clone() };
        ProcessorSlotsState {
            slots: self.slots.iter().map(slot).collect(),
            requested: self.requested,
            change: self.change.as_ref().map(change),
            last: self.last.clone(),
            notifications: self.notifications.iter().copied().collect(),
            selectors: self.selectors,
        }
    }

    /// Goes on from `state`: who is there sits where it sat.
    ///
    /// # Errors
    /// [`StateError`] when no such processors can be in that state; nothing has changed then.
    pub fn restore(&mut self, state: &ProcessorSlotsState) -> Result<(), StateError> {
        let count = self.slots.len();
        StateError::unless(state.slots.len() == count, || {
            format!("there can be {count} processors, and not {}", state.slots.len())
        })?;
        let boot = state.slots.first().is_some_and(|slot| slot.phase.is_some());
        StateError::unless(boot, || "the boot processor is not there".to_owned())?;
        let requested = (1..=self.numbers().end).contains(&state.requested);
        StateError::unless(requested, || format!("there cannot be {} processors", state.requested))?;
        let known = |(number, notification): &(u16, u32)| {
            self.numbers().contains(number)
                && [NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST].contains(notification)
        };
        let right = state.notifications.len() <= 2 * count && state.notifications.iter().all(known);
        StateError::unless(right, || "the guest is told of processors that cannot be".to_owned())?;
        let slot =
            |SlotState { phase, owes, asked }: &SlotState| Slot { phase: *phase, owes: *owes, asked: *asked };
        self.slots = state.slots.iter().map(slot).collect();
        self.requested = state.requested;
        let change = |ChangeState { before, reason }: &ChangeState| Underway {
            before: *before,
            reason: reason.clone(),
        };
        self.change = state.change.as_ref().map(change);
        self.last = state.last.clone();
        self.notifications = state.notifications.iter().copied().collect();
        self.selectors = state.selectors;
        for number in self.numbers() {
            match self.is_present(number) {
                true => self.outside.seats.arrive(number),
                false => self.outside.seats.leave(number),
            }
        }
        Ok(())
    }
}
