//! What memory costs: the kernel memory that describes it, and whether a guest has that.
//!
//! To add memory Linux first takes its memmap from the kernel zones of any node: 64 bytes for each page (`struct page`), 2 MiB
//! for a section (mm/sparse-vmemmap.c, `vmemmap_populate_hugepages`, with `__GFP_RETRY_MAYFAIL`), and beside it page tables
//! and what sysfs shows of the block. Movable memory pays nothing. A range is paid as a whole before any block of it goes
//! online (mm/memory_hotplug.c, `add_memory_resource`), and where that fails in the middle what was paid is not given back
//! (`__add_pages`): a guest that has added a range of several sections in vain has next to no kernel memory left.
//!
//! How much the kernel itself uses is not known to the page, so that there is a least and a most. They were measured on
//! guests of 256 MiB to 4 GiB with 5.10, 6.1 and 6.12 that run nothing but a small init: 72 to 88 MiB, 1 % of memory, and
//! 64 MiB for bounce buffers where memory is possible above 4 GiB. Programs come on top.

use std::fmt;

use crate::absent::size;
use crate::linux::Linux;
use crate::mistake::Mistake;
use crate::zone::{PAGE, SECTION, Zone};

/// Pages in a mebibyte.
const MIB: u64 = (1 << 20) / PAGE;
/// What a kernel uses of itself at least, and beside that one page in so many.
const LEAST_USED: (u64, u64) = (60 * MIB, 200);
/// The same at most, with bounce buffers and the zone DMA, which the memmap is never taken from.
const MOST_USED: (u64, u64) = ((110 + 64 + 16) * MIB, 50);
/// What the page allocator keeps back at most (`min_free_kbytes`): one page in so many, up to so many.
const KEPT_BACK: (u64, u64) = (20, 68 * MIB);
/// Pages of page tables and structures for each section, at least and at most.
const STRUCTURES: (u64, u64) = (1, 4);

/// What it costs to add memory, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Its memmap, as far as that does not lie in the memory itself.
    pub memmap: u64,
    /// Page tables and structures, at least.
    pub least: u64,
    /// The same at most.
    pub most: u64,
}

/// What a guest has to pay with, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Means {
    /// What is online in kernel zones.
    pub kernel: u64,
    /// The memmaps of all memory that is there.
    pub memmaps: u64,
    /// What was set aside when the guest booted: for a crash kernel, or as huge pages.
    pub set_aside: u64,
    /// What the kernel uses of itself, at least.
    pub least_used: u64,
    /// The same at most, with what the page allocator keeps back and what programs may have.
    pub most_used: u64,
}

/// Whether memory can be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// There is enough, whatever the kernel uses.
    Fits,
    /// That depends on what the kernel uses.
    Open,
    /// There is not enough.
    Fails,
}

/// Memory that cannot be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// What it costs.
    pub cost: Cost,
    /// What there was.
    pub means: Means,
}

impl Cost {
    /// The cost of so many pages of memory, of which `own` hold memmap themselves.
    pub const fn of(pages: u64, own: u64) -> Self {
        let sections = pages.div_ceil(SECTION);
        let memmap = if own > 0 { 0 } else { (pages * 64).div_ceil(PAGE) };
        Self { memmap, least: sections * STRUCTURES.0, most: sections * STRUCTURES.1 }
    }
}

impl Means {
    /// Pages that are there for memmaps, at least and at most.
    pub const fn left(&self) -> (u64, u64) {
        let there = self.kernel.saturating_sub(self.memmaps).saturating_sub(self.set_aside);
        (there.saturating_sub(self.most_used), there.saturating_sub(self.least_used))
    }

    /// Whether they are enough.
    pub const fn fit(&self, cost: Cost) -> Fit {
        let (least, most) = self.left();
        if cost.memmap + cost.most <= least {
            Fit::Fits
        } else if cost.memmap + cost.least <= most {
            Fit::Open
        } else {
            Fit::Fails
        }
    }
}

impl Linux {
    /// What block `index`, which was added, takes of kernel memory.
    pub fn cost_of(&self, index: u64) -> Option<Cost> {
        let block = self.memory.blocks().get(&index).filter(|block| !block.early)?;
        Some(Cost::of(self.memory.block_pages(), block.memmap))
    }

    /// What the guest has to pay with now.
    pub fn means(&self) -> Means {
        let memory = &self.memory;
        let kernel = memory.nodes().flat_map(|(_, zones)| &zones[..3]).map(|zone| zone.present).sum::<u64>();
        let is_kernel = |index: u64| {
            let zone = memory.blocks().get(&index).and_then(|block| block.zone());
            zone.is_some_and(|zone| zone != Zone::Movable)
        };
        let unplugged: u64 = self.virtio_mem.values().map(|device| device.unplugged_pages(is_kernel)).sum();
        let kernel = kernel.saturating_sub(unplugged);
        let early = memory.nodes().flat_map(|(_, zones)| zones).map(|zone| zone.early).sum::<u64>();
        let used = |(fixed, share): (u64, u64)| fixed + early / share;
        let (share, most) = KEPT_BACK;
        let kept_back = if kernel / share < most { kernel / share } else { most };
        Means {
            kernel,
            memmaps: memory.memmaps(),
            set_aside: if memory.makes(Mistake::SetAsideIsFree) { 0 } else { self.settings.set_aside / PAGE },
            least_used: used(LEAST_USED),
            most_used: used(MOST_USED) + kept_back + self.in_use / PAGE,
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.memmap {
            0 => write!(f, "it holds its own memmap, and takes about {} of kernel memory", about(self.most)),
            memmap => write!(f, "its memmap takes {} of kernel memory", size(memmap * PAGE)),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cost, means } = self;
        let (_, most) = means.left();
        write!(
            f,
            "{cost}, and of the {} in kernel zones {} at most are left for that: other memmaps have {}",
            about(means.kernel),
            about(most),
            about(means.memmaps)
        )?;
        if means.set_aside > 0 {
            write!(f, ", {} are set aside", about(means.set_aside))?;
        }
        write!(f, ", and the kernel itself has {} at least", about(means.least_used))
    }
}

/// Pages as a number of MiB.
pub(crate) fn about(pages: u64) -> String {
    format!("{}M", pages.div_ceil(MIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB;

    fn means(kernel: u64) -> Means {
        let (memmaps, least_used, most_used) = (kernel / 64, 65 * MIB, 260 * MIB);
        Means { kernel, memmaps, set_aside: 0, least_used, most_used }
    }

    #[test]
    fn a_memmap_is_a_64th_unless_the_memory_holds_it() {
        assert_eq!(Cost::of(96 * GIB, 0).memmap, 1536 * MIB);
        assert_eq!(Cost::of(SECTION, 0), Cost { memmap: 2 * MIB, least: 1, most: 4 });
        assert_eq!(Cost::of(SECTION, 512).memmap, 0);
    }

    #[test]
    fn it_fits_or_fails_or_is_open_near_the_limit() {
        let one = means(GIB);
        for (gib, fit) in
            [(4, Fit::Fits), (44, Fit::Fits), (52, Fit::Open), (60, Fit::Fails), (96, Fit::Fails)]
        {
            assert_eq!(one.fit(Cost::of(gib * GIB, 0)), fit, "{gib} GiB");
        }
        assert_eq!(one.fit(Cost::of(96 * GIB, 512)), Fit::Fits, "it pays for itself");
        let set_aside = Means { set_aside: 512 * MIB, ..one };
        assert_eq!(set_aside.fit(Cost::of(32 * GIB, 0)), Fit::Fails);
    }

    #[test]
    fn the_sum_is_said() {
        let shortage = Shortage { cost: Cost::of(96 * GIB, 0), means: means(GIB) };
        assert_eq!(
            shortage.to_string(),
            "its memmap takes 1536M of kernel memory, and of the 1024M in kernel zones 943M at most are left for that: \
             other memmaps have 16M, and the kernel itself has 65M at least"
        );
    }
}
