//! Host memory that is populated ahead of the moment in which a device gets it.
//!
//! To populate memory takes its time, which neither the event loop nor a vCPU has. So another thread does it, in the
//! place where the memory is to be and where nobody looks yet: KVM has no slot there, and devices no region. The step that
//! backs the range later then finds it done.

use std::sync::Mutex;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::{GuestRange, HostError};

use super::{Ram, host_error};

/// The ranges that are populated, or about to be.
#[derive(Debug, Default)]
pub(super) struct Prepared(Mutex<Vec<GuestRange>>);

impl Prepared {
    /// Takes a range out, if it is there.
    pub(super) fn take(&self, range: GuestRange) -> bool {
        let mut all = lock(&self.0);
        let place = all.iter().position(|prepared| *prepared == range);
        place.map(|place| all.swap_remove(place)).is_some()
    }

    /// All of them.
    pub(super) fn ranges(&self) -> Vec<GuestRange> {
        lock(&self.0).clone()
    }
}

impl Ram {
    /// Populates `ranges`, of which nothing is backed and which nobody else prepares, for `owner`. The caller backs all of
    /// them next, or [forgets](Self::forget_prepared) them.
    ///
    /// # Errors
    /// [`HostError`] when the host has not that much; nothing is prepared then.
    pub fn prepare(&self, owner: &str, ranges: &[GuestRange]) -> Result<(), HostError> {
        for range in ranges {
            let area = self.area(*range).inspect_err(|_| self.forget_prepared())?;
            // Noted first: the audit may look at it meanwhile.
            lock(&self.prepared.0).push(*range);
            if let Err(error) = self.reveal(area, owner, *range) {
                self.prepared.take(*range);
                self.forget_prepared();
                return Err(host_error(&error));
            }
        }
        Ok(())
    }

    /// Gives back what was prepared and not taken.
    pub fn forget_prepared(&self) {
        for range in std::mem::take(&mut *lock(&self.prepared.0)) {
            let concealed = self
                .area(range)
                .and_then(|area| area.mapping.conceal(&area.part(range)).map_err(|error| host_error(&error)));
            if let Err(error) = concealed {
                tracing::error!("memory that no device got stays in use: {error}");
            }
        }
    }
}
