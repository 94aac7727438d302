//! What machine and guest show, in the words of people: for the terminal and for pages alike.

use std::collections::BTreeMap;

use dimmer_oracle::zone::PAGE;
use dimmer_plan::memory::{Kind, MemoryStatus, Outcome, State};
use dimmer_plan::units::{Bytes, GIB, MIB};

use super::seen::Seen;
use super::sheet::BOOT;
use crate::layout::{Group, GroupKind, Layout};

/// The guest's kernel and the settings that decide on zones.
pub fn settings(layout: &Layout) -> String {
    let unknown = || "unknown".to_owned();
    let total = layout.mem_total_kb.map_or_else(String::new, |kib| format!("{}, ", gib(kib << 10)));
    let policy = match layout.online_policy.as_deref() {
        None => "contig-zones".to_owned(),
        Some("auto-movable") => {
            let ratio = layout.auto_movable_ratio.map_or_else(unknown, |ratio| ratio.to_string());
            let aware = if layout.auto_movable_numa_aware == Some(true) { ", numa-aware" } else { "" };
            format!("auto-movable at {ratio} %{aware}")
        }
        Some(other) => other.to_owned(),
    };
    let comes = layout.auto_online_blocks.as_deref().unwrap_or("unknown");
    let broken = layout.hardware_corrupted_kb.filter(|kib| *kib > 0);
    let broken = broken.map_or_else(String::new, |kib| format!("{} poisoned, ", Bytes(kib << 10)));
    let Layout { kernel, block_size, .. } = layout;
    format!("Linux {kernel}, {total}{broken}blocks of {}, {policy}, new blocks: {comes}", Bytes(*block_size))
}

/// Bytes with up to two digits of a gibibyte, or in mebibytes.
pub fn gib(bytes: u64) -> String {
    if bytes < GIB && bytes.is_multiple_of(MIB) {
        return if bytes == 0 { "0".to_owned() } else { Bytes(bytes).to_string() };
    }
    let hundredths = (u128::from(bytes) * 100) >> 30;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    match part {
        0 => format!("{whole} GiB"),
        part if part.is_multiple_of(10) => format!("{whole}.{} GiB", part / 10),
        part => format!("{whole}.{part:02} GiB"),
    }
}

/// A device: its name, kind, node, what is plugged of it, and its state.
pub fn device(device: &MemoryStatus) -> [String; 5] {
    let kind = if device.kind == Kind::Dimm { "DIMM" } else { "virtio-mem" };
    let plugged = Bytes(device.plugged_size);
    let asked = match device.requested_size == device.plugged_size {
        true => plugged.to_string(),
        false => format!("{plugged} → {}", Bytes(device.requested_size)),
    };
    let all: u64 = device.ranges.iter().map(|range| range.size).fold(0, u64::saturating_add);
    let of = if device.kind == Kind::VirtioMem { format!(" of {}", Bytes(all)) } else { String::new() };
    let state = match device.state {
        State::Idle => "idle",
        State::Plugging => "plugging",
        State::Plugged => "plugged",
        State::Unplugging => "unplugging",
    };
    let last = device.last.as_ref().filter(|last| last.outcome != Outcome::Done).map(|last| {
        let outcome = if last.outcome == Outcome::Partial { "done in part" } else { "refused" };
        format!(", {outcome}: {}", last.reason.as_deref().unwrap_or("no reason"))
    });
    let state = format!("{state}{}", last.unwrap_or_default());
    [device.id.clone(), kind.to_owned(), device.node.to_string(), asked + &of, state]
}

/// The groups that the guest shows, with the first block of each.
fn shown_groups(seen: &Seen) -> BTreeMap<u32, (u64, &Group)> {
    let mut groups = BTreeMap::new();
    for block in &seen.layout.blocks {
        if let Some(group) = &block.group {
            groups.entry(group.id).or_insert((block.index, group));
        }
    }
    groups
}

/// Each group: its number, and as cells its number, device, kind, what is online in kernel zones and in Movable, and its
/// limit or unit.
pub fn groups(seen: &Seen) -> Vec<(u32, [String; 6])> {
    let pages = |pages: u64| gib(pages.saturating_mul(PAGE));
    let row = |(id, (first, group)): (u32, (u64, &Group))| {
        let unit = match group.kind {
            GroupKind::Static => group.max_pages.map(|most| format!("at most {}", pages(most))),
            GroupKind::Dynamic => {
                group.unit_pages.map(|unit| format!("unit {}", Bytes(unit.saturating_mul(PAGE))))
            }
        };
        let device = seen.device(first).map_or_else(|| "-".to_owned(), |device| device.id.clone());
        let kind = group.kind.to_string();
        let (kernel, movable) = (pages(group.present_kernel), pages(group.present_movable));
        (id, [id.to_string(), device, kind, kernel, movable, unit.unwrap_or_default()])
    };
    shown_groups(seen).into_iter().map(row).collect()
}

/// Why there are no groups.
pub fn no_groups(layout: &Layout) -> String {
    match &layout.groups_unknown {
        Some(why) => format!("Memory groups are not known: {why}"),
        None => "There are no memory groups: all memory is boot memory.".to_owned(),
    }
}

/// A block: where it is, and what it shows.
pub fn block(seen: &Seen, index: u64) -> Vec<String> {
    let device = seen.device(index).map_or(BOOT, |device| device.id.as_str());
    let address = index.saturating_mul(seen.layout.block_size);
    let mut words = vec![format!("{device} at {address:#x}")];
    match seen.block(index) {
        None => words.push("the guest has no such block".to_owned()),
        Some(block) => {
            words.push(format!("{} {}", block.state, block.zones.join(", ")));
            let nodes: Vec<String> = block.nodes.iter().map(u32::to_string).collect();
            words.push(format!("node {}", nodes.join("+")));
            words.extend(block.group.as_ref().map(|group| format!("{} group {}", group.kind, group.id)));
        }
    }
    words.extend(seen.partly.get(&index).map(|bytes| format!("{} of it plugged", Bytes(*bytes))));
    words.extend(seen.poisoned.contains(&index).then(|| "a memory error was reported in it".to_owned()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        const SIZES: [(u64, &str); 6] = [
            (0, "0"),
            (128 << 20, "128 MiB"),
            (4 << 30, "4 GiB"),
            ((4 << 30) + (512 << 20), "4.5 GiB"),
            ((12 << 30) + (30 << 20), "12.02 GiB"),
            (u64::MAX, "17179869183.99 GiB"),
        ];
        for (bytes, text) in SIZES {
            assert_eq!(gib(bytes), text);
        }
    }
}
