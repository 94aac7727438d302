//! Where in its window a DIMM goes: the lowest free address, aligned.

use std::collections::BTreeMap;

use crate::memory::GuestRange;

/// DIMMs come in multiples of this: the smallest memory block that Linux has on x86, 128 MiB.
pub const GRANULE: u64 = 128 << 20;
/// DIMMs of at least this size are aligned to it, 1 GiB.
const BIG: u64 = 1 << 30;

/// A window and the parts of it that are in use.
#[derive(Debug)]
pub(super) struct Window {
    range: GuestRange,
    /// First address to size.
    used: BTreeMap<u64, u64>,
}

impl Window {
    pub(super) const fn new(range: GuestRange) -> Self {
        Self { range, used: BTreeMap::new() }
    }

    pub(super) const fn size(&self) -> u64 {
        self.range.size
    }

    /// The lowest free range of `size` bytes, aligned to 1 GiB, or to 128 MiB when smaller than
    /// 1 GiB.
    pub(super) fn find(&self, size: u64) -> Option<GuestRange> {
        let alignment = if size < BIG { GRANULE } else { BIG };
        let mut start = self.range.start.checked_next_multiple_of(alignment)?;
        for (used, length) in &self.used {
            if start.checked_add(size)? <= *used {
                break;
            }
            start = start.max((used + length).checked_next_multiple_of(alignment)?);
        }
        let free = start.checked_add(size).is_some_and(|end| end <= self.range.end());
        free.then_some(GuestRange::new(start, size))
    }

    /// Marks ranges as used; they are free, as [`find`](Self::find) found them.
    pub(super) fn take(&mut self, ranges: &[GuestRange]) {
        self.used.extend(ranges.iter().map(|range| (range.start, range.size)));
    }

    /// Marks ranges that were taken as free again.
    pub(super) fn give_back(&mut self, ranges: &[GuestRange]) {
        for range in ranges {
            self.used.remove(&range.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = BIG;

    fn window() -> Window {
        Window::new(GuestRange::new(6 * GIB, 8 * GIB))
    }

    fn take(window: &mut Window, size: u64) -> Option<u64> {
        let range = window.find(size)?;
        window.take(&[range]);
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
    fn a_full_window_has_no_range_until_one_is_given_back() {
        let mut window = window();
        assert_eq!(take(&mut window, 8 * GIB), Some(6 * GIB));
        assert_eq!(take(&mut window, GRANULE), None);
        window.give_back(&[GuestRange::new(6 * GIB, 8 * GIB)]);
        assert_eq!(take(&mut window, 8 * GIB + GRANULE), None);
        assert_eq!(take(&mut window, !(GRANULE - 1)), None);
        assert_eq!(take(&mut window, 4 * GIB), Some(6 * GIB));
    }

    #[test]
    fn a_window_at_the_end_of_the_address_space_does_not_overflow() {
        let last = !(BIG - 1);
        let mut window = Window::new(GuestRange::new(last - GIB, GIB));
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
                    window.give_back(&[range]);
                    continue;
                }
                let size = blocks * GRANULE;
                let alignment = if size < GIB { GRANULE } else { GIB };
                let fits = |start: u64| {
                    let range = GuestRange::new(start, size);
                    window.range.contains(&range) && !taken.iter().any(|other| other.overlaps(&range))
                };
                let lowest = (6 * GIB..14 * GIB).step_by(usize::try_from(alignment).unwrap()).find(|start| fits(*start));
                let found = window.find(size);
                prop_assert_eq!(found.map(|range| range.start), lowest);
                window.take(found.as_slice());
                taken.extend(found);
            }
        }
    }
}
