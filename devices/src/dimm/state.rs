//! What is saved of the slots.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use dimmer_acpi::hotplug::CONTAINER;
use serde::{Deserialize, Serialize};

use super::DimmSlots;
use super::bus_check::BusChecks;
use super::description::{Dimm, Notify};
use super::occupant::{Occupant, Sight};
use super::registers::Selectors;
use super::slot::{Owed, Slot};
use super::window::Window;
use crate::alarm::{self, Purpose};
use crate::hotplug::{OstLog, Phase};
use crate::memory::{GuestRange, Last};
use crate::placement::Placement;
use crate::state::StateError;

/// The slots with their devices; the host memory behind these is there before they go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DimmSlotsState {
    /// Each slot.
    pub slots: Vec<SlotState>,
    /// Slot or container, and `Notify` value, of what the guest has not fetched; oldest first.
    pub notifications: Vec<(u16, u32)>,
    /// The bus checks so far.
    pub bus_checks: BusChecks,
    /// The slot whose ejection the guest has begun and not ended.
    pub ejecting: Option<u16>,
    /// The latest `_OST` reports.
    pub log: OstLog,
    /// What the guest selected.
    pub selectors: Selectors,
}

impl DimmSlotsState {
    /// The devices in the slots.
    pub fn dimms(&self) -> impl Iterator<Item = &Dimm> {
        self.slots.iter().filter_map(|slot| Some(&slot.occupant.as_ref()?.dimm))
    }
}

/// One slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlotState {
    /// The device in it.
    pub occupant: Option<OccupantState>,
    /// What the guest owes it.
    pub owed: Owed,
}

/// A device in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OccupantState {
    /// What it was asked to be.
    pub dimm: Dimm,
    /// The first address that it takes of the window.
    pub start: u64,
    /// The first so many of its ranges have host memory.
    pub backed: usize,
    /// How far the guest is with it.
    pub phase: Phase,
    /// Whether the guest sees it.
    pub sight: Sight,
    /// How much longer its ejection is delayed, in milliseconds, if it is.
    pub delayed_ms: Option<u64>,
    /// How its latest change ended.
    pub last: Option<Last>,
}

impl DimmSlots {
    /// Their state.
    pub fn state(&self) -> DimmSlotsState {
        let slot = |slot: &Slot| SlotState {
            occupant: slot.occupant.as_ref().map(OccupantState::of),
            owed: slot.owed.clone(),
        };
        DimmSlotsState {
            slots: self.slots.iter().map(slot).collect(),
            notifications: self.notifications.iter().copied().collect(),
            bus_checks: self.bus_checks.clone(),
            ejecting: self.ejecting,
            log: self.log.clone(),
            selectors: self.selectors,
        }
    }

    /// Goes on from `state`. The [`Ged`](crate::ged::Ged) has a state of its own.
    ///
    /// # Errors
    /// [`StateError`] when no such slots can be in that state; nothing has changed then.
    pub fn restore(&mut self, state: &DimmSlotsState) -> Result<(), StateError> {
        let count = self.slots.len();
        StateError::unless(state.slots.len() == count, || {
            format!("there are {count} DIMM slots, and not {}", state.slots.len())
        })?;
        let is_slot = |slot: u16| usize::from(slot) < count;
        let is_occupied =
            |slot: u16| state.slots.get(usize::from(slot)).is_some_and(|slot| slot.occupant.is_some());
        let about = |(slot, _): &(u16, u32)| is_slot(*slot) || *slot == CONTAINER;
        let right = state.notifications.iter().all(about)
            && state.ejecting.is_none_or(is_slot)
            && state.bus_checks.slots().all(is_occupied);
        StateError::unless(right, || "a DIMM slot is named that is not there, or empty".to_owned())?;
        let mut books = Books { window: self.window.emptied(), ids: HashMap::new() };
        let numbered = (0_u16..).zip(&state.slots);
        let slots = numbered.clone().map(|(number, slot)| {
            let occupant = slot.occupant.as_ref().map(|state| books.occupant(number, state)).transpose()?;
            Ok(Slot { occupant, owed: slot.owed.clone() })
        });
        self.slots = slots.collect::<Result<_, StateError>>()?;
        (self.window, self.ids) = (books.window, books.ids);
        let hidden = |(number, slot): (u16, &SlotState)| {
            let sight = slot.occupant.as_ref()?.sight;
            (sight == Sight::Hidden(Notify::None)).then_some(number)
        };
        self.unannounced = numbered.clone().filter_map(hidden).collect();
        self.free = numbered
            .filter(|(_, slot)| slot.occupant.is_none())
            .map(|(number, _)| number)
            .collect::<BTreeSet<_>>();
        self.notifications = state.notifications.iter().copied().collect();
        (self.bus_checks, self.ejecting) = (state.bus_checks.clone(), state.ejecting);
        (self.log, self.selectors) = (state.log.clone(), state.selectors);
        for OccupantState { dimm, delayed_ms, .. } in
            state.slots.iter().filter_map(|slot| slot.occupant.as_ref())
        {
            if let Some(left) = delayed_ms {
                self.outside.alarm.after(alarm::delay(*left), &dimm.id, Purpose::Delay);
            }
        }
        Ok(())
    }
}

/// What is given away while a state is looked at.
struct Books {
    window: Window,
    ids: HashMap<String, u16>,
}

impl Books {
    fn occupant(&mut self, slot: u16, state: &OccupantState) -> Result<Occupant, StateError> {
        let dimm = state.dimm.clone();
        let complain = |what: &str| StateError(format!("DIMM {:?} in slot {slot}: {what}", state.dimm.id));
        dimm.check().map_err(|error| complain(&error.to_string()))?;
        let at = Placement { start: Some(state.start), align: None };
        let span = self
            .window
            .find(dimm.span(), dimm.size(), at)
            .ok_or_else(|| complain("its place is not free"))?;
        if self.ids.insert(dimm.id.clone(), slot).is_some() {
            return Err(complain("another one has its name"));
        }
        self.window.take(span);
        let mut occupant =
            Occupant::new(dimm, GuestRange::new(state.start, span.size), state.phase, state.sight);
        if !occupant.set_backed(state.backed) {
            return Err(complain("it has not that many ranges"));
        }
        occupant.delayed = state.delayed_ms.map(|left| Instant::now() + alarm::delay(left));
        occupant.last = state.last.clone();
        Ok(occupant)
    }
}

impl OccupantState {
    fn of(occupant: &Occupant) -> Self {
        let left = |due: Instant| due.saturating_duration_since(Instant::now()).as_millis();
        Self {
            dimm: occupant.dimm.clone(),
            start: occupant.span.start,
            backed: occupant.backed(),
            phase: occupant.phase,
            sight: occupant.sight,
            delayed_ms: occupant.delayed.map(|due| u64::try_from(left(due)).unwrap_or(u64::MAX)),
            last: occupant.last.clone(),
        }
    }
}
