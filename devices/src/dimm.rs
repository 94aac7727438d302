//! ACPI memory devices (DIMMs): the slots of one window, and what host and guest do to them.
//!
//! The host adds a device and asks for it back; the guest reports with `_OST` and lets go with
//! `_EJ0`. A change is *accepted* when the guest was notified. It is *done* when the guest
//! reported the device as checked, or ejected it; until then it is in progress, and a report of
//! failure ends it as *refused*. Linux reports a device as checked also when it could not add the
//! memory, so "done" says that the guest looked, and only a look into the guest says more.
//!
//! `_EJ0` takes effect at once: when the register write returns, `_STA` is 0 and the host has its
//! memory back. The guest's last `_OST` comes later and changes nothing but the slot (see `slot`).
//! [Faults](crate::fault) that are set on demand are the one exception.
//!
//! What a device is asked to be and its addresses are in [`dimmer_plan::dimm`], its state machine is in
//! [`crate::hotplug`]. The host's side is in `change`, the guest's in `guest` and `registers`, notifications in
//! `announce` and `bus_check`. Nothing that the guest can cause looks at more than one slot, but for the
//! answer to a bus check, which looks at the slots that it is about.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use dimmer_acpi::hotplug::MAX_SLOTS;
use dimmer_plan::dimm::{description, window};

use crate::ged::Ged;
use crate::hotplug::{OstLog, OstReport};
use crate::memory::{GuestRange, Holding, MemoryEvent, MemoryStatus, Outside};
use crate::placement::Alignment;
use crate::warning::Said;
use occupant::Occupant;
use slot::Slot;

mod announce;
mod bus_check;
mod change;
mod error;
mod guest;
mod leave;
mod occupant;
mod registers;
mod slot;
mod state;
#[cfg(test)]
mod tests;

pub use bus_check::BusChecks;
pub use description::{Dimm, DimmRange, Notify, ShapeError};
pub use error::DimmError;
pub use occupant::Sight;
pub use registers::Selectors;
pub use slot::Owed;
pub use state::{DimmSlotsState, OccupantState, SlotState};
pub use window::{GRANULE, Window};

/// The slots of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DimmSlotsConfig {
    /// Where the devices' memory goes.
    pub window: GuestRange,
    /// How devices are aligned that do not say it themselves.
    pub alignment: Alignment,
    /// Number of slots, 1 to [`MAX_SLOTS`].
    pub slots: u16,
}

/// All slots, with the register block that the guest sees of them.
///
/// Every method runs with the lock of the whole set held, takes the [`Ged`]'s lock inside it, and
/// calls the host inside it.
#[derive(Debug)]
pub struct DimmSlots {
    slots: Vec<Slot>,
    /// The slots without a device.
    free: BTreeSet<u16>,
    window: Window,
    /// Name to slot.
    ids: HashMap<String, u16>,
    /// The slots whose device waits unseen for the bus check of another one.
    unannounced: BTreeSet<u16>,
    /// Slot or [`CONTAINER`](dimmer_acpi::hotplug::CONTAINER), and `Notify` value, oldest first; each
    /// at most once.
    notifications: VecDeque<(u16, u32)>,
    bus_checks: BusChecks,
    /// The slot whose ejection the guest has begun and not ended.
    ejecting: Option<u16>,
    log: OstLog,
    selectors: Selectors,
    ged: Arc<Mutex<Ged>>,
    outside: Outside,
    stuck: Said,
}

impl DimmSlots {
    /// Empty slots.
    ///
    /// # Errors
    /// [`DimmError::Slots`].
    pub fn new(config: DimmSlotsConfig, ged: Arc<Mutex<Ged>>, outside: Outside) -> Result<Self, DimmError> {
        if !(1..=MAX_SLOTS).contains(&config.slots) {
            return Err(DimmError::Slots(config.slots));
        }
        Ok(Self {
            slots: std::iter::repeat_with(Slot::default).take(config.slots.into()).collect(),
            free: (0..config.slots).collect(),
            window: Window::new(config.window, config.alignment),
            ids: HashMap::new(),
            unannounced: BTreeSet::new(),
            notifications: VecDeque::new(),
            bus_checks: BusChecks::default(),
            ejecting: None,
            log: OstLog::default(),
            selectors: Selectors::default(),
            ged,
            outside,
            stuck: Said::default(),
        })
    }

    /// The device of this name.
    pub fn status(&self, id: &str) -> Option<MemoryStatus> {
        self.ids.get(id).map(|slot| self.status_in(*slot))
    }

    /// All devices, by slot.
    pub fn statuses(&self) -> Vec<MemoryStatus> {
        self.occupied().map(|(index, _)| self.status_in(index)).collect()
    }

    /// What every device has plugged, by slot; for the audit.
    pub fn holdings(&self) -> Vec<Holding> {
        self.occupied().map(|(_, occupant)| occupant.holding()).collect()
    }

    /// The latest `_OST` reports about the device of this name, which may be gone, oldest first; empty
    /// when there are none. The container's answer to a bus check is among those of each device that
    /// the bus check was about.
    pub fn ost(&self, id: &str) -> Vec<OstReport> {
        self.log.about(id)
    }

    /// The latest `_OST` reports, oldest first.
    pub fn all_ost(&self) -> Vec<OstReport> {
        self.log.all()
    }

    fn occupied(&self) -> impl Iterator<Item = (u16, &Occupant)> {
        (0_u16..).zip(&self.slots).filter_map(|(index, slot)| Some((index, slot.occupant.as_ref()?)))
    }

    fn slot(&mut self, slot: u16) -> &mut Slot {
        &mut self.slots[usize::from(slot)]
    }

    fn occupant(&mut self, slot: u16) -> &mut Occupant {
        self.slot(slot).occupant.as_mut().expect("only occupied slots are named by an id")
    }

    /// What the world sees of the device in `slot`, which is occupied.
    fn status_in(&self, slot: u16) -> MemoryStatus {
        let occupant = self.slots[usize::from(slot)].occupant.as_ref();
        let occupant = occupant.expect("only occupied slots are named by an id");
        let waits_for = if occupant.is_under_way() { self.ejecting_beside(slot) } else { None };
        MemoryStatus { waits_for, ..occupant.status(slot) }
    }

    /// The device whose ejection keeps the guest from looking at `slot`.
    fn ejecting_beside(&self, slot: u16) -> Option<String> {
        let other = self.ejecting.filter(|other| *other != slot)?;
        let occupant = self.slots[usize::from(other)].shown()?;
        Some(occupant.dimm.id.clone())
    }

    fn tell(&self, event: MemoryEvent) {
        self.outside.events.memory(event);
    }
}
