//! What is saved of the places.

use serde::{Deserialize, Serialize};

use super::{NewVirtioMem, Place, Places};
use crate::bus::lock;
use crate::state::StateError;
use crate::virtio::mmio::MmioState;
use crate::virtio_mem::VirtioMemState;

/// One place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceState {
    /// How many devices have come since the guest booted.
    pub turn: u8,
    /// The device that is there.
    pub device: Option<OccupantState>,
}

/// A device in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OccupantState {
    /// Its name.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its block size in bytes.
    pub block_size: u64,
    /// Its transport, and itself.
    pub state: MmioState<VirtioMemState>,
}

impl Places {
    /// Their state.
    pub fn state(&self) -> Vec<PlaceState> {
        self.places.iter().map(|place| lock(place).state()).collect()
    }

    /// Goes on from `state`. The memory that devices hold is there.
    ///
    /// # Errors
    /// [`StateError`] when these places cannot be in that state.
    pub fn restore(&self, state: &[PlaceState]) -> Result<(), StateError> {
        StateError::unless(state.len() == self.places.len(), || {
            format!("there are {} places for virtio-mem devices, and not {}", self.places.len(), state.len())
        })?;
        self.places.iter().zip(state).try_for_each(|(place, state)| lock(place).restore(state))
    }
}

impl Place {
    fn state(&self) -> PlaceState {
        let device = self.device.as_ref().map(|device| {
            let device = lock(device);
            let status = device.status();
            let size = status.ranges.iter().map(|range| range.size).sum();
            OccupantState { id: status.id, size, block_size: status.block_size, state: device.state() }
        });
        PlaceState { turn: self.turn, device }
    }

    fn restore(&mut self, PlaceState { turn, device }: &PlaceState) -> Result<(), StateError> {
        let least = u8::from(device.is_some());
        let right = (least..=dimmer_acpi::places::TURNS).contains(turn);
        let room = &self.config.room;
        let complain = |what: String| StateError(format!("place {}: {what}", room.id));
        StateError::unless(right, || complain(format!("{turn} devices have not come to it")).0)?;
        let device = match device {
            None => None,
            Some(OccupantState { id, size, block_size, state }) => {
                let (size, block_size) = (Some(*size), Some(*block_size));
                let new = NewVirtioMem { id: id.clone(), size, block_size, ..NewVirtioMem::default() };
                StateError::unless(room.suits(&new), || complain(format!("{id} does not fit")).0)?;
                let config = self.config.device(&new).map_err(|error| complain(error.to_string()))?;
                let device = self.put(config).map_err(|error| complain(error.to_string()))?;
                lock(&device).restore(state)?;
                lock(&device).go_on();
                Some(device)
            }
        };
        (self.turn, self.device) = (*turn, device);
        Ok(())
    }
}
