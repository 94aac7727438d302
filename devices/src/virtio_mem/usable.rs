//! How much of its region a driver may use for a requested size.
//!
//! Linux uses the region in units: memory blocks, or device blocks where these are larger. What lies
//! below the first and behind the last boundary of units in the usable region it leaves alone, and
//! when it has no unit left, it stops until it is asked again (`virtio_mem_refresh_config` and
//! `virtio_mem_bbm_prepare_next_bb` in `drivers/virtio/virtio_mem.c`). How large the guest's memory
//! blocks are is not for the device to know, so it reckons with the largest.

use crate::memory::GuestRange;

/// The largest memory block of Linux on x86-64 (`MAX_BLOCK_SIZE` in `arch/x86/mm/init_64.c`).
const LARGEST_MEMORY_BLOCK: u64 = 2 << 30;
/// More than was requested, so that the driver can pass over memory that it cannot use.
const SLACK: u64 = 256 << 20;

/// Bytes of `region`, from its start, that are enough for `requested` bytes whatever the units of the
/// guest are: a multiple of the block size. All of the region when it ends earlier.
pub(super) fn usable_size(region: GuestRange, block_size: u64, requested: u64) -> u64 {
    if requested == 0 {
        return 0;
    }
    let unit = block_size.max(LARGEST_MEMORY_BLOCK);
    let enough = || {
        let first = region.start.checked_next_multiple_of(unit)?;
        let size = requested.checked_add(SLACK)?.checked_next_multiple_of(unit)?;
        Some(first.checked_add(size)? - region.start)
    };
    enough().unwrap_or(u64::MAX).min(region.size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    #[test]
    fn it_ends_with_a_unit_of_the_guest_or_with_the_region() {
        let region = GuestRange::new(7 * GIB, 20 * GIB);
        for (block, requested, usable) in [
            (2 * MIB, 0, 0),
            (2 * MIB, 2 * MIB, 3 * GIB),
            (2 * MIB, GIB + 768 * MIB, 3 * GIB),
            (2 * MIB, GIB + 770 * MIB, 5 * GIB),
            (GIB, 4 * GIB, 7 * GIB),
            (2 * MIB, 17 * GIB, 19 * GIB),
            (2 * MIB, 19 * GIB, 20 * GIB),
        ] {
            assert_eq!(usable_size(region, block, requested), usable, "{block:#x} {requested:#x}");
        }
        let last = GuestRange::new(0u64.wrapping_sub(8 * GIB), 8 * GIB - 4 * MIB);
        assert_eq!(usable_size(last, 4 * MIB, 7 * GIB), last.size);
    }

    proptest! {
        /// What Linux finds in the usable region of a region that does not end too early.
        #[test]
        fn the_requested_size_can_be_reached_with_every_memory_block_size(
            start in 4_u64..2000, block in 20_u32..=32, memory_block in 27_u32..=31, blocks in 1_u64..5000,
        ) {
            let (block, memory_block) = (1_u64 << block, 1_u64 << memory_block);
            let start = (start * GIB).next_multiple_of(block);
            let unit = block.max(memory_block);
            let requested = blocks * block;
            let usable = usable_size(GuestRange::new(start, u64::MAX / 4 / block * block), block, requested);
            prop_assert!(usable.is_multiple_of(block));
            let (first, last) = (start.div_ceil(unit), (start + usable) / unit);
            prop_assert!((last - first) * unit >= requested, "{first} {last}");
        }
    }
}
