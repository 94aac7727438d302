//! What a virtio-mem device is made of, and which values are right.

use crate::memory::GuestRange;
use crate::units::Bytes;

/// The smallest device block; the specification names none, Linux needs a page.
const MIN_BLOCK_SIZE: u64 = 1 << 20;

/// A virtio-mem device to be made. Sizes are in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtioMemConfig {
    /// Its name.
    pub id: String,
    /// Its addresses; start and size are multiples of the block size.
    pub region: GuestRange,
    /// Size of a block, a power of two of at least 1 MiB.
    pub block_size: u64,
    /// Its proximity domain.
    pub node: u16,
    /// What the driver is asked for at first; a multiple of the block size.
    pub requested_size: u64,
    /// Whether it takes drivers that may touch unplugged memory, too.
    pub legacy: bool,
}

/// A value that is not right for a virtio-mem device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VirtioMemError {
    /// The block size is no such number.
    #[error("block_size: {} is not a power of two of at least 1 MiB", Bytes(*.0))]
    BlockSize(u64),
    /// The region is empty, out of the address space, or cuts a block.
    #[error(
        "region: {size} at {start:#x} is empty or overflows, or its start or size is not a multiple of the block size \
         ({block_size})",
        size = Bytes(*.size), block_size = Bytes(*.block_size)
    )]
    Region {
        /// First address.
        start: u64,
        /// Size in bytes.
        size: u64,
        /// Block size in bytes.
        block_size: u64,
    },
    /// The requested size cannot be reached.
    #[error(
        "requested_size: {requested} is not a multiple of the block size ({block_size}), at most the device's size \
         ({size})",
        requested = Bytes(*.requested), block_size = Bytes(*.block_size), size = Bytes(*.size)
    )]
    RequestedSize {
        /// The value.
        requested: u64,
        /// Block size in bytes.
        block_size: u64,
        /// The region's size in bytes.
        size: u64,
    },
    /// The device is to go, and has something.
    #[error(
        "it has {} plugged, and {} requested: ask for a requested_size of 0 first, and wait until nothing is plugged",
        Bytes(*.plugged), Bytes(*.requested)
    )]
    InUse {
        /// Bytes that are plugged.
        plugged: u64,
        /// Bytes that are requested.
        requested: u64,
    },
    /// The device is to go, so it gets nothing more.
    #[error("it was asked to go")]
    Leaving,
}

impl VirtioMemConfig {
    pub(super) fn check(&self) -> Result<(), VirtioMemError> {
        let Self { region, block_size, requested_size, .. } = *self;
        if !block_size.is_power_of_two() || block_size < MIN_BLOCK_SIZE {
            return Err(VirtioMemError::BlockSize(block_size));
        }
        let GuestRange { start, size } = region;
        let aligned = start.is_multiple_of(block_size) && size.is_multiple_of(block_size);
        if size == 0 || start.checked_add(size).is_none() || !aligned {
            return Err(VirtioMemError::Region { start, size, block_size });
        }
        check_requested(requested_size, block_size, size)
    }
}

pub(super) const fn check_requested(
    requested: u64,
    block_size: u64,
    size: u64,
) -> Result<(), VirtioMemError> {
    if requested.is_multiple_of(block_size) && requested <= size {
        Ok(())
    } else {
        Err(VirtioMemError::RequestedSize { requested, block_size, size })
    }
}
