//! The host's side: devices come and go, and with a system reset others may go.

use std::sync::{Arc, Mutex};

use dimmer_acpi::ged::PLACES;

use dimmer_plan::room::Taken;

use super::{NewVirtioMem, Place, PlaceConfig, PlaceError, Places, Room, RoomError, SharedVirtioMem};
use crate::bus::lock;
use crate::memory::{MemoryEvent, MemoryStatus};
use crate::virtio::mmio::VirtioMmio;
use crate::virtio_mem::{VirtioMem, VirtioMemConfig, VirtioMemError};

impl Places {
    /// Puts a device into the first place that is free and fits, and tells the guest.
    ///
    /// # Errors
    /// [`PlaceError`]; nothing has changed then.
    pub fn add(&self, new: &NewVirtioMem) -> Result<MemoryStatus, PlaceError> {
        let mut fitting = self.places.iter().map(|place| lock(place)).filter(|place| place.suits(new));
        let Some(mut place) = fitting.next() else {
            drop(fitting);
            return Err(PlaceError::None { wanted: new.to_string(), places: self.statuses() });
        };
        let config = place.config.device(new)?;
        let device = place.put(config)?;
        place.turn += 1;
        let status = lock(&device).status();
        place.device = Some(device);
        place.outside.events.memory(MemoryEvent::Accepted { device: status.clone() });
        lock(&self.ged).raise(PLACES);
        Ok(status)
    }

    /// Asks the guest to let the device go; it has gone at once when no driver has it.
    ///
    /// # Errors
    /// [`VirtioMemError::InUse`]; nothing has changed then. None when there is no such device.
    pub fn remove(&self, id: &str) -> Option<Result<MemoryStatus, VirtioMemError>> {
        let mut place = lock(self.place_of(id)?);
        let device = place.device.clone()?;
        let left = lock(&device).leave();
        if left.is_ok() {
            place.let_go();
            lock(&self.ged).raise(PLACES);
        }
        Some(left)
    }

    /// System reset: those that are there stay, but for those that were to go. The new guest finds them in its tables. The
    /// [`Ged`](crate::ged::Ged) is to be reset before this.
    pub fn reset(&self) {
        for place in &self.places {
            let mut place = lock(place);
            if let Some(device) = place.device.clone() {
                lock(&device).system_reset();
                place.let_go();
            }
            place.turn = place.device.is_some().into();
        }
    }
}

impl PlaceConfig {
    /// The device that comes of what was asked for.
    pub(super) fn device(&self, new: &NewVirtioMem) -> Result<VirtioMemConfig, RoomError> {
        let Taken { region, block_size } = self.room.take(new)?;
        let (id, requested_size) = (new.id.clone(), new.requested_size);
        let Room { node, legacy, .. } = self.room;
        Ok(VirtioMemConfig { id, region, block_size, node, requested_size, legacy })
    }
}

impl Place {
    fn suits(&self, new: &NewVirtioMem) -> bool {
        let status = self.status();
        status.device.is_none() && status.turns_left > 0 && self.config.room.suits(new)
    }

    /// A device that comes here.
    pub(super) fn put(&self, config: VirtioMemConfig) -> Result<SharedVirtioMem, VirtioMemError> {
        let device = VirtioMem::coming(config, self.outside.clone())?;
        let PlaceConfig { memory, irq, .. } = &self.config;
        Ok(Arc::new(Mutex::new(VirtioMmio::new(device, memory.clone(), irq.clone()))))
    }

    /// Lets a device go that is to go and has no driver.
    pub(super) fn let_go(&mut self) {
        let goes = |device: &mut SharedVirtioMem| lock(device).is_free_to_go();
        if let Some(device) = self.device.take_if(goes) {
            lock(&device).gone();
        }
    }
}
