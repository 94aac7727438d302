//! Sets of addresses as ranges: ascending, apart from each other, neighbours joined.

use dimmer_devices::memory::GuestRange;

use crate::units::Bytes;

/// Most ranges that a sentence names.
const NAMED: usize = 4;

/// All addresses of `ranges`, in whatever order they are and however they overlap.
pub(super) fn union(ranges: impl IntoIterator<Item = GuestRange>) -> Vec<GuestRange> {
    let mut sorted: Vec<_> = ranges.into_iter().filter(|range| range.size > 0).collect();
    sorted.sort();
    let mut all: Vec<GuestRange> = Vec::new();
    for range in sorted {
        match all.last_mut() {
            Some(last) if range.start <= last.end() => last.size = last.end().max(range.end()) - last.start,
            _ => all.push(range),
        }
    }
    all
}

/// The addresses of `set` that are not in `other`; both are sets.
pub(super) fn without(set: &[GuestRange], other: &[GuestRange]) -> Vec<GuestRange> {
    let mut rest = Vec::new();
    let mut others = other.iter().peekable();
    for range in set {
        let mut start = range.start;
        while others.next_if(|other| other.end() <= start).is_some() {}
        // One that reaches past this range concerns the next one, too.
        let mut here = others.clone();
        while let Some(other) = here.next_if(|other| other.start < range.end()) {
            if start < other.start {
                rest.push(GuestRange::new(start, other.start - start));
            }
            start = start.max(other.end());
        }
        if start < range.end() {
            rest.push(GuestRange::new(start, range.end() - start));
        }
    }
    rest
}

/// The addresses that are in both sets.
pub(super) fn intersection(set: &[GuestRange], other: &[GuestRange]) -> Vec<GuestRange> {
    without(set, &without(set, other))
}

/// Bytes in a set.
pub(super) fn size(set: &[GuestRange]) -> u64 {
    set.iter().map(|range| range.size).sum()
}

/// The first ranges in words.
pub(super) fn show(ranges: &[GuestRange]) -> String {
    let named = ranges.iter().take(NAMED);
    let mut text = named
        .map(|range| format!("{:#x} ({})", range.start, Bytes(range.size)))
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = ranges.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text = format!("{text} and {more} more");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The numbers below 64 in a set, as bits.
    fn bits(set: &[GuestRange]) -> u64 {
        (0..64)
            .filter(|at| set.iter().any(|range| range.contains(&GuestRange::new(*at, 1))))
            .fold(0, |all, at| all | 1 << at)
    }

    fn is_a_set(ranges: &[GuestRange]) -> bool {
        ranges.iter().all(|range| range.size > 0)
            && ranges.windows(2).all(|pair| pair[0].end() < pair[1].start)
    }

    fn ranges() -> impl Strategy<Value = Vec<GuestRange>> {
        let range = (0..60_u64, 0..5_u64).prop_map(|(start, size)| GuestRange::new(start, size));
        prop::collection::vec(range, 0..12)
    }

    proptest! {
        #[test]
        fn they_behave_like_sets_of_bits(a in ranges(), b in ranges()) {
            let expected = bits(&a);
            let (a, b) = (union(a), union(b));
            prop_assert!(is_a_set(&a) && is_a_set(&without(&a, &b)) && is_a_set(&intersection(&a, &b)));
            prop_assert_eq!(bits(&a), expected);
            prop_assert_eq!(bits(&without(&a, &b)), bits(&a) & !bits(&b));
            prop_assert_eq!(bits(&intersection(&a, &b)), bits(&a) & bits(&b));
            prop_assert_eq!(size(&a), u64::from(bits(&a).count_ones()));
        }
    }

    #[test]
    fn many_ranges_are_not_all_named() {
        let ranges: Vec<_> = (0..6).map(|at| GuestRange::new(at << 12, 0x800)).collect();
        let text = show(&ranges);
        assert_eq!(text, "0x0 (2 KiB), 0x1000 (2 KiB), 0x2000 (2 KiB), 0x3000 (2 KiB) and 2 more");
    }
}
