//! The panes beside the map, line by line.

use std::collections::BTreeMap;

use dimmer::ctl::what;
use dimmer::units::{Bytes, GIB, MIB};
use dimmer_agent::report::{Group, GroupKind, Layout};
use dimmer_devices::memory::{Kind, MemoryStatus, Outcome, State};
use dimmer_oracle::zone::PAGE;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};

use super::Palette;
use crate::map::seen::Seen;
use crate::map::view::{Pane, View};

mod outlook;

/// What a pane is called where another one names it.
pub const fn name(pane: Pane) -> &'static str {
    match pane {
        Pane::Devices => "devices",
        Pane::Groups => "groups",
        Pane::Outlook => "next",
        Pane::Events => "events",
    }
}

/// The lines of a pane that fit into `area`.
pub fn lines(view: &View, palette: Palette, pane: Pane, area: Rect) -> Vec<Line<'static>> {
    let Some(seen) = &view.seen else { return Vec::new() };
    let height = usize::from(area.height);
    match pane {
        Pane::Devices => devices(seen, view.cursor, palette, height),
        Pane::Groups => groups(seen, view.cursor, palette, height),
        Pane::Outlook => outlook::lines(&view.outlook, palette, usize::from(area.width)),
        Pane::Events => events(seen, palette, height),
    }
}

/// The guest's kernel and the settings that decide on zones.
pub fn settings(layout: &Layout) -> String {
    let unknown = || "unknown".to_owned();
    let total = layout.mem_total_kb.map_or_else(unknown, |kib| gib(kib << 10));
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
    let broken = broken.map_or_else(String::new, |kib| format!(", {} poisoned", Bytes(kib << 10)));
    let Layout { kernel, block_size, .. } = layout;
    format!(
        "Linux {kernel}, {total}{broken}, blocks of {}, {policy}, new blocks: {comes}",
        Bytes(*block_size)
    )
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

/// A heading and lines of a table, each column as wide as it must be; the lines around `wanted` where not all fit.
fn table<const N: usize>(
    heading: [&str; N],
    rows: &[([String; N], bool)],
    palette: Palette,
    height: usize,
) -> Vec<Line<'static>> {
    let width = |column: usize| {
        let cells = rows.iter().map(|(row, _)| row[column].chars().count());
        cells.chain([heading[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [String; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let wanted = rows.iter().position(|(_, wanted)| *wanted).unwrap_or_default();
    let room = height.saturating_sub(1);
    let more = rows.len() > room;
    let room = if more { room.saturating_sub(1) } else { room };
    let first = (wanted + 1).saturating_sub(room).min(rows.len().saturating_sub(room));
    let mut lines = vec![Line::styled(line(heading.map(str::to_owned)), palette.quiet())];
    for (cells, wanted) in rows.iter().skip(first).take(room) {
        let text = Line::from(line(cells.clone()));
        lines.push(if *wanted { text.bold() } else { text });
    }
    if more {
        lines.push(Line::styled(format!("… {} of {}", room, rows.len()), palette.quiet()));
    }
    lines
}

fn devices(seen: &Seen, cursor: u64, palette: Palette, height: usize) -> Vec<Line<'static>> {
    if seen.devices.is_empty() {
        return vec![Line::styled("There are no memory devices; p plugs a DIMM.", palette.quiet())];
    }
    let chosen = seen.device(cursor).map(|device| device.id.as_str());
    let row = |device: &MemoryStatus| (device_row(device), chosen == Some(device.id.as_str()));
    let rows: Vec<_> = seen.devices.iter().map(row).collect();
    table(["NAME", "KIND", "NODE", "PLUGGED", "STATE"], &rows, palette, height)
}

fn device_row(device: &MemoryStatus) -> [String; 5] {
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

/// How many groups there are.
pub fn group_count(seen: &Seen) -> usize {
    shown_groups(seen).len()
}

fn groups(seen: &Seen, cursor: u64, palette: Palette, height: usize) -> Vec<Line<'static>> {
    let groups = shown_groups(seen);
    if groups.is_empty() {
        let why =
            seen.layout.groups_unknown.as_deref().map(|why| format!("Memory groups are not known: {why}"));
        let text = why.unwrap_or_else(|| "There are no memory groups: all memory is boot memory.".to_owned());
        return vec![Line::styled(text, palette.quiet())];
    }
    let chosen = seen.block(cursor).and_then(|block| block.group.as_ref()).map(|group| group.id);
    let pages = |pages: u64| gib(pages.saturating_mul(PAGE));
    let row = |(id, (first, group)): (&u32, &(u64, &Group))| {
        let unit = match group.kind {
            GroupKind::Static => group.max_pages.map(|most| format!("at most {}", pages(most))),
            GroupKind::Dynamic => {
                group.unit_pages.map(|unit| format!("unit {}", Bytes(unit.saturating_mul(PAGE))))
            }
        };
        let device = seen.device(*first).map_or_else(|| "-".to_owned(), |device| device.id.clone());
        let cells = [
            id.to_string(),
            device,
            group.kind.to_string(),
            pages(group.present_kernel),
            pages(group.present_movable),
            unit.unwrap_or_default(),
        ];
        (cells, chosen == Some(*id))
    };
    let rows: Vec<_> = groups.iter().map(row).collect();
    table(["GROUP", "DEVICE", "KIND", "KERNEL", "MOVABLE", ""], &rows, palette, height)
}

fn events(seen: &Seen, palette: Palette, height: usize) -> Vec<Line<'static>> {
    let last = &seen.events[seen.events.len().saturating_sub(height)..];
    let line = |event: &dimmer::events::Event| {
        let time = format!("{:>8.1} s  ", event.timestamp.as_secs_f64());
        Line::from(vec![Span::styled(time, palette.quiet()), Span::from(what(&event.what))])
    };
    last.iter().map(line).collect()
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
