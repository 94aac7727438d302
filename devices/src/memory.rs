//! What every memory device is: a state that can be shown, and host memory behind it.
//!
//! [`HostMemory`] is the devices' only door to the host: the VMM implements it with mappings and
//! KVM slots, the tests with a recording fake.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::alarm::Alarm;
use crate::fault::Faults;

pub use dimmer_plan::memory::{GuestRange, Kind, Last, MemoryStatus, Outcome, State};

/// A step on the host failed; the text says which and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);

/// Host memory behind the windows of memory devices, and behind boot RAM.
///
/// Every call but [`release`](Self::release) either happens as a whole or leaves everything as it was.
pub trait HostMemory: Send + Sync + std::fmt::Debug {
    /// Lets the guest reach `range`, which reads as zeroes. Nothing of `range` is backed yet;
    /// `owner` is the id of the memory device that it is for.
    fn back(&self, owner: &str, range: GuestRange) -> Result<(), HostError>;

    /// Takes `range` away from the guest and gives its memory back to the host. All of `range` is
    /// backed for `owner`; it need not be what one call of [`back`](Self::back) was about.
    fn unback(&self, owner: &str, range: GuestRange) -> Result<(), HostError>;

    /// Gives back what is behind `ranges`, whole pages in any order, as far as they are backed, and lets the guest reach them as
    /// before: it gets other memory there when it touches them. Returns how many bytes that was about; none where
    /// memory is of a kind that cannot be had again for sure. What was given back before an error stays so.
    fn release(&self, ranges: &[GuestRange], afterwards: Afterwards) -> Result<u64, HostError>;
}

/// What memory may read as when it is touched again after it was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// As anything that the guest has had there.
    Anything,
    /// As zeroes, or as it did.
    ZeroesOrSame,
}

/// What a memory device reaches outside itself.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Host memory.
    pub host: Arc<dyn HostMemory>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// What is to go wrong.
    pub faults: Arc<Faults>,
    /// What calls the device back later.
    pub alarm: Arc<dyn Alarm>,
}

/// What a memory device has plugged by its own books, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Its id.
    pub id: String,
    /// The guest-physical ranges that host memory is to be behind: ascending, apart from each
    /// other.
    pub ranges: Vec<GuestRange>,
}

/// `ranges`, which are ascending and apart, with neighbours made one.
pub(crate) fn joined(ranges: &[GuestRange]) -> Vec<GuestRange> {
    let mut all: Vec<GuestRange> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if last.end() == range.start => last.size += range.size,
            _ => all.push(*range),
        }
    }
    all
}

/// Backs all of `ranges` or, when one fails, none of them.
pub(crate) fn back_all(host: &dyn HostMemory, owner: &str, ranges: &[GuestRange]) -> Result<(), HostError> {
    for (index, range) in ranges.iter().enumerate() {
        if let Err(error) = host.back(owner, *range) {
            for range in &ranges[..index] {
                if let Err(error) = host.unback(owner, *range) {
                    tracing::error!("{range:x?} stays backed although nothing uses it: {error}");
                }
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Something a memory device tells the world; the VMM stamps it and streams it to `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum MemoryEvent {
    /// A change was accepted and the guest was asked.
    Accepted {
        /// The state right after.
        device: MemoryStatus,
    },
    /// The plugged size changed on the way.
    Progress {
        /// The state right after.
        device: MemoryStatus,
    },
    /// A change ended; `device.last` says how.
    Finished {
        /// The state right after.
        device: MemoryStatus,
    },
    /// The guest reported `_OST` (ACPI 6.5, section 6.3.5).
    Ost {
        /// The DIMM's id; `None` for an empty slot and for the container.
        id: Option<String>,
        /// The slot; `None` for the container of all slots.
        slot: Option<u16>,
        /// `_OST` argument 0.
        source: u32,
        /// `_OST` argument 1.
        status: u32,
    },
    /// The guest let a device go, which is no more.
    Removed {
        /// The state it had last.
        device: MemoryStatus,
    },
}

/// Where devices put their events; must not block and must not call back into a device.
pub trait EventSink: Send + Sync + std::fmt::Debug {
    /// Takes one event.
    fn memory(&self, event: MemoryEvent);
}
