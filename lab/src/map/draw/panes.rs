//! The panes beside the map, line by line.

use dimmer_devices::memory::MemoryStatus;
use ratatui::layout::Rect;
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};

use super::Palette;
use crate::map::seen::{Seen, Told};
use crate::map::view::{Pane, View};
use crate::map::words;

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
    let row = |device: &MemoryStatus| (words::device(device), chosen == Some(device.id.as_str()));
    let rows: Vec<_> = seen.devices.iter().map(row).collect();
    table(["NAME", "KIND", "NODE", "PLUGGED", "STATE"], &rows, palette, height)
}

fn groups(seen: &Seen, cursor: u64, palette: Palette, height: usize) -> Vec<Line<'static>> {
    let rows = words::groups(seen);
    if rows.is_empty() {
        return vec![Line::styled(words::no_groups(&seen.layout), palette.quiet())];
    }
    let chosen = seen.block(cursor).and_then(|block| block.group.as_ref()).map(|group| group.id);
    let rows: Vec<_> = rows.into_iter().map(|(id, cells)| (cells, chosen == Some(id))).collect();
    table(["GROUP", "DEVICE", "KIND", "KERNEL", "MOVABLE", ""], &rows, palette, height)
}

fn events(seen: &Seen, palette: Palette, height: usize) -> Vec<Line<'static>> {
    let last = &seen.events[seen.events.len().saturating_sub(height)..];
    let line = |event: &Told| {
        let time = format!("{:>8.1} s  ", event.timestamp.as_secs_f64());
        Line::from(vec![Span::styled(time, palette.quiet()), Span::from(event.text.clone())])
    };
    last.iter().map(line).collect()
}
