//! What a DIMM is asked to be: its ranges, in order, and how the guest is told of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use dimmer_acpi::hotplug::MAX_RANGES;

use super::window::GRANULE;
use crate::memory::GuestRange;
use crate::placement::{Placement, PlacementError};
use crate::units::{Bytes, MIB};

/// The unit of sizes, gaps and addresses of an unaligned device: 1 MiB.
const UNALIGNED: u64 = MIB;

/// A device to be added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimm {
    /// Its name, unique among the DIMMs.
    pub id: String,
    /// Its ranges in the order in which `_CRS` names them, 1 to
    /// [`MAX_RANGES`](dimmer_acpi::hotplug::MAX_RANGES).
    pub ranges: Vec<DimmRange>,
    /// Whether each range lies below the one before it, rather than above.
    pub descending: bool,
    /// Its proximity domain.
    pub node: u32,
    /// Whether sizes and gaps may be any multiple of 1 MiB rather than of [`GRANULE`]. Linux does not
    /// take memory that is not aligned to its memory blocks.
    pub unaligned: bool,
    /// Where its [span](Self::span) is to begin: with its lowest range, or the gap below that.
    pub placement: Placement,
}

/// One range of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DimmRange {
    /// Its size in bytes.
    pub size: u64,
    /// Bytes of address space behind it that stay free, before the device's next range: above it, or below
    /// it when ranges descend.
    #[serde(default)]
    pub gap: u64,
}

/// How the guest is told of a new device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Notify {
    /// `Notify` with "device check" on the device itself.
    #[default]
    DeviceCheck,
    /// `Notify` with "bus check" on the container of all slots, which is about this device and all
    /// that wait for one.
    BusCheck,
    /// Not yet: it waits unseen for a bus check.
    None,
}

/// The ranges of a device make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Too few or too many ranges.
    #[error("ranges: there are {0}, and a DIMM has 1 to {MAX_RANGES}")]
    Count(usize),
    /// A size that is never right.
    #[error("{field}: {size} is not a multiple of {unit} greater than 0", size = Bytes(*.size), unit = Bytes(*.unit))]
    Size {
        /// `size` where there is one range, else which one's.
        field: String,
        /// The size in bytes.
        size: u64,
        /// What it is to be a multiple of.
        unit: u64,
    },
    /// A gap that is never right.
    #[error("ranges[{index}].gap: {gap} is not a multiple of {unit}", gap = Bytes(*.gap), unit = Bytes(*.unit))]
    Gap {
        /// The range's index.
        index: usize,
        /// The gap in bytes.
        gap: u64,
        /// What it is to be a multiple of.
        unit: u64,
    },
    /// A place that is never right.
    #[error(transparent)]
    Placement(#[from] PlacementError),
}

impl Dimm {
    /// A device of node 0 whose ranges ascend, anywhere.
    pub fn new(id: impl Into<String>, ranges: Vec<DimmRange>) -> Self {
        let placement = Placement::default();
        Self { id: id.into(), ranges, descending: false, node: 0, unaligned: false, placement }
    }

    /// Bytes of all ranges together.
    pub fn size(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(range.size))
    }

    /// Bytes of address space from the lowest range's first to the highest range's last.
    pub fn span(&self) -> u64 {
        self.ranges.iter().fold(self.size(), |sum, range| sum.saturating_add(range.gap))
    }

    /// The field of a request that says how large it is.
    pub const fn size_field(&self) -> &'static str {
        if self.ranges.len() == 1 { "size" } else { "ranges" }
    }

    /// Whether the ranges make sense, wherever they lie.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), ShapeError> {
        let count = self.ranges.len();
        if !(1..=MAX_RANGES).contains(&count) {
            return Err(ShapeError::Count(count));
        }
        let unit = if self.unaligned { UNALIGNED } else { GRANULE };
        for (index, &DimmRange { size, gap }) in self.ranges.iter().enumerate() {
            if size == 0 || !size.is_multiple_of(unit) {
                let field = if count == 1 { "size".to_owned() } else { format!("ranges[{index}].size") };
                return Err(ShapeError::Size { field, size, unit });
            }
            if !gap.is_multiple_of(unit) {
                return Err(ShapeError::Gap { index, gap, unit });
            }
        }
        Ok(self.placement.check(unit)?)
    }

    /// The ranges at their addresses, in the order of `_CRS`, when the lowest one starts at `start`.
    /// [`span`](Self::span) bytes from there are addresses.
    pub fn at(&self, start: u64) -> Vec<GuestRange> {
        let mut next = start;
        let mut place = |range: &DimmRange, gap_below: u64| {
            let range = GuestRange::new(next + gap_below, range.size);
            next = range.end();
            range
        };
        if !self.descending {
            let gaps = std::iter::once(0).chain(self.ranges.iter().map(|range| range.gap));
            return self.ranges.iter().zip(gaps).map(|(range, gap)| place(range, gap)).collect();
        }
        // From the last and lowest one up.
        let mut ranges: Vec<_> = self.ranges.iter().rev().map(|range| place(range, range.gap)).collect();
        ranges.reverse();
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dimm(ranges: &[(u64, u64)], descending: bool) -> Dimm {
        let ranges =
            ranges.iter().map(|(size, gap)| DimmRange { size: size * MIB, gap: gap * MIB }).collect();
        Dimm { descending, ..Dimm::new("d0", ranges) }
    }

    #[test]
    fn ranges_ascend_or_descend_with_the_gaps_between_them() {
        let ranges = [(256, 128), (384, 0), (128, 1024), (128, 0)];
        let place = |descending| {
            let ranges = dimm(&ranges, descending).at(GRANULE);
            ranges.iter().map(|range| (range.start / MIB, range.size / MIB)).collect::<Vec<_>>()
        };
        assert_eq!(dimm(&ranges, false).span(), 2048 * MIB);
        assert_eq!(place(false), [(128, 256), (512, 384), (896, 128), (2048, 128)]);
        assert_eq!(place(true), [(1920, 256), (1408, 384), (1280, 128), (128, 128)]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (ranges, expected) in [
            (&[][..], "ranges: there are 0, and a DIMM has 1 to 8"),
            (&[(128, 0); 9], "ranges: there are 9, and a DIMM has 1 to 8"),
            (&[(0, 0)], "size: 0 bytes is not a multiple of 128 MiB greater than 0"),
            (&[(192, 0)], "size: 192 MiB is not a multiple of 128 MiB greater than 0"),
            (&[(128, 0), (64, 0)], "ranges[1].size: 64 MiB is not a multiple of 128 MiB greater than 0"),
            (&[(128, 1), (128, 0)], "ranges[0].gap: 1 MiB is not a multiple of 128 MiB"),
        ] {
            assert_eq!(dimm(ranges, false).check().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_unaligned_device_comes_in_mebibytes() {
        let mut dimm = Dimm { unaligned: true, ..dimm(&[(192, 1), (1, 0)], false) };
        assert_eq!(dimm.check(), Ok(()));
        dimm.ranges[1].size = MIB + 4096;
        let expected = "ranges[1].size: 1028 KiB is not a multiple of 1 MiB greater than 0";
        assert_eq!(dimm.check().unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_place_is_a_multiple_of_what_the_size_is() {
        let at = |start, unaligned| {
            let placement = Placement { start: Some(start), align: None };
            Dimm { unaligned, placement, ..dimm(&[(128, 0)], false) }
                .check()
                .map_err(|error| error.to_string())
        };
        assert_eq!(at(64 * MIB, false), Err("start: 0x4000000 is not a multiple of 128 MiB".to_owned()));
        assert_eq!(at(64 * MIB, true), Ok(()));
        assert_eq!(at(MIB / 2, true), Err("start: 0x80000 is not a multiple of 1 MiB".to_owned()));
    }

    #[test]
    fn a_size_beyond_all_addresses_does_not_overflow() {
        let dimm = dimm(&[(1 << 43, 1 << 43), (1 << 43, 0)], false);
        assert_eq!((dimm.check(), dimm.size(), dimm.span()), (Ok(()), u64::MAX, u64::MAX));
    }

    proptest! {
        #[test]
        fn ranges_fill_the_span_but_for_the_gaps(
            ranges in prop::collection::vec((1_u64..5, 0_u64..4), 1..=MAX_RANGES), descending in any::<bool>()
        ) {
            let mut ranges: Vec<_> = ranges.into_iter().map(|(size, gap)| (size * 128, gap * 128)).collect();
            ranges.last_mut().unwrap().1 = 0;
            let dimm = dimm(&ranges, descending);
            let mut placed = dimm.at(GRANULE);
            prop_assert!(placed.iter().map(|range| range.size).eq(dimm.ranges.iter().map(|range| range.size)));
            if descending {
                placed.reverse();
            }
            prop_assert_eq!(placed[0].start, GRANULE);
            prop_assert_eq!(placed.last().unwrap().end(), GRANULE + dimm.span());
            let mut gaps: Vec<_> = dimm.ranges.iter().map(|range| range.gap).take(ranges.len() - 1).collect();
            if descending {
                gaps.reverse();
            }
            let seen: Vec<_> = placed.windows(2).map(|pair| pair[1].start - pair[0].end()).collect();
            prop_assert_eq!(seen, gaps);
        }
    }
}
