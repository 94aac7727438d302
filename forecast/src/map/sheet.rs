//! The blocks of a machine in lines: by node, then by device, each line aligned to its own length, so that one column holds
//! numbers with the same last digits.

use std::collections::{BTreeMap, BTreeSet};

use dimmer_plan::memory::{Kind, MemoryStatus};

use super::look::Look;
use super::seen::Seen;
use super::words::gib;

/// What stands for boot memory where devices have their names.
pub const BOOT: &str = "boot RAM";
/// Most blocks of one device that are drawn; a machine of 128 TiB has that many.
const MOST: u64 = 1 << 20;
/// No machine has a block of this number; what a guest says need not make sense.
const HIGHEST: u64 = 1 << 48;

/// A line of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A node, with its memory in words.
    Node(String),
    /// Blocks.
    Cells {
        /// Their device, in its first line only.
        name: String,
        /// The number of the first column's block.
        first: u64,
        /// A cell for each column; `None` where no block can be.
        cells: Vec<Option<Look>>,
    },
    /// So many blocks that are not plugged, which would fill lines of their own.
    Gap(u64),
}

/// Blocks of one device in one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strip {
    /// The device, or [`BOOT`].
    pub name: String,
    /// Its blocks by their numbers, also those that are not plugged.
    pub blocks: BTreeMap<u64, Look>,
}

/// The blocks of a machine, by node and device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    nodes: BTreeMap<u32, Vec<Strip>>,
    block_size: u64,
}

impl Sheet {
    /// What was seen, sorted.
    pub fn new(seen: &Seen) -> Self {
        let mut left: BTreeMap<u64, (u32, Look)> = BTreeMap::new();
        for block in seen.layout.blocks.iter().filter(|block| block.index < HIGHEST) {
            let partly = seen.partly.contains_key(&block.index);
            let look = Look::of(block, seen.poisoned.contains(&block.index), partly);
            left.insert(block.index, (block.nodes.first().copied().unwrap_or_default(), look));
        }
        let mut nodes: BTreeMap<u32, Vec<Strip>> = BTreeMap::new();
        for device in &seen.devices {
            let (node, strip) = strip(device, seen.layout.block_size, &mut left);
            nodes.entry(node).or_default().push(strip);
        }
        let mut boot: BTreeMap<u32, BTreeMap<u64, Look>> = BTreeMap::new();
        for (index, (node, look)) in left {
            boot.entry(node).or_default().insert(index, look);
        }
        for (node, blocks) in boot {
            nodes.entry(node).or_default().push(Strip { name: BOOT.to_owned(), blocks });
        }
        for strips in nodes.values_mut() {
            strips.retain(|strip| !strip.blocks.is_empty());
            strips.sort_by_key(|strip| strip.blocks.keys().next().copied());
        }
        nodes.retain(|_, strips| !strips.is_empty());
        Self { nodes, block_size: seen.layout.block_size }
    }

    /// The longest name of a device.
    pub fn longest_name(&self) -> usize {
        self.nodes.values().flatten().map(|strip| strip.name.chars().count()).max().unwrap_or_default()
    }

    /// The lines, of so many columns each.
    pub fn rows(&self, columns: u64) -> Vec<Row> {
        let columns = columns.max(1);
        let mut rows = Vec::new();
        for (node, strips) in &self.nodes {
            rows.push(Row::Node(self.summary(*node, strips)));
            strips.iter().for_each(|strip| strip.rows(columns, &mut rows));
        }
        rows
    }

    /// The nodes in words, each with its devices by the first blocks of these.
    pub fn nodes(&self) -> impl Iterator<Item = (String, &[Strip])> {
        self.nodes.iter().map(|(node, strips)| (self.summary(*node, strips), strips.as_slice()))
    }

    /// A node in words.
    fn summary(&self, node: u32, strips: &[Strip]) -> String {
        let looks = || strips.iter().flat_map(|strip| strip.blocks.values());
        let size =
            |wanted: fn(&Look) -> bool| looks().filter(|look| wanted(look)).count() as u64 * self.block_size;
        let there = size(|look| !matches!(look, Look::Absent | Look::Missing));
        let offline = size(|look| matches!(look, Look::Offline(_)));
        let mut text = format!("node {node}: {}", gib(there));
        if offline > 0 {
            text.push_str(&format!(", {} of it offline", gib(offline)));
        }
        text
    }
}

/// A device's blocks, taken out of the guest's, with the node that the guest has them on.
fn strip(device: &MemoryStatus, size: u64, left: &mut BTreeMap<u64, (u32, Look)>) -> (u32, Strip) {
    let mut blocks = BTreeMap::new();
    let mut nodes = BTreeSet::new();
    // A DIMM is plugged as a whole; which blocks a virtio-mem device lacks in the guest, it does not tell.
    let lacks =
        if device.kind == Kind::Dimm && device.plugged_size > 0 { Look::Missing } else { Look::Absent };
    for range in device.ranges.iter().filter(|_| size > 0) {
        let end = range.start.saturating_add(range.size);
        for index in
            (range.start.div_ceil(size)..end / size).take(usize::try_from(MOST).unwrap_or(usize::MAX))
        {
            let found = left.remove(&index);
            nodes.extend(found.map(|(node, _)| node));
            blocks.insert(index, found.map_or(lacks, |(_, look)| look));
        }
    }
    let node = nodes.first().copied().unwrap_or(device.node);
    (node, Strip { name: device.id.clone(), blocks })
}

impl Strip {
    fn rows(&self, columns: u64, rows: &mut Vec<Row>) {
        let mut name = self.name.clone();
        let mut gap: Vec<(u64, Vec<Option<Look>>)> = Vec::new();
        let end_gap = |gap: &mut Vec<(u64, Vec<Option<Look>>)>, name: &mut String, rows: &mut Vec<Row>| {
            // A device shows where it would begin; and a line alone is no longer than its sum.
            if gap.len() == 1 || (!gap.is_empty() && !name.is_empty()) {
                let (first, cells) = gap.remove(0);
                rows.push(Row::Cells { name: std::mem::take(name), first, cells });
            }
            if !gap.is_empty() {
                rows.push(Row::Gap(gap.drain(..).flat_map(|(_, cells)| cells).flatten().count() as u64));
            }
        };
        let mut next = self.blocks.keys().next().copied();
        while let Some(index) = next {
            let first = index / columns * columns;
            let cells: Vec<_> =
                (first..first + columns).map(|index| self.blocks.get(&index).copied()).collect();
            if cells.iter().flatten().all(|look| *look == Look::Absent) {
                gap.push((first, cells));
            } else {
                end_gap(&mut gap, &mut name, rows);
                rows.push(Row::Cells { name: std::mem::take(&mut name), first, cells });
            }
            next = self.blocks.range(first + columns..).next().map(|(index, _)| *index);
        }
        end_gap(&mut gap, &mut name, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample::{device, seen};

    /// The lines as text.
    fn text(seen: &Seen, columns: u64) -> Vec<String> {
        let row = |row| match row {
            Row::Node(text) => text,
            Row::Gap(blocks) => format!("{blocks} not plugged"),
            Row::Cells { name, first, cells } => {
                let cells: String = cells.iter().map(|cell| cell.map_or(' ', Look::letter)).collect();
                format!("{name:8} {first:>4} {}", cells.trim_end())
            }
        };
        Sheet::new(seen).rows(columns).into_iter().map(row).collect()
    }

    #[test]
    fn blocks_stand_in_their_columns_by_node_and_device() {
        let expected = [
            "node 0: 6 GiB",
            "boot RAM    0 -DDDDDDDDDDDDDDD",
            "           32 NNNNNNNNNNNNNNNN",
            "d0         48 MMMMMMMM",
            "vmem0      64 MMMMMM%g········",
            "48 not plugged",
            "node 1: 768 MiB",
            "d1         48         NNNNNN!!",
        ];
        assert_eq!(text(&seen(), 16), expected);
    }

    #[test]
    fn short_lines_hold_as_much_as_long_ones() {
        let cells = |columns| {
            let rows = Sheet::new(&seen()).rows(columns);
            let count = |row: &Row| match row {
                Row::Cells { cells, .. } => cells.iter().flatten().count() as u64,
                Row::Gap(blocks) => *blocks,
                Row::Node(_) => 0,
            };
            rows.iter().map(count).sum::<u64>()
        };
        assert_eq!([1, 8, 16, 64, 256].map(cells), [cells(32); 5]);
        assert!(cells(0) > 0, "a window without room is no reason to stop");
    }

    #[test]
    fn a_machine_of_a_tebibyte_is_sorted_too() {
        let mut seen = seen();
        seen.devices = vec![device("vmem0", "virtio-mem", (64, 8192), 0)];
        seen.layout.blocks.retain(|block| block.index < 64);
        let rows = Sheet::new(&seen).rows(64);
        assert!(rows.contains(&Row::Gap(8192 - 64)), "{rows:?}");
    }

    #[test]
    fn nothing_seen_makes_no_lines() {
        assert_eq!(text(&Seen::default(), 16), [""; 0]);
    }
}
