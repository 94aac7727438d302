//! Where a memory device, or a window for them, is to lie: an address, an alignment, or neither of them.

use serde::{Deserialize, Serialize};

use crate::units::{Bytes, GIB, MIB};

/// The largest memory block that Linux has on x86, 2 GiB (`probe_memory_block_size`, arch/x86/mm/init_64.c).
pub const LARGEST_BLOCK: u64 = 2 * GIB;
/// The smallest one, a memory section.
pub const SMALLEST_BLOCK: u64 = 128 * MIB;

/// What is asked for; the machine chooses what is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// First guest-physical address.
    pub start: Option<u64>,
    /// A power of two in bytes of which the first address is a multiple.
    pub align: Option<u64>,
}

/// A placement that is never right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// The alignment is no power of two, or a smaller one than there can be.
    #[error("align: {align} is not a power of two of at least {least}", align = Bytes(*.align), least = Bytes(*.least))]
    Align {
        /// What was asked for, in bytes.
        align: u64,
        /// The least that can be.
        least: u64,
    },
    /// The address is not aligned.
    #[error("start: {start:#x} is not a multiple of {unit}", unit = Bytes(*.unit))]
    Start {
        /// The address.
        start: u64,
        /// What it is to be a multiple of.
        unit: u64,
    },
}

impl Placement {
    /// Whether it makes sense for something whose addresses are multiples of `unit`, a power of two.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, unit: u64) -> Result<(), PlacementError> {
        match (self.align, self.start) {
            (Some(align), _) if !align.is_power_of_two() || align < unit => {
                Err(PlacementError::Align { align, least: unit })
            }
            (align, Some(start)) if !start.is_multiple_of(align.unwrap_or(unit)) => {
                Err(PlacementError::Start { start, unit: align.unwrap_or(unit) })
            }
            _ => Ok(()),
        }
    }
}

/// How devices in a window are aligned that do not say it themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alignment {
    /// To 1 GiB, or to 128 MiB when they are smaller than that: right for blocks of 128 MiB.
    Gibibyte,
    /// To the largest power of two up to 2 GiB that divides their size, so that they are made of whole memory blocks
    /// whatever size these have: right where RAM ends at 64 GiB or above.
    Natural,
    /// To this power of two in bytes.
    Fixed(u64),
}

impl Alignment {
    /// The alignment of a device of `size` bytes.
    pub const fn of(self, size: u64) -> u64 {
        match self {
            Self::Gibibyte if size < GIB => SMALLEST_BLOCK,
            Self::Gibibyte => GIB,
            Self::Natural => {
                let natural = if size == 0 { LARGEST_BLOCK } else { 1 << size.trailing_zeros() };
                if natural > LARGEST_BLOCK {
                    LARGEST_BLOCK
                } else if natural < SMALLEST_BLOCK {
                    SMALLEST_BLOCK
                } else {
                    natural
                }
            }
            Self::Fixed(align) => align,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong = |start, align| Placement { start, align }.check(128 * MIB).unwrap_err().to_string();
        assert_eq!(wrong(None, Some(3 * GIB)), "align: 3 GiB is not a power of two of at least 128 MiB");
        assert_eq!(wrong(None, Some(64 * MIB)), "align: 64 MiB is not a power of two of at least 128 MiB");
        assert_eq!(wrong(Some(64 * MIB), None), "start: 0x4000000 is not a multiple of 128 MiB");
        assert_eq!(wrong(Some(5 * GIB), Some(2 * GIB)), "start: 0x140000000 is not a multiple of 2 GiB");
        for (start, align) in [(None, None), (Some(6 * GIB), Some(2 * GIB)), (Some(128 * MIB), None)] {
            assert_eq!(Placement { start, align }.check(128 * MIB), Ok(()));
        }
    }

    #[test]
    fn a_device_of_whole_blocks_is_aligned_to_them_whatever_their_size() {
        for block in [128 * MIB, 256 * MIB, 512 * MIB, GIB, 2 * GIB] {
            for size in (1..40).map(|count| count * block) {
                assert!(Alignment::Natural.of(size).is_multiple_of(block), "{size:#x} on {block:#x}");
            }
        }
        assert_eq!(Alignment::Natural.of(192 * MIB), 128 * MIB, "no block is smaller");
        let sizes = [128 * MIB, GIB - MIB, GIB, 8 * GIB];
        assert_eq!(sizes.map(|size| Alignment::Gibibyte.of(size)), [128 * MIB, 128 * MIB, GIB, GIB]);
    }
}
