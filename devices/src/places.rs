//! Places for virtio-mem devices that come and go while the guest runs: address space, a transport and an interrupt each, and a
//! device or none.
//!
//! The guest is told with a bus check of all places and reads in [`dimmer_acpi::places`] who is there. That a device has come
//! is *done* when a driver runs it and what was requested is plugged. One that is to go has nothing plugged, is no longer present
//! for whoever looks, and goes when no driver has it: until then the driver finds it as it was, since Linux leaves a driver with
//! a device that went by itself, and only whoever unbinds it (or restarts the guest) lets it go.
//!
//! Where no device is, the transport is a placeholder, as virtio 1.2 has it (section 4.2.2): magic value and version are
//! right, the device ID is 0, as all else.
//!
//! Lock order: the set of places, a place, its device.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::bus::lock;
use crate::ged::Ged;
use crate::irq::IrqLine;
use crate::memory::{GuestRange, MemoryStatus, Outside};
use crate::units::Bytes;
use crate::virtio::mmio::VirtioMmio;
use crate::virtio::queue::Memory;
use crate::virtio_mem::{VirtioMem, VirtioMemError};

mod change;
mod registers;
mod state;
#[cfg(test)]
mod tests;

pub use dimmer_plan::room::{NewVirtioMem, Room, RoomError, TURNS};
pub use state::PlaceState;

/// A virtio-mem device on its transport.
pub type SharedVirtioMem = Arc<Mutex<VirtioMmio<VirtioMem>>>;

/// What a place is.
#[derive(Debug, Clone)]
pub struct PlaceConfig {
    /// What it can hold.
    pub room: Room,
    /// Where queues are.
    pub memory: Memory,
    /// Its interrupt.
    pub irq: Arc<dyn IrqLine>,
}

/// What can be said of a place from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceStatus {
    /// Its name.
    pub id: String,
    /// Its address space.
    pub range: GuestRange,
    /// Its proximity domain.
    pub node: u32,
    /// The device that is there.
    pub device: Option<String>,
    /// How many more devices can come here until the guest boots again.
    pub turns_left: u8,
}

impl std::fmt::Display for PlaceStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}, node {}, ", self.id, Bytes(self.range.size), self.node)?;
        match &self.device {
            Some(device) => write!(f, "taken by {device})"),
            None if self.turns_left == 0 => write!(f, "used up until the guest boots again)"),
            None => write!(f, "free)"),
        }
    }
}

/// Why a device cannot come.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// No place is free and fits.
    #[error("no place is free for {wanted}; there are {}", list(.places))]
    None {
        /// What it was to be for, in words.
        wanted: String,
        /// All places.
        places: Vec<PlaceStatus>,
    },
    /// It does not fit into the place that it would have.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// Something else about the device.
    #[error(transparent)]
    Device(#[from] VirtioMemError),
}

fn list(places: &[PlaceStatus]) -> String {
    places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// All places, with the registers that say who is there.
#[derive(Debug)]
pub struct Places {
    places: Vec<Arc<Mutex<Place>>>,
    ged: Arc<Mutex<Ged>>,
}

/// One place, as the guest reaches it through its transport.
#[derive(Debug)]
pub struct Place {
    config: PlaceConfig,
    outside: Outside,
    /// How many devices have come since the guest booted; the present one is the last of them.
    turn: u8,
    device: Option<SharedVirtioMem>,
}

impl Places {
    /// These places, all of them free, 1 to [`MAX_PLACES`](dimmer_acpi::places::MAX_PLACES).
    pub fn new(places: Vec<PlaceConfig>, ged: Arc<Mutex<Ged>>, outside: &Outside) -> Self {
        let place = |config| Place { config, outside: outside.clone(), turn: 0, device: None };
        Self { places: places.into_iter().map(place).map(Mutex::new).map(Arc::new).collect(), ged }
    }

    /// The places, each of which answers at its transport.
    pub fn all(&self) -> &[Arc<Mutex<Place>>] {
        &self.places
    }

    /// What can be said of each.
    pub fn statuses(&self) -> Vec<PlaceStatus> {
        self.places.iter().map(|place| lock(place).status()).collect()
    }

    /// The devices that are there, also those that are to go.
    pub fn devices(&self) -> Vec<SharedVirtioMem> {
        self.places.iter().filter_map(|place| lock(place).device.clone()).collect()
    }

    /// The place of the device with this name.
    fn place_of(&self, id: &str) -> Option<&Arc<Mutex<Place>>> {
        self.places.iter().find(|place| lock(place).device_status().is_some_and(|device| device.id == id))
    }
}

impl Place {
    fn status(&self) -> PlaceStatus {
        let Room { id, region, node, .. } = &self.config.room;
        PlaceStatus {
            id: id.clone(),
            range: *region,
            node: (*node).into(),
            device: self.device_status().map(|device| device.id),
            turns_left: TURNS - self.turn,
        }
    }

    fn device_status(&self) -> Option<MemoryStatus> {
        self.device.as_ref().map(|device| lock(device).status())
    }
}
