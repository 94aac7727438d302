//! Holes in boot memory: pages that are no RAM, and whose page structures Linux has all the same, since it makes those for
//! whole sections. A hole belongs to the RAM behind it, and behind the last RAM to that (`init_unavailable_range`).

use std::ops::Range;

use super::movable::Borders;
use crate::memory::{Memory, ShowsZone};
use crate::release::Release;
use crate::zone::{SECTION, SUBSECTION, Zone};

/// Pages from one page that `test_pages_in_a_zone` looks at to the next (`MAX_ORDER_NR_PAGES`).
const STEP: usize = 1024;

/// RAM in page frames with its node, ascending, and where its movable zones begin.
#[derive(Clone, Copy)]
pub(super) struct Ram<'a> {
    pub(super) frames: &'a [(Range<u64>, u32)],
    pub(super) borders: &'a Borders,
}

impl Ram<'_> {
    /// A piece of RAM with the holes around it, as far as Linux takes their page structures for online ones
    /// (`pfn_to_online_page`).
    pub(super) fn with_holes(self, index: usize, release: Release) -> Range<u64> {
        let grain = if release.knows_holes_in_sections() { SUBSECTION } else { SECTION };
        let range = &self.frames[index].0;
        let before = index.checked_sub(1).map_or(0, |before| self.frames[before].0.end);
        let start = before.max(range.start / grain * grain);
        let is_last = self.frames.get(index + 1).is_none();
        start..if is_last { range.end.next_multiple_of(grain) } else { range.end }
    }

    /// Marks the blocks that RAM does not fill.
    pub(super) fn mark_holes(self, memory: &mut Memory, release: Release) {
        let indices: Vec<u64> = memory.blocks().keys().copied().collect();
        for index in indices {
            let block = memory.frames(index);
            if self.present(&block) < block.end - block.start {
                let shows = if release.remembers_zones_of_blocks() {
                    ShowsZone::Always
                } else {
                    self.shows_zone(&block)
                };
                memory.mark_holes(index, shows);
            }
        }
    }

    /// How many of these page frames are RAM.
    fn present(self, frames: &Range<u64>) -> u64 {
        let inside =
            |range: &Range<u64>| range.end.min(frames.end).saturating_sub(range.start.max(frames.start));
        self.frames.iter().map(|(range, _)| inside(range)).sum()
    }

    /// Whether the pages that Linux looks at, holes or not, are of one zone; from the second on they must be inside of it,
    /// too (`test_pages_in_a_zone`).
    fn shows_zone(self, block: &Range<u64>) -> ShowsZone {
        let is_present = |frame: &u64| {
            let section = frame / SECTION * SECTION;
            self.present(&(section..section + SECTION)) > 0
        };
        let mut pages = (block.start..block.end).step_by(STEP).filter(is_present);
        let first = pages.next().and_then(|frame| self.zone_of(frame));
        let others: Vec<u64> = pages.collect();
        if others.iter().any(|frame| self.zone_of(*frame) != first) {
            return ShowsZone::Never;
        }
        let (second, last) = (others.first().copied().unwrap_or(0), others.last().map_or(0, |last| last + 1));
        ShowsZone::WhileItSpans(second..last)
    }

    /// Node and zone that the page structure of a page frame names, RAM or not.
    fn zone_of(self, frame: u64) -> Option<(u32, Zone)> {
        let behind = self.frames.iter().find(|(range, _)| range.end > frame);
        let (ram, node) = match behind {
            Some((range, node)) => (range.start.max(frame), *node),
            None => self.frames.last().map(|(range, node)| (range.end - 1, *node))?,
        };
        let zone = Zone::ALL.into_iter().find(|zone| self.borders.cut(node, *zone).contains(&ram))?;
        Some((node, zone))
    }
}

#[cfg(test)]
mod tests {
    use crate::boot::{BootMemory, Core};
    use crate::memory::Memory;
    use crate::policy::{OnlineType, Policy};
    use crate::release::Release;
    use crate::zone::{PAGE, SECTION, Zone};

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn boot(release: Release, usable: &[std::ops::Range<u64>]) -> Memory {
        let boot = BootMemory { usable: usable.to_vec(), nodes: vec![(0..u64::MAX, 0)] };
        boot.boot_with(release, Policy::default(), Core::default())
    }

    fn shown(usable: &[std::ops::Range<u64>], index: u64) -> [&'static str; 2] {
        [Release::new(5, 10), Release::new(6, 1)].map(|release| boot(release, usable).valid_zones(index)[0])
    }

    #[test]
    fn a_block_that_ram_does_not_fill_can_not_go_offline() {
        for release in [Release::new(5, 10), Release::new(6, 12)] {
            let mut memory = boot(release, &[MIB..2 * GIB, 4 * GIB..6 * GIB + 64 * MIB]);
            assert!(memory.offline(48).is_err());
            assert!(memory.offline(0).is_err(), "it has two zones");
            assert!(memory.offline(47).is_ok());
        }
    }

    #[test]
    fn before_zones_are_remembered_a_hole_hides_them_unless_it_is_inside() {
        let behind_all = [MIB..2 * GIB, 4 * GIB..6 * GIB + 64 * MIB];
        assert_eq!(shown(&behind_all, 48), ["none", "Normal"], "the zone ends before the block does");
        let below_another_zone = [MIB..2 * GIB - 64 * MIB, 4 * GIB..6 * GIB];
        assert_eq!(shown(&below_another_zone, 15), ["none", "DMA32"], "the hole is of zone Normal");
        let inside = [MIB..700 * MIB, 900 * MIB..2 * GIB, 4 * GIB..6 * GIB];
        assert_eq!(shown(&inside, 5), ["DMA32"; 2]);
        assert_eq!(shown(&inside, 7), ["DMA32"; 2]);
        let at_its_start = [MIB..2 * GIB, 4 * GIB + 64 * MIB..6 * GIB];
        assert_eq!(shown(&at_its_start, 32), ["Normal"; 2], "the zone begins at 4 GiB, hole or not");
        let unseen = [MIB..2 * GIB, 4 * GIB..6 * GIB + 127 * MIB];
        assert_eq!(shown(&unseen, 48), ["Normal"; 2], "one page in 4 MiB is looked at");
    }

    #[test]
    fn a_zone_that_grows_over_a_hole_shows_again() {
        let mut memory = boot(Release::new(5, 10), &[MIB..2 * GIB, 4 * GIB..6 * GIB + 64 * MIB]);
        memory.add(50, 0, None, 0).unwrap();
        memory.online(50, OnlineType::Kernel).unwrap();
        assert_eq!(memory.valid_zones(48), ["Normal"]);
        memory.offline(50).unwrap();
        let span = &memory.zone(0, Zone::Normal).span;
        assert_eq!(
            (span.end, memory.valid_zones(48)),
            (49 * SECTION, vec!["Normal"]),
            "to the section's end"
        );
    }

    #[test]
    fn online_pages_end_with_the_subsection_and_before_with_the_section() {
        let end = 6 * GIB + 65 * MIB;
        for (release, last) in [(Release::new(5, 10), 49 * SECTION), (Release::new(6, 1), (end + MIB) / PAGE)]
        {
            let memory = boot(release, &[MIB..2 * GIB, 4 * GIB..end]);
            assert_eq!(memory.blocks()[&48].parts[0].frames, 48 * SECTION..last, "{release}");
            assert_eq!(memory.zone(0, Zone::Normal).span.end, end / PAGE, "{release}");
        }
    }
}
