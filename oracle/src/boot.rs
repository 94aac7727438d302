//! What memory looks like right after boot: from the firmware's memory map to blocks and zones.

use std::collections::BTreeSet;
use std::ops::Range;

use super::memory::{Memory, Part};
use super::policy::Policy;
use super::release::Release;
use super::rule::Rule;
use super::zone::{PAGE, SECTION, Zone};
use holes::Ram;
use movable::Borders;

mod holes;
pub mod movable;

pub use movable::{Amount, Core};

/// Bytes of a section, the smallest memory block.
const SECTION_BYTES: u64 = SECTION * PAGE;
/// From this end of RAM on, memory blocks are larger (`MEM_SIZE_FOR_LARGE_BLOCK`, arch/x86/mm/init_64.c).
const LARGE: u64 = 64 << 30;
/// The largest memory block.
const LARGEST_BLOCK: u64 = 2 << 30;
/// The BIOS area, which the kernel never takes for RAM (`trim_bios_range`).
const BIOS: Range<u64> = 640 << 10..1 << 20;

/// Boot memory in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootMemory {
    /// What the firmware says is RAM, ascending.
    pub usable: Vec<Range<u64>>,
    /// Which node each part of the address space belongs to, ascending; covers all RAM.
    pub nodes: Vec<(Range<u64>, u32)>,
}

impl BootMemory {
    /// Bytes of a memory block: 128 MiB, but where RAM ends at 64 GiB or above the largest power of two up
    /// to 2 GiB that divides the end of RAM, on a virtual machine (`probe_memory_block_size`).
    pub fn block_size(&self) -> u64 {
        let end = self.usable.last().map_or(0, |last| last.end / PAGE * PAGE);
        let mut size = LARGEST_BLOCK;
        if end < LARGE {
            return SECTION_BYTES;
        }
        while size > SECTION_BYTES && !end.is_multiple_of(size) {
            size /= 2;
        }
        size
    }

    /// RAM as the kernel takes it, in page frames with their node: whole pages, without the first one and
    /// without the BIOS area.
    fn frames(&self) -> Vec<(Range<u64>, u32)> {
        let mut all = Vec::new();
        for usable in &self.usable {
            for cut in [PAGE..BIOS.start, BIOS.end..u64::MAX] {
                let part = usable.start.max(cut.start)..usable.end.min(cut.end);
                for (range, node) in &self.nodes {
                    let (start, end) = (part.start.max(range.start), part.end.min(range.end));
                    let frames = start.div_ceil(PAGE)..end / PAGE;
                    if start < end && !frames.is_empty() {
                        all.push((frames, *node));
                    }
                }
            }
        }
        all
    }

    /// Memory as a kernel of this release has it after boot with `kernelcore=` or `movablecore=`, all blocks online.
    pub fn boot_with(&self, release: Release, policy: Policy, core: Core) -> Memory {
        let mut memory = Memory::new(self.block_size(), policy);
        if self.block_size() > SECTION_BYTES {
            memory.meet(Rule::LargeBlocks);
        }
        let frames = self.frames();
        let borders = if policy.movable_node { Borders::default() } else { core.borders(&frames) };
        let ram = Ram { frames: &frames, borders: &borders };
        for node in self.node_numbers() {
            set_spans(&mut memory, node, &frames, &borders);
        }
        for (index, (present, node)) in frames.iter().enumerate() {
            let with_holes = ram.with_holes(index, release);
            for zone in Zone::ALL {
                let cut = |range: &Range<u64>| {
                    let zone = borders.cut(*node, zone);
                    range.start.max(zone.start)..range.end.min(zone.end)
                };
                let part = cut(&with_holes);
                if !part.is_empty() {
                    let present = cut(present);
                    memory.boot(
                        Part { frames: part, node: *node, zone },
                        present.end.saturating_sub(present.start),
                    );
                }
            }
        }
        ram.mark_holes(&mut memory, release);
        let sections = frames.iter().flat_map(|(part, _)| part.start / SECTION..part.end.div_ceil(SECTION));
        let sections: BTreeSet<u64> = sections.collect();
        memory.add_boot_memmap(sections.len() as u64 * SECTION * 64 / PAGE);
        memory
    }

    fn node_numbers(&self) -> Vec<u32> {
        let mut nodes: Vec<u32> = self.nodes.iter().map(|(_, node)| *node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

/// A zone spans its share of everything between the node's first and last RAM, holes included.
fn set_spans(memory: &mut Memory, node: u32, frames: &[(Range<u64>, u32)], borders: &Borders) {
    let own = || frames.iter().filter(|(_, other)| *other == node);
    let (Some(first), Some(last)) = (own().next(), own().next_back()) else { return };
    for zone in Zone::ALL {
        let zone_frames = borders.cut(node, zone);
        let span = first.0.start.max(zone_frames.start)..last.0.end.min(zone_frames.end);
        if !span.is_empty() {
            memory.set_span(node, zone, span);
        }
    }
}

#[cfg(test)]
impl BootMemory {
    /// Memory as 6.12 has it after boot without any of that.
    pub fn boot(&self, policy: Policy) -> Memory {
        self.boot_with(Release::new(6, 12), policy, Core::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn one_node(usable: &[Range<u64>]) -> BootMemory {
        BootMemory { usable: usable.to_vec(), nodes: vec![(0..u64::MAX, 0)] }
    }

    /// 4 GiB, half of them above 4 GiB.
    fn s4() -> BootMemory {
        one_node(&[0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB])
    }

    #[test]
    fn early_kernel_pages_are_ram_without_page_0_and_the_bios() {
        let memory = s4().boot(Policy::default());
        let early: u64 = Zone::KERNEL.iter().map(|zone| memory.zone(0, *zone).early).sum();
        assert_eq!(early, 1_048_478);
        assert_eq!(memory.zone(0, Zone::Dma).span, 1..4096);
        assert_eq!(
            memory.zone(0, Zone::Dma32).span,
            4096..1 << 20,
            "up to 4 GiB, although RAM ends at 2 GiB"
        );
        assert_eq!(memory.zone(0, Zone::Normal).span, 1 << 20..3 << 19);
    }

    #[test]
    fn boot_blocks_show_their_zone_or_none() {
        let memory = s4().boot(Policy::default());
        let indices: Vec<u64> = memory.blocks().keys().copied().collect();
        assert_eq!(indices, (0..16).chain(32..48).collect::<Vec<_>>());
        for (index, words) in [(0, "none"), (1, "DMA32"), (15, "DMA32"), (32, "Normal"), (47, "Normal")] {
            assert_eq!(memory.valid_zones(index), [words], "block {index}");
        }
    }

    #[test]
    fn a_block_on_two_nodes_has_no_zone() {
        let nodes = vec![(0..4 * GIB + 64 * MIB, 0), (4 * GIB + 64 * MIB..u64::MAX, 1)];
        let memory = BootMemory { nodes, ..s4() }.boot(Policy::default());
        assert_eq!(memory.valid_zones(32), ["none"]);
        assert_eq!(memory.blocks()[&32].nodes(), [0, 1]);
        assert_eq!(memory.zone(0, Zone::Normal).present, 64 * MIB / PAGE);
    }

    #[test]
    fn blocks_grow_with_the_end_of_ram() {
        for (end, size) in
            [(6 * GIB, 128 * MIB), (64 * GIB, 2 * GIB), (65 * GIB, GIB), (64 * GIB + 256 * MIB, 256 * MIB)]
        {
            let boot = one_node(&[MIB..2 * GIB, end - GIB..end]);
            assert_eq!(boot.block_size(), size, "RAM up to {end:#x}");
        }
    }
}
