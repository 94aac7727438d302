//! What KVM, the host's kernel and the published map say, for the audit.

use std::ops::Range;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::HostError;

use super::Ram;
use super::area::{Area, Purpose};
use super::kvm::Told;
use crate::audit::{AreaBooks, Books, SlotBook};
use crate::machine::mapping::maps;

impl Ram {
    /// Everybody's books at one moment.
    ///
    /// # Errors
    /// [`HostError`] when the host's kernel does not say.
    pub fn books(&self) -> Result<Books, HostError> {
        let state = lock(&self.state);
        let maps = maps::reachable().map_err(|error| HostError(format!("/proc/self/maps: {error}")))?;
        let slot = |told: &Told| SlotBook { owner: told.owner.to_string(), range: told.range };
        Ok(Books {
            slots: state.kvm.told().map(slot).collect(),
            areas: self.areas.iter().map(|area| area.books(&maps)).collect::<Result<_, _>>()?,
            prepared: self.prepared.ranges(),
            published: self.published.ranges(),
        })
    }
}

impl Area {
    fn books(&self, maps: &[Range<u64>]) -> Result<AreaBooks, HostError> {
        let ranges = |parts: Vec<_>| parts.iter().map(|part| self.range_of(part)).collect();
        let allocated = self.mapping.allocated();
        let allocated = allocated.map_err(|error| HostError(format!("file behind guest memory: {error}")))?;
        let device = match &self.purpose {
            Purpose::VirtioMem { id, .. } => Some(id.clone()),
            purpose => purpose.owner().map(str::to_owned),
        };
        Ok(AreaBooks {
            range: self.range,
            kind: self.purpose.kind(),
            device,
            mapped: ranges(self.mapping.revealed(maps)),
            allocated: ranges(allocated),
            stray_accesses: self.strays(),
        })
    }
}
