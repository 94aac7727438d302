//! Memory that the guest has and does not need: what is behind it goes back to the host, and it stays plugged.

use dimmer_devices::bus::lock;
use dimmer_devices::memory::{Afterwards, GuestRange, HostError};

use super::area::Keeping;
use super::{Ram, host_error};

impl Ram {
    /// Gives back what is behind `ranges`, as far as there is memory. The lock is held meanwhile, so that nothing of it is unplugged.
    pub(super) fn give_up(&self, ranges: &[GuestRange], afterwards: Afterwards) -> Result<u64, HostError> {
        let state = lock(&self.state);
        let mut given = 0;
        for range in ranges {
            for slot in state.slots.meeting(*range) {
                let start = range.start.max(slot.range.start);
                let both = GuestRange::new(start, range.end().min(slot.range.end()) - start);
                let area = self.area(both)?;
                if area.purpose.keeping() != Keeping::Ram {
                    continue;
                }
                let bound = area.bound(self.bindings.of(&slot.owner, both));
                // It may read as something else from now on, which no log of KVM's says.
                area.pages.mark(&area.part(both));
                given += area
                    .mapping
                    .release(&area.part(both), &bound, afterwards)
                    .map_err(|error| host_error(&error))?;
            }
        }
        Ok(given)
    }
}
