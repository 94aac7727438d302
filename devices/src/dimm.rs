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
//!
//! The state machine is in `phase`, the registers in `registers`, addresses in `window`. Nothing
//! that the guest can cause looks at more than one slot.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use dimmer_acpi::ged::MEMORY;
use dimmer_acpi::hotplug::{MAX_SLOTS, NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST};

use crate::bus::lock;
use crate::ged::Ged;
use crate::memory::{
    EventSink, GuestRange, HostError, HostMemory, Last, MemoryEvent, MemoryStatus, back_all,
};
use crate::warning::Said;
use phase::{Phase, Taken};
use registers::Selectors;
use slot::{Occupant, Slot};
pub use window::GRANULE;
use window::Window;

mod guest;
mod ost;
mod phase;
mod registers;
mod slot;
#[cfg(test)]
mod tests;
mod window;

/// The slots of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DimmSlotsConfig {
    /// Where the devices' memory goes.
    pub window: GuestRange,
    /// Number of slots, 1 to [`MAX_SLOTS`].
    pub slots: u16,
}

/// A device to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimm {
    /// Its name, unique among the DIMMs.
    pub id: String,
    /// Its size in bytes, a multiple of [`GRANULE`].
    pub size: u64,
    /// Its proximity domain.
    pub node: u32,
}

/// Why a device was not added or not asked for. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum DimmError {
    /// The number of slots is out of bounds.
    #[error("slots: {0} is not between 1 and {MAX_SLOTS}")]
    Slots(u16),
    /// The size can never be right.
    #[error("size: {0} is not a multiple of 134217728 bytes (128 MiB) greater than 0")]
    Size(u64),
    /// The device is larger than the whole window.
    #[error("size: {size} bytes are more than the window for memory devices has ({window} bytes)")]
    LargerThanWindow {
        /// The device's size in bytes.
        size: u64,
        /// The window's size in bytes.
        window: u64,
    },
    /// There is a device of this name.
    #[error("id: {0:?} is the name of another memory device")]
    DuplicateId(String),
    /// There is no device of this name.
    #[error("id: there is no DIMM {0:?}")]
    UnknownId(String),
    /// Every slot is in use.
    #[error("no free slot: all {0} are in use; remove a DIMM first")]
    NoFreeSlot(usize),
    /// The window is too full or too fragmented.
    #[error("size: no {0} bytes in a row are free in the window for memory devices; remove a DIMM first")]
    NoFreeRange(u64),
    /// The host has no memory for it, or cannot take it back.
    #[error("the host could not do it")]
    Host(#[source] HostError),
}

/// All slots, with the register block that the guest sees of them.
///
/// Every method runs with the lock of the whole set held, takes the [`Ged`]'s lock inside it, and
/// calls the host inside it.
#[derive(Debug)]
pub struct DimmSlots {
    slots: Vec<Slot>,
    window: Window,
    /// Name to slot.
    ids: HashMap<String, u16>,
    /// Slot and `Notify` value, oldest first; each at most once.
    notifications: VecDeque<(u16, u32)>,
    selectors: Selectors,
    ged: Arc<Mutex<Ged>>,
    host: Arc<dyn HostMemory>,
    events: Arc<dyn EventSink>,
    stuck: Said,
}

impl DimmSlots {
    /// Empty slots.
    ///
    /// # Errors
    /// [`DimmError::Slots`].
    pub fn new(
        config: DimmSlotsConfig,
        ged: Arc<Mutex<Ged>>,
        host: Arc<dyn HostMemory>,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, DimmError> {
        if !(1..=MAX_SLOTS).contains(&config.slots) {
            return Err(DimmError::Slots(config.slots));
        }
        Ok(Self {
            slots: std::iter::repeat_with(Slot::default).take(config.slots.into()).collect(),
            window: Window::new(config.window),
            ids: HashMap::new(),
            notifications: VecDeque::new(),
            selectors: Selectors::default(),
            ged,
            host,
            events,
            stuck: Said::default(),
        })
    }

    /// Puts `dimm` into the lowest free slot at the lowest free address, and notifies the guest.
    ///
    /// Works before the guest has started, too: the guest then finds the device when it looks for
    /// devices, and its answer to the notification follows.
    ///
    /// # Errors
    /// Any [`DimmError`] but `Slots` and `UnknownId`.
    pub fn add(&mut self, dimm: Dimm) -> Result<MemoryStatus, DimmError> {
        let (slot, range) = self.place(&dimm)?;
        let ranges = vec![range];
        back_all(&*self.host, &ranges).map_err(DimmError::Host)?;
        self.window.take(&ranges);
        self.ids.insert(dimm.id.clone(), slot);
        let shown = self.slots[usize::from(slot)].is_settled();
        let occupant = Occupant::new(dimm, ranges, shown);
        let status = occupant.status(slot);
        self.slots[usize::from(slot)].occupant = Some(occupant);
        self.events.memory(MemoryEvent::Accepted { device: status.clone() });
        if shown {
            self.notify(slot, NOTIFY_DEVICE_CHECK);
        }
        Ok(status)
    }

    /// Asks the guest to let the device go; asks again when it was asked already.
    ///
    /// A device that the guest has never seen is gone when this returns.
    ///
    /// # Errors
    /// [`DimmError::UnknownId`], and [`DimmError::Host`] for a device the guest has never seen.
    pub fn remove(&mut self, id: &str) -> Result<MemoryStatus, DimmError> {
        let slot = *self.ids.get(id).ok_or_else(|| DimmError::UnknownId(id.to_owned()))?;
        let occupant = self.occupant(slot);
        if !occupant.shown {
            return self.withdraw(slot);
        }
        if occupant.phase == Phase::OFFERED {
            occupant.last = Some(Last::refused("superseded by a request to remove the device"));
            let device = occupant.status(slot);
            self.events.memory(MemoryEvent::Finished { device });
        }
        let occupant = self.occupant(slot);
        occupant.phase.leaving = true;
        let status = occupant.status(slot);
        self.events.memory(MemoryEvent::Accepted { device: status.clone() });
        self.notify(slot, NOTIFY_EJECT_REQUEST);
        Ok(status)
    }

    /// The device of this name.
    pub fn status(&self, id: &str) -> Option<MemoryStatus> {
        let slot = *self.ids.get(id)?;
        self.slots[usize::from(slot)].occupant.as_ref().map(|occupant| occupant.status(slot))
    }

    /// All devices, by slot.
    pub fn statuses(&self) -> Vec<MemoryStatus> {
        let numbered = (0_u16..).zip(&self.slots);
        numbered.filter_map(|(index, slot)| Some(slot.occupant.as_ref()?.status(index))).collect()
    }

    /// System reset: the devices stay in their slots, and the new guest finds them there.
    ///
    /// A request to remove a device ends as refused. A device that the old guest did not
    /// take, or not yet, is offered again: the new guest's answer ends that. The
    /// [`Ged`] is to be reset before this.
    pub fn reset(&mut self) {
        self.notifications.clear();
        self.selectors = Selectors::default();
        for index in (0_u16..).take(self.slots.len()) {
            let slot = &mut self.slots[usize::from(index)];
            slot.reset();
            let Some(occupant) = &mut slot.occupant else { continue };
            if std::mem::take(&mut occupant.phase.leaving) {
                self.finish(index, Last::refused("the machine was reset before the guest let the device go"));
            }
            if self.occupant(index).phase.taken != Taken::Plugged {
                self.occupant(index).phase = Phase::OFFERED;
                self.notify(index, NOTIFY_DEVICE_CHECK);
            }
        }
    }

    fn place(&self, dimm: &Dimm) -> Result<(u16, GuestRange), DimmError> {
        let size = dimm.size;
        if size == 0 || !size.is_multiple_of(GRANULE) {
            return Err(DimmError::Size(size));
        }
        if size > self.window.size() {
            return Err(DimmError::LargerThanWindow { size, window: self.window.size() });
        }
        if self.ids.contains_key(&dimm.id) {
            return Err(DimmError::DuplicateId(dimm.id.clone()));
        }
        let mut numbered = (0_u16..).zip(&self.slots);
        let free = numbered.find(|(_, slot)| slot.occupant.is_none());
        let (slot, _) = free.ok_or(DimmError::NoFreeSlot(self.slots.len()))?;
        let range = self.window.find(size).ok_or(DimmError::NoFreeRange(size))?;
        Ok((slot, range))
    }

    fn occupant(&mut self, slot: u16) -> &mut Occupant {
        self.slots[usize::from(slot)].occupant.as_mut().expect("only occupied slots are named by an id")
    }

    /// Ends the change that is under way on the device in `slot`.
    fn finish(&mut self, slot: u16, last: Last) {
        let occupant = self.occupant(slot);
        occupant.last = Some(last);
        let device = occupant.status(slot);
        self.events.memory(MemoryEvent::Finished { device });
    }

    fn notify(&mut self, slot: u16, notification: u32) {
        if self.slots[usize::from(slot)].notify(notification) {
            self.notifications.push_back((slot, notification));
        }
        lock(&self.ged).raise(MEMORY);
    }

    /// Takes back a device that the guest has never seen.
    fn withdraw(&mut self, slot: u16) -> Result<MemoryStatus, DimmError> {
        let host = self.host.clone();
        self.occupant(slot).unback(&*host).map_err(DimmError::Host)?;
        self.finish(slot, Last::refused("superseded by a request to remove the device"));
        let device = self.occupant(slot).status(slot);
        self.events.memory(MemoryEvent::Accepted { device });
        Ok(self.gone(slot))
    }

    /// Empties a slot whose memory the host has back. Returns the device's last state.
    fn gone(&mut self, slot: u16) -> MemoryStatus {
        let mut occupant = self.slots[usize::from(slot)].occupant.take().expect("the caller saw the device");
        self.ids.remove(&occupant.dimm.id);
        self.window.give_back(&occupant.ranges);
        occupant.phase = Phase { taken: Taken::Declined, leaving: false };
        occupant.last = Some(Last::done());
        let device = MemoryStatus { requested_size: 0, ..occupant.status(slot) };
        self.events.memory(MemoryEvent::Finished { device: device.clone() });
        self.events.memory(MemoryEvent::Removed { device: device.clone() });
        device
    }
}
