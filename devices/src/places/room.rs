//! What there is room for in a place, before anything of a machine is looked at.

use super::PlaceError;
use crate::memory::GuestRange;
use crate::placement::SMALLEST_BLOCK;
use crate::units::Bytes;
use crate::virtio_mem::VirtioMemConfig;

/// What a place can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The place's name.
    pub id: String,
    /// Its address space.
    pub region: GuestRange,
    /// Its proximity domain.
    pub node: u16,
    /// Block size in bytes of a device that does not say it; the smallest one.
    pub block_size: u64,
    /// The largest one.
    pub max_block_size: u64,
    /// Whether its devices take drivers that may touch unplugged memory.
    pub legacy: bool,
}

/// A device that is to come to a place; sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewVirtioMem {
    /// Its name.
    pub id: String,
    /// Its size, or all of the place.
    pub size: Option<u64>,
    /// Its block size, or the place's.
    pub block_size: Option<u64>,
    /// What the driver is asked for at first.
    pub requested_size: u64,
    /// Its proximity domain, or that of any place.
    pub node: Option<u32>,
}

impl NewVirtioMem {
    /// What it needs, in words.
    pub(super) fn words(&self) -> String {
        let size = self.size.map_or_else(|| "a device".to_owned(), |size| Bytes(size).to_string());
        self.node.map_or(size.clone(), |node| format!("{size} in node {node}"))
    }
}

impl Room {
    /// Whether it is large enough, and in the node that was asked for.
    pub fn suits(&self, new: &NewVirtioMem) -> bool {
        new.size.is_none_or(|size| size <= self.region.size)
            && new.node.is_none_or(|node| node == u32::from(self.node))
    }

    /// The device that comes of what was asked for: from the first address on.
    ///
    /// # Errors
    /// [`PlaceError::Size`] and [`PlaceError::BlockSize`].
    pub fn device(&self, new: &NewVirtioMem) -> Result<VirtioMemConfig, PlaceError> {
        let (least, most) = (self.block_size, self.max_block_size);
        let block_size = new.block_size.unwrap_or(least);
        if !(least..=most).contains(&block_size) {
            return Err(PlaceError::BlockSize { size: block_size, least, most });
        }
        let (size, unit) = (new.size.unwrap_or(self.region.size), SMALLEST_BLOCK.max(block_size));
        if size == 0 || !size.is_multiple_of(unit) {
            return Err(PlaceError::Size { size, unit });
        }
        Ok(VirtioMemConfig {
            id: new.id.clone(),
            region: GuestRange::new(self.region.start, size),
            block_size,
            node: self.node,
            requested_size: new.requested_size,
            legacy: self.legacy,
        })
    }
}
