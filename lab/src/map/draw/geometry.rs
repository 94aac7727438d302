//! Where things are in a window.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::map::view::{Pane, View};
use crate::map::words;

/// The smallest window: columns and lines.
pub const SMALLEST: (u16, u16) = (44, 12);
/// From this width on, all panes are beside the map.
const WIDE: u16 = 100;
/// From this height on, there is a pane below a map without panes beside it.
const HIGH: u16 = 22;
/// Columns of a line's first block number, with a space on each side.
const NUMBER: u16 = 9;
/// Most cells in a line.
const MOST: u64 = 256;

/// Where things are.
#[derive(Debug, Clone)]
pub struct Geometry {
    /// The line at the top.
    pub title: Rect,
    /// The map, with its frame.
    pub map: Rect,
    /// What the letters mean.
    pub legend: Rect,
    /// The panes.
    pub panes: Vec<(Pane, Rect)>,
    /// What is said of the chosen block.
    pub chosen: Rect,
    /// Questions and answers.
    pub message: Rect,
    /// The keys.
    pub keys: Rect,
    /// Cells in a line.
    pub columns: u64,
}

impl Geometry {
    /// Divides a window; nothing where it is too small.
    pub fn of(area: Rect, view: &View) -> Option<Self> {
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            return None;
        }
        let legend_lines = if area.width >= 130 { 1 } else { 2 };
        let [title, middle, legend, chosen, message, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(legend_lines),
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(1),
        ])
        .areas(area);
        let (map, panes) =
            if area.width >= WIDE { beside(middle, view) } else { below(middle, view, area.height) };
        let name = u16::try_from(view.name_width()).unwrap_or_default();
        let room = map.width.saturating_sub(2 + name + NUMBER);
        let columns = [16, 32, 64, 128].into_iter().rfind(|columns| *columns <= room);
        let columns = columns.map_or(8, u64::from).min(MOST);
        Some(Self { title, map, legend, panes, chosen, message, keys, columns })
    }

    /// Lines of the map inside its frame.
    pub const fn map_height(&self) -> u16 {
        self.map.height.saturating_sub(2)
    }
}

/// All panes beside the map, each with about what it needs.
fn beside(middle: Rect, view: &View) -> (Rect, Vec<(Pane, Rect)>) {
    let side = (middle.width * 9 / 20).clamp(50, 84);
    let [map, side] = Layout::horizontal([Constraint::Min(30), Constraint::Length(side)]).areas(middle);
    let seen = view.seen.as_ref();
    // With its frame, and no more than its share.
    let lines = |count: usize, share: u16| {
        u16::try_from(count).unwrap_or(u16::MAX).saturating_add(2).max(4).min(side.height / share + 1)
    };
    let devices = lines(seen.map_or(1, |seen| seen.devices.len() + 1), 4);
    let groups = lines(seen.map_or(1, |seen| words::groups(seen).len() + 1), 4);
    let ahead = lines(view.outlook.as_ref().map_or(2, |all| all.len() * 4), 3);
    let places: [Rect; 4] = Layout::vertical([
        Constraint::Length(devices),
        Constraint::Length(groups),
        Constraint::Length(ahead),
        Constraint::Min(3),
    ])
    .areas(side);
    (map, Pane::ALL.into_iter().zip(places).collect())
}

/// One pane below the map, if there is room.
fn below(middle: Rect, view: &View, height: u16) -> (Rect, Vec<(Pane, Rect)>) {
    if height < HIGH {
        return (middle, Vec::new());
    }
    let [map, pane] = Layout::vertical([Constraint::Min(6), Constraint::Length(height / 3)]).areas(middle);
    (map, vec![(view.pane, pane)])
}
