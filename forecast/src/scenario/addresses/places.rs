//! Places for virtio-mem devices that come while the guest runs, and who is there.

use std::ops::Range;

use dimmer_oracle::virtio_mem::DeviceSpec;
use dimmer_plan::memory::GuestRange;
use dimmer_plan::room::{NewVirtioMem, Room, TURNS, Taken};

use super::Addresses;

/// A place.
#[derive(Debug, Clone)]
pub(super) struct Place {
    room: Room,
    device: Option<(String, DeviceSpec)>,
    /// How many devices have come since the guest booted.
    turn: u8,
}

impl Place {
    pub(super) const fn free(room: Room) -> Self {
        Self { room, device: None, turn: 0 }
    }

    /// Its addresses.
    pub(super) const fn bytes(&self) -> Range<u64> {
        let GuestRange { start, size } = self.room.region;
        start..start + size
    }

    fn is_of(&self, id: &str) -> bool {
        self.device.as_ref().is_some_and(|(other, _)| other == id)
    }
}

impl Addresses {
    /// All virtio-mem devices with their names, in the order in which a guest that boots finds them: those that are there
    /// from the beginning, and then those that are in places, which are behind them in the DSDT.
    pub fn virtio_mem_devices(&self) -> Vec<(String, DeviceSpec)> {
        let first = self.virtio_mem.iter().map(|(id, spec, _)| (id.clone(), spec.clone()));
        first.chain(self.places.iter().filter_map(|place| place.device.clone())).collect()
    }

    /// Gives a device the first place that is free and fits.
    ///
    /// # Errors
    /// What the machine would say.
    pub fn add(&mut self, new: &NewVirtioMem) -> Result<DeviceSpec, String> {
        if let Some(node) = new.node {
            self.machine.check_node(node).map_err(|bad| bad.to_string())?;
        }
        self.check_name(&new.id)?;
        let fits = |place: &&mut Place| place.device.is_none() && place.turn < TURNS && place.room.suits(new);
        let place = self.places.iter_mut().find(fits);
        let place = place.ok_or("no place is free that fits; a machine has places by `present=off`")?;
        let Taken { region, block_size } = place.room.take(new).map_err(|error| error.to_string())?;
        let node = place.room.node.into();
        let spec = DeviceSpec { region: region.start..region.end(), block_size, node };
        place.turn += 1;
        place.device = Some((new.id.clone(), spec.clone()));
        Ok(spec)
    }

    /// The place of the device `id` is free again; whether it was in one.
    pub fn remove(&mut self, id: &str) -> bool {
        let place = self.places.iter_mut().find(|place| place.is_of(id));
        place.and_then(|place| place.device.take()).is_some()
    }

    /// Whether there are any.
    pub fn has_places(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether the device `id` is in a place.
    pub fn is_in_a_place(&self, id: &str) -> bool {
        self.places.iter().any(|place| place.is_of(id))
    }

    /// The machine was reset: who is there is the first one of the place.
    pub fn reset_places(&mut self) {
        for place in &mut self.places {
            place.turn = place.device.is_some().into();
        }
    }

    /// Whether the device `id`, if it is in a place, takes drivers that may touch unplugged memory.
    pub(super) fn is_legacy_in_its_place(&self, id: &str) -> bool {
        self.places.iter().any(|place| place.is_of(id) && place.room.legacy)
    }
}
