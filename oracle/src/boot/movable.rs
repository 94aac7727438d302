//! Boot memory in the movable zone: `kernelcore=` and `movablecore=` (`find_zone_movable_pfns_for_nodes`).
//!
//! The kernel's share is spread evenly over the nodes; on each node the movable zone begins behind it, and only
//! in the highest zone that has memory.

use std::collections::BTreeMap;
use std::ops::Range;
use std::str::FromStr;

use crate::zone::{PAGE, Zone};

/// Pages that the border of the movable zone is a multiple of (`MAX_ORDER_NR_PAGES`).
const ALIGNMENT: u64 = 1024;

/// How much memory a boot parameter asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// So many percent of all memory.
    Percent(u64),
}

impl FromStr for Amount {
    type Err = String;

    /// Reads `1G`, `4096` or `50%` (`cmdline_parse_core`); sizes in K, M, G or T.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount of memory such as 1G or 50%");
        if let Some(percent) = text.strip_suffix('%') {
            return percent.parse().map(Self::Percent).map_err(|_| wrong());
        }
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let shift = match &text[digits.len()..] {
            "" => 0,
            "K" | "k" => 10,
            "M" | "m" => 20,
            "G" | "g" => 30,
            "T" | "t" => 40,
            _ => return Err(wrong()),
        };
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(1 << shift).map(Self::Bytes).ok_or_else(wrong)
    }
}

impl Amount {
    fn pages(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes / PAGE,
            Self::Percent(percent) => total * 100 * percent / 10_000,
        }
    }
}

/// How boot memory is to be shared between the kernel and the movable zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Core {
    /// `kernelcore=`: the least that any allocation may use.
    pub kernel: Option<Amount>,
    /// `movablecore=`: what movable allocations alone may use.
    pub movable: Option<Amount>,
}

/// The first page frame of the movable zone of each node that has one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Borders(BTreeMap<u32, u64>);

impl Borders {
    /// The page frames that `zone` may have on `node`.
    pub(super) fn cut(&self, node: u32, zone: Zone) -> Range<u64> {
        let border = self.0.get(&node).copied().unwrap_or(u64::MAX);
        match zone {
            Zone::Movable => border..u64::MAX,
            _ => zone.frames().start..zone.frames().end.min(border),
        }
    }
}

impl Core {
    /// Where the movable zones begin, with these page frames of RAM and their nodes.
    pub(super) fn borders(self, frames: &[(Range<u64>, u32)]) -> Borders {
        let total = frames.iter().map(|(range, _)| range.end - range.start).sum();
        let mut kernel = self.kernel.map_or(0, |amount| amount.pages(total));
        if let Some(movable) = self.movable.map(|amount| amount.pages(total)).filter(|pages| *pages > 0) {
            kernel = kernel.max(total - movable.next_multiple_of(ALIGNMENT).min(total));
        }
        if kernel == 0 || kernel >= total {
            return Borders::default();
        }
        let mut spread = Spread { frames, lowest: lowest(frames), borders: BTreeMap::new(), left: kernel };
        spread.all();
        spread.aligned()
    }
}

/// The first page frame of the highest zone that has memory (`find_usable_zone_for_movable`).
fn lowest(frames: &[(Range<u64>, u32)]) -> u64 {
    let end = frames.last().map_or(0, |(range, _)| range.end);
    let zone = Zone::KERNEL.into_iter().rev().find(|zone| end > zone.frames().start).unwrap_or(Zone::Dma);
    zone.frames().start
}

/// The kernel's share while it is handed out.
struct Spread<'a> {
    frames: &'a [(Range<u64>, u32)],
    lowest: u64,
    /// The first page frame of each node behind what the kernel has.
    borders: BTreeMap<u32, u64>,
    /// Pages that the kernel is still to get.
    left: u64,
}

impl Spread<'_> {
    /// Once over all nodes, and once more with one node less for as long as nodes without enough memory leave
    /// something over.
    fn all(&mut self) {
        let mut nodes: Vec<u32> = self.frames.iter().map(|(_, node)| *node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut usable = nodes.len() as u64;
        loop {
            let mut share = self.left / usable;
            for node in &nodes {
                if self.left < share {
                    share = self.left / usable;
                }
                self.node(*node, share);
            }
            usable -= 1;
            if usable == 0 || self.left <= usable {
                return;
            }
        }
    }

    /// Gives the kernel `share` pages of a node, from below; what cannot be movable counts whether it fits or not.
    fn node(&mut self, node: u32, mut share: u64) {
        for (range, _) in self.frames.iter().filter(|(_, other)| *other == node) {
            let mut start = range.start.max(self.borders.get(&node).copied().unwrap_or(0));
            if start >= range.end {
                continue;
            }
            if start < self.lowest {
                let pages = range.end.min(self.lowest) - start;
                share = share.saturating_sub(pages);
                self.left = self.left.saturating_sub(pages);
                if range.end <= self.lowest {
                    self.borders.insert(node, range.end);
                    continue;
                }
                start = self.lowest;
            }
            let pages = share.min(range.end - start);
            self.borders.insert(node, start + pages);
            self.left = self.left.saturating_sub(pages);
            share -= pages;
            if share == 0 {
                return;
            }
        }
    }

    /// The borders rounded up, without those of nodes of which nothing is left.
    fn aligned(self) -> Borders {
        let end = |node: u32| {
            let own = self.frames.iter().filter(|(_, other)| *other == node);
            own.map(|(range, _)| range.end).max().unwrap_or(0)
        };
        let borders = self.borders.iter().map(|(node, border)| (*node, border.next_multiple_of(ALIGNMENT)));
        Borders(borders.filter(|(node, border)| *border < end(*node)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::BootMemory;
    use crate::policy::Policy;
    use crate::release::Release;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn core(kernel: &str, movable: &str) -> Core {
        let amount = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        Core { kernel: amount(kernel), movable: amount(movable) }
    }

    fn s4(nodes: Vec<(Range<u64>, u32)>) -> BootMemory {
        BootMemory { usable: vec![0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB], nodes }
    }

    #[test]
    fn movable_memory_is_at_the_end_of_the_highest_zone() {
        for (core, shown) in [
            (core("", "1G"), ["Normal", "Movable", "Movable"]),
            (core("", "25%"), ["Normal", "Movable", "Movable"]),
            (core("2600M", "1G"), ["Normal", "Movable", "Movable"]),
            // The kernel's 3 GiB are all there, although 98 pages of low memory are missing.
            (core("3G", ""), ["Normal", "none", "Movable"]),
        ] {
            let memory = s4(vec![(0..u64::MAX, 0)]).boot_with(Release::new(6, 12), Policy::default(), core);
            assert_eq!([39, 40, 41].map(|index| memory.valid_zones(index)[0]), shown, "{core:?}");
        }
    }

    #[test]
    fn a_border_within_a_block_leaves_it_without_a_zone() {
        let memory =
            s4(vec![(0..u64::MAX, 0)]).boot_with(Release::new(6, 12), Policy::default(), core("", "1000M"));
        assert_eq!(memory.valid_zones(40), ["none"]);
        let movable = memory.zone(0, Zone::Movable);
        assert_eq!(
            (movable.span.clone(), movable.present, movable.early),
            (1_316_864..1_572_864, 256_000, 256_000)
        );
        assert_eq!(memory.zone(0, Zone::Normal).span, 1 << 20..1_316_864);
    }

    #[test]
    fn nodes_below_4_gib_have_none_while_others_have() {
        let nodes = vec![(0..2 * GIB, 0), (4 * GIB..6 * GIB, 1)];
        let memory = s4(nodes).boot_with(Release::new(6, 12), Policy::default(), core("", "1G"));
        assert_eq!((memory.valid_zones(15), memory.valid_zones(47)), (vec!["DMA32"], vec!["Movable"]));
        assert!(memory.zone(0, Zone::Movable).span.is_empty());
    }

    #[test]
    fn too_much_or_nothing_makes_no_movable_zone() {
        for core in [core("8G", ""), core("0", ""), core("", "0"), core("100%", "")] {
            let memory = s4(vec![(0..u64::MAX, 0)]).boot_with(Release::new(6, 12), Policy::default(), core);
            assert!(memory.zone(0, Zone::Movable).span.is_empty(), "{core:?}");
        }
        assert!("12Q".parse::<Amount>().is_err());
    }
}
