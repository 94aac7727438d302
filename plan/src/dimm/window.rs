//! Where in its window a DIMM goes: the lowest free address, aligned. The gaps between its ranges are
//! its own.

use std::collections::BTreeMap;

use crate::memory::GuestRange;
use crate::placement::{Alignment, Placement, SMALLEST_BLOCK};

/// DIMMs come in multiples of this: the smallest memory block that Linux has on x86, 128 MiB.
pub const GRANULE: u64 = SMALLEST_BLOCK;

/// A window and the parts of it that are free.
#[derive(Debug, Clone)]
pub struct Window {
    range: GuestRange,
    alignment: Alignment,
    /// First address to size; no two of them touch. As few as there are holes, so that a device costs
    /// the same however many there are before it.
    free: BTreeMap<u64, u64>,
}

impl Window {
    /// A window of which all is free, and how devices in it are aligned that do not say it themselves.
    pub fn new(range: GuestRange, alignment: Alignment) -> Self {
        Self { range, alignment, free: BTreeMap::from([(range.start, range.size)]) }
    }

    /// The same window with all of it free.
    pub fn emptied(&self) -> Self {
        Self::new(self.range, self.alignment)
    }

    /// All of it.
    pub const fn range(&self) -> GuestRange {
        self.range
    }

    /// The free range of `span` bytes for a device with `size` bytes of memory: where `placement` says, or else the
    /// lowest one that is aligned.
    pub fn find(&self, span: u64, size: u64, placement: Placement) -> Option<GuestRange> {
        let alignment = placement.align.unwrap_or_else(|| self.alignment.of(size));
        self.free.iter().find_map(|(start, length)| {
            let lowest = || start.checked_next_multiple_of(alignment);
            let first = placement.start.map_or_else(lowest, |wanted| (wanted >= *start).then_some(wanted))?;
            (first.checked_add(span)? <= start + length).then_some(GuestRange::new(first, span))
        })
    }

    /// Marks a range as used; it is free, as [`find`](Self::find) found it.
    ///
    /// # Panics
    /// When it is not.
    pub fn take(&mut self, range: GuestRange) {
        let hole = self.free.range(..=range.start).next_back().map(|(start, size)| (*start, start + size));
        let (start, end) = hole.expect("the range is free");
        self.free.remove(&start);
        for (start, end) in [(start, range.start), (range.end(), end)] {
            if start < end {
                self.free.insert(start, end - start);
            }
        }
    }

    /// Marks a range that was taken as free again.
    pub fn give_back(&mut self, range: GuestRange) {
        let (mut start, mut end) = (range.start, range.end());
        if let Some(size) = self.free.remove(&end) {
            end += size;
        }
        let below = self.free.range(..start).next_back().map(|(start, size)| (*start, start + size));
        if let Some((lower, _)) = below.filter(|(_, end)| *end == start) {
            start = lower;
        }
        self.free.insert(start, end - start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::GIB;
    use proptest::prelude::*;

    const ANYWHERE: Placement = Placement { start: None, align: None };

    fn window() -> Window {
        Window::new(GuestRange::new(6 * GIB, 8 * GIB), Alignment::Gibibyte)
    }

    fn take(window: &mut Window, size: u64) -> Option<u64> {
        let range = window.find(size, size, ANYWHERE)?;
        window.take(range);
        Some(range.start)
    }

    #[test]
    fn big_dimms_are_aligned_to_a_gibibyte_and_small_ones_fill_the_holes() {
        let mut window = window();
        assert_eq!(take(&mut window, GRANULE), Some(6 * GIB));
        assert_eq!(take(&mut window, GIB + GRANULE), Some(7 * GIB));
        assert_eq!(take(&mut window, 2 * GRANULE), Some(6 * GIB + GRANULE));
        assert_eq!(take(&mut window, 2 * GIB), Some(9 * GIB));
        assert_eq!(take(&mut window, GIB - GRANULE), Some(8 * GIB + GRANULE));
    }

    #[test]
    fn gaps_take_addresses_but_do_not_count_for_the_alignment() {
        let mut window = window();
        assert_eq!(take(&mut window, GRANULE), Some(6 * GIB));
        let small = window.find(2 * GIB, 2 * GRANULE, ANYWHERE).unwrap();
        assert_eq!((small.start, small.size), (6 * GIB + GRANULE, 2 * GIB));
        window.take(small);
        assert_eq!(take(&mut window, GRANULE), Some(8 * GIB + GRANULE));
        assert_eq!(window.find(5 * GIB, GIB, ANYWHERE).map(|range| range.start), Some(9 * GIB));
    }

    #[test]
    fn what_follows_an_unaligned_device_is_aligned() {
        let mut window = window();
        assert_eq!(take(&mut window, GRANULE + 1), Some(6 * GIB));
        assert_eq!(take(&mut window, GRANULE), Some(6 * GIB + 2 * GRANULE));
    }

    #[test]
    fn a_full_window_has_no_range_until_one_is_given_back() {
        let mut window = window();
        assert_eq!(take(&mut window, 8 * GIB), Some(6 * GIB));
        assert_eq!(take(&mut window, GRANULE), None);
        window.give_back(GuestRange::new(6 * GIB, 8 * GIB));
        assert_eq!(take(&mut window, 8 * GIB + GRANULE), None);
        assert_eq!(take(&mut window, !(GRANULE - 1)), None);
        assert_eq!(take(&mut window, 4 * GIB), Some(6 * GIB));
    }

    #[test]
    fn a_device_lies_where_it_is_told_to_if_that_is_free() {
        let mut window = window();
        let at = |window: &Window, start, size| {
            window.find(size, size, Placement { start: Some(start), align: None }).map(|range| range.start)
        };
        assert_eq!(at(&window, 7 * GIB + GRANULE, GIB), Some(7 * GIB + GRANULE));
        window.take(GuestRange::new(8 * GIB, GIB));
        for (start, size) in [(5, 1), (7, 2), (8, 1), (13, 2), (14, 1)] {
            assert_eq!(at(&window, start * GIB, size * GIB), None, "{start}");
        }
        assert_eq!(
            (at(&window, 7 * GIB, GIB), at(&window, 9 * GIB, 5 * GIB)),
            (Some(7 * GIB), Some(9 * GIB))
        );
        assert_eq!(at(&window, u64::MAX - GRANULE, GIB), None);
        let aligned = |align| window.find(GIB, GIB, Placement { start: None, align: Some(align) });
        assert_eq!(aligned(4 * GIB).map(|range| range.start), Some(12 * GIB));
        assert_eq!(aligned(16 * GIB), None);
    }

    #[test]
    fn a_window_at_the_end_of_the_address_space_does_not_overflow() {
        let last = !(GIB - 1);
        let mut window = Window::new(GuestRange::new(last - GIB, GIB), Alignment::Gibibyte);
        assert_eq!(take(&mut window, GIB), Some(last - GIB));
        assert_eq!(take(&mut window, GIB), None);
    }

    proptest! {
        #[test]
        fn ranges_are_aligned_inside_disjoint_and_lowest(
            steps in prop::collection::vec((1_u64..20, any::<prop::sample::Index>(), any::<bool>()), 1..60)
        ) {
            let mut window = window();
            let mut taken: Vec<GuestRange> = Vec::new();
            for (blocks, victim, remove) in steps {
                if remove && !taken.is_empty() {
                    let range = taken.swap_remove(victim.index(taken.len()));
                    window.give_back(range);
                    if taken.is_empty() {
                        prop_assert_eq!(&window.free, &BTreeMap::from([(6 * GIB, 8 * GIB)]));
                    }
                    continue;
                }
                let size = blocks * GRANULE;
                let alignment = if size < GIB { GRANULE } else { GIB };
                let fits = |start: u64| {
                    let range = GuestRange::new(start, size);
                    window.range.contains(&range) && !taken.iter().any(|other| other.overlaps(&range))
                };
                let lowest = (6 * GIB..14 * GIB).step_by(usize::try_from(alignment).unwrap()).find(|start| fits(*start));
                let found = window.find(size, size, ANYWHERE);
                prop_assert_eq!(found.map(|range| range.start), lowest);
                found.into_iter().for_each(|range| window.take(range));
                taken.extend(found);
            }
        }
    }
}
