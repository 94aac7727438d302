//! virtio-mem devices that come to places while the guest runs, and go.

use dimmer_devices::bus::lock;
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::places::{NewVirtioMem, PlaceError};

use super::Machine;
use super::commands::refused_resize;
use crate::control::{Refusal, Reply};

impl Machine {
    /// No other memory device has this name.
    pub(super) fn check_name(&self, id: &str) -> Result<(), Refusal> {
        match self.wiring.memory_device(id) {
            Some(_) => Err(Refusal::Conflict(format!("id: {id:?} is the name of another memory device"))),
            None => Ok(()),
        }
    }

    /// Puts a virtio-mem device into a place.
    pub(super) fn add_virtio_mem(&self, new: &NewVirtioMem) -> Result<Reply, Refusal> {
        let Some(places) = &self.wiring.places else {
            let text = "this machine has no places for virtio-mem devices: start it with --memory-hotplug \
                        method=virtio-mem,size=S,present=off";
            return Err(Refusal::Conflict(text.to_owned()));
        };
        if let Some(node) = new.node {
            self.spec.check_node(node).map_err(|bad| Refusal::Invalid(bad.to_string()))?;
        }
        self.check_name(&new.id)?;
        let end = self.hub.follow(&new.id);
        let device = lock(places).add(new).map_err(|error| match error {
            PlaceError::Device(error) => refused_resize(&error),
            PlaceError::Room(_) => Refusal::Invalid(error.to_string()),
            PlaceError::None { .. } => Refusal::Conflict(error.to_string()),
        })?;
        // Another device may have had the name, in another node.
        self.ram.set_node(&device.id, device.node);
        Ok(Reply::Accepted { device, end })
    }

    /// Asks the guest to let the virtio-mem device `id` go, which is there.
    pub(super) fn remove_virtio_mem(&self, id: &str) -> Result<MemoryStatus, Refusal> {
        match self.wiring.places.as_ref().and_then(|places| lock(places).remove(id)) {
            Some(Ok(device)) => Ok(device),
            Some(Err(error)) => Err(Refusal::Conflict(format!("{id}: {error}"))),
            None => Err(Refusal::Conflict(format!(
                "{id:?} is a virtio-mem device, which belongs to the machine; ask for a requested_size of 0 instead"
            ))),
        }
    }
}
