//! The map of guest memory that devices read and write: regions, of which a change copies only a few.
//!
//! A map never changes. A change makes another map, which shares with the first all but the way to what changed: its cost
//! is the logarithm of the number of regions, of which a guest can make tens of thousands. So is that of dropping a map
//! when another one is there.

use std::sync::Arc;

use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap};

use crate::written::Written;
use tree::Tree;

mod tree;

/// A region of the map. Whatever is written there is marked, by its type.
pub type Region = GuestRegionMmap<Written>;

/// The regions of guest memory, ascending and apart.
#[derive(Debug, Clone, Default)]
pub struct MemoryMap {
    regions: Tree<Arc<Region>>,
}

impl MemoryMap {
    /// A map without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// This map without the regions that start at `gone`, and with `new`; `None` if one of the former is not there, or one
    /// of the latter would overlap another.
    #[must_use]
    pub fn changed(&self, gone: &[u64], new: impl IntoIterator<Item = Arc<Region>>) -> Option<Self> {
        let regions = gone.iter().try_fold(self.regions.clone(), |regions, start| regions.without(*start))?;
        let mut map = Self { regions };
        for region in new {
            let start = region.start_addr().raw_value();
            let below = map.regions.at_or_below(region.last_addr().raw_value());
            if below.is_some_and(|below| below.last_addr() >= region.start_addr()) {
                return None;
            }
            map = Self { regions: map.regions.with(start, region) };
        }
        Some(map)
    }
}

impl GuestMemoryBackend for MemoryMap {
    type R = Region;

    fn find_region(&self, address: GuestAddress) -> Option<&Region> {
        let region = self.regions.at_or_below(address.raw_value())?;
        (address <= region.last_addr()).then_some(region)
    }

    fn iter(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests;
