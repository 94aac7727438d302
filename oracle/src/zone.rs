//! Zones of one node: how far they span, and how many pages are in them.

use std::fmt;
use std::ops::Range;

use crate::rule::{Met, Rule};

/// Bytes of a page.
pub const PAGE: u64 = 4096;
/// Pages of a memory section, 128 MiB on x86-64 (`SECTION_SIZE_BITS`).
pub const SECTION: u64 = 32768;
/// Pages of a subsection, 2 MiB: the step in which a zone's new edge is searched.
pub const SUBSECTION: u64 = 512;

/// A zone, in the order of their addresses; the movable zone is last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// Below 16 MiB.
    Dma,
    /// Below 4 GiB.
    Dma32,
    /// The rest of memory for the kernel.
    Normal,
    /// Memory for movable allocations only.
    Movable,
}

impl Zone {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dma, Self::Dma32, Self::Normal, Self::Movable];
    /// Those that the kernel's own allocations may come from.
    pub const KERNEL: [Self; 3] = [Self::Dma, Self::Dma32, Self::Normal];

    /// The name that the kernel prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dma => "DMA",
            Self::Dma32 => "DMA32",
            Self::Normal => "Normal",
            Self::Movable => "Movable",
        }
    }

    /// The page frames that belong to this zone at boot, before `movablecore` and the like.
    pub const fn frames(self) -> Range<u64> {
        const DMA_END: u64 = (16 << 20) / PAGE;
        const DMA32_END: u64 = (4 << 30) / PAGE;
        match self {
            Self::Dma => 0..DMA_END,
            Self::Dma32 => DMA_END..DMA32_END,
            Self::Normal => DMA32_END..u64::MAX,
            Self::Movable => u64::MAX..u64::MAX,
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One zone of one node, in page frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneState {
    /// What it spans: from its first page to behind its last, holes included.
    pub span: Range<u64>,
    /// Pages that are there (`present_pages`).
    pub present: u64,
    /// Those of them that are boot memory (`present_early_pages`).
    pub early: u64,
}

impl ZoneState {
    /// Whether it spans any of `frames` (`zone_intersects`).
    pub fn intersects(&self, frames: &Range<u64>) -> bool {
        !self.span.is_empty() && frames.start < self.span.end && self.span.start < frames.end
    }

    /// Whether it spans all of `frames` (`zone_spans_pfn`).
    pub fn spans(&self, frames: &Range<u64>) -> bool {
        frames.is_empty() || (self.span.start <= frames.start && frames.end <= self.span.end)
    }

    /// Makes the span cover `frames` (`resize_zone_range`). Returns the rules that this met.
    pub fn grow(&mut self, frames: &Range<u64>) -> Met {
        let mut met = Met::new();
        if self.span.is_empty() {
            met.add(Rule::ZoneBegins);
        } else if !self.spans(frames) {
            met.add(Rule::SpanGrows);
        }
        let start = if self.span.is_empty() { frames.start } else { self.span.start.min(frames.start) };
        self.span = start..self.span.end.max(frames.end);
        met
    }

    /// Takes `frames` out of the span (`shrink_zone_span`): it shrinks only when they are at its start
    /// or, failing that, at its end, and then to the nearest page frames that are online in this zone:
    /// those `behind` it, ascending, or those `before` it, descending. Returns the rule that decided.
    pub fn shrink<'a>(
        &mut self,
        frames: &Range<u64>,
        before: impl Iterator<Item = &'a Range<u64>>,
        behind: impl Iterator<Item = &'a Range<u64>>,
    ) -> Rule {
        let rule = if self.span.start == frames.start {
            self.span =
                smallest(behind, frames.end, self.span.end).map_or(0..0, |first| first..self.span.end);
            Rule::SpanBeginsLater
        } else if self.span.end == frames.end {
            self.span =
                biggest(before, self.span.start, frames.start).map_or(0..0, |last| self.span.start..last + 1);
            Rule::SpanEndsEarlier
        } else {
            Rule::SpanKeepsAHole
        };
        if self.span.is_empty() { Rule::SpanIsGone } else { rule }
    }
}

/// The first online page frame at `from`, `from + SUBSECTION`, … below `to` (`find_smallest_section_pfn`).
fn smallest<'a>(online: impl Iterator<Item = &'a Range<u64>>, from: u64, to: u64) -> Option<u64> {
    online
        .filter(|run| run.end > from && run.start < to)
        .map(|run| (run, from + (run.start.max(from) - from).next_multiple_of(SUBSECTION)))
        .find(|(run, frame)| *frame < run.end.min(to))
        .map(|(_, frame)| frame)
}

/// The last online page frame at `to - 1`, `to - 1 - SUBSECTION`, … not below `from`
/// (`find_biggest_section_pfn`).
fn biggest<'a>(online: impl Iterator<Item = &'a Range<u64>>, from: u64, to: u64) -> Option<u64> {
    online
        .filter(|run| run.end > from && run.start < to)
        .map(|run| {
            let last = run.end.min(to) - 1;
            (run, (to - 1).checked_sub((to - 1 - last).next_multiple_of(SUBSECTION)))
        })
        .find_map(|(run, frame)| frame.filter(|frame| *frame >= run.start.max(from)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(span: Range<u64>) -> ZoneState {
        ZoneState { span, ..ZoneState::default() }
    }

    #[test]
    fn a_span_grows_over_holes_and_shrinks_at_its_edges_only() {
        let mut state = zone(0..0);
        state.grow(&(10 * SECTION..11 * SECTION));
        state.grow(&(20 * SECTION..21 * SECTION));
        assert_eq!(state.span, 10 * SECTION..21 * SECTION);
        let rest = [10 * SECTION..11 * SECTION, 20 * SECTION..21 * SECTION];
        state.shrink(&(15 * SECTION..16 * SECTION), rest[..1].iter(), rest[1..].iter());
        assert_eq!(state.span, 10 * SECTION..21 * SECTION, "the middle changes nothing");
        state.shrink(&rest[1], rest[..1].iter(), [].iter());
        assert_eq!(state.span, 10 * SECTION..11 * SECTION);
        state.shrink(&rest[0], [].iter(), [].iter());
        assert!(state.span.is_empty());
        assert_eq!(state.span, 0..0);
    }

    #[test]
    fn the_new_edge_is_searched_in_subsections() {
        // Online memory that starts 100 frames into a subsection: the search meets its next one.
        let mut state = zone(0..3 * SECTION);
        let rest = [SECTION + 100..2 * SECTION, 2 * SECTION..3 * SECTION];
        state.shrink(&(0..SECTION), [].iter(), rest.iter());
        assert_eq!(state.span, SECTION + SUBSECTION..3 * SECTION);
        let mut state = zone(0..3 * SECTION);
        let rest = 0..SECTION + 100;
        state.shrink(&(2 * SECTION..3 * SECTION), [&rest].into_iter(), [].iter());
        assert_eq!(state.span, 0..SECTION);
    }
}
