//! Places for virtio-mem devices that come while the guest runs: what there is room for.

pub use dimmer_acpi::places::TURNS;

use crate::memory::GuestRange;
use crate::placement::SMALLEST_BLOCK;
use crate::units::Bytes;

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

/// What a device takes of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its addresses, from the place's first one on.
    pub region: GuestRange,
    /// Its block size in bytes.
    pub block_size: u64,
}

/// Why a device cannot be in a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// A size that is no number of memory blocks.
    #[error("size: {size} must be a multiple of {unit}, and not 0", size = Bytes(*.size), unit = Bytes(*.unit))]
    Size {
        /// The value.
        size: u64,
        /// What it is to be a multiple of.
        unit: u64,
    },
    /// A block size that the place's host memory cannot have.
    #[error("block_size: {size} must be {least} to {most}", size = Bytes(*.size), least = Bytes(*.least), most = Bytes(*.most))]
    BlockSize {
        /// The value.
        size: u64,
        /// The place's own.
        least: u64,
        /// The largest one.
        most: u64,
    },
}

/// What it needs, in words.
impl std::fmt::Display for NewVirtioMem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.size {
            None => f.write_str("a device")?,
            Some(size) => Bytes(size).fmt(f)?,
        }
        self.node.map_or(Ok(()), |node| write!(f, " in node {node}"))
    }
}

impl Room {
    /// Whether it is large enough, and in the node that was asked for.
    pub fn suits(&self, new: &NewVirtioMem) -> bool {
        new.size.is_none_or(|size| size <= self.region.size)
            && new.node.is_none_or(|node| node == u32::from(self.node))
    }

    /// What the device takes that was asked for.
    ///
    /// # Errors
    /// [`RoomError`].
    pub fn take(&self, new: &NewVirtioMem) -> Result<Taken, RoomError> {
        let (least, most) = (self.block_size, self.max_block_size);
        let block_size = new.block_size.unwrap_or(least);
        if !(least..=most).contains(&block_size) {
            return Err(RoomError::BlockSize { size: block_size, least, most });
        }
        let (size, unit) = (new.size.unwrap_or(self.region.size), SMALLEST_BLOCK.max(block_size));
        if size == 0 || !size.is_multiple_of(unit) {
            return Err(RoomError::Size { size, unit });
        }
        Ok(Taken { region: GuestRange::new(self.region.start, size), block_size })
    }
}
