//! What is on the screen: what was seen, the block that is chosen, what is being typed, what came of what was done.

use super::deed::{Deed, Question};
use super::draw::geometry::Geometry;
use super::outlook::{Next, outlook};
use super::seen::Seen;
use super::sheet::{Row, Sheet};

/// The panes that a window without room for all shows one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    /// The memory devices.
    Devices,
    /// Memory groups.
    Groups,
    /// Where the next memory would go.
    Outlook,
    /// What happened.
    Events,
}

impl Pane {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Devices, Self::Groups, Self::Outlook, Self::Events];

    /// The one behind it.
    pub fn next(self) -> Self {
        let place = Self::ALL.iter().position(|pane| *pane == self).unwrap_or_default();
        Self::ALL[(place + 1) % Self::ALL.len()]
    }
}

/// What came of something that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// It is done.
    Done(String),
    /// It is not, and why.
    Failed(String),
}

/// A question with what was typed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The question.
    pub question: Question,
    /// The answer so far.
    pub answer: String,
}

/// The smallest and the largest DIMM that the outlook is about, in bytes.
const SIZES: (u64, u64) = (128 << 20, 1 << 40);

/// All that is on the screen.
#[derive(Debug, Clone)]
pub struct View {
    /// What was seen last; nothing at first.
    pub seen: Option<Seen>,
    /// Why nothing newer was seen, if there is a reason.
    pub trouble: Option<String>,
    /// The block that is chosen.
    pub cursor: u64,
    /// What is being asked.
    pub prompt: Option<Prompt>,
    /// What came of what was done last.
    pub message: Option<Message>,
    /// What is being done.
    pub under_way: Vec<Deed>,
    /// The pane that is shown where there is room for one.
    pub pane: Pane,
    /// The DIMM that the outlook is about, in bytes.
    pub next_size: u64,
    /// Where the next memory would go, or why that is not known.
    pub outlook: Result<Vec<Next>, String>,
    /// The lines of the map, and the first one on the screen.
    pub rows: Vec<Row>,
    /// See `rows`.
    pub top: usize,
    /// Names that DIMMs were given and no look has shown yet.
    given: Vec<String>,
    sheet: Sheet,
    columns: u64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            seen: None,
            trouble: None,
            cursor: 0,
            prompt: None,
            message: None,
            under_way: Vec::new(),
            pane: Pane::Devices,
            next_size: 4 << 30,
            outlook: Ok(Vec::new()),
            rows: Vec::new(),
            top: 0,
            given: Vec::new(),
            sheet: Sheet::default(),
            columns: 0,
        }
    }
}

impl View {
    /// Takes in what was seen.
    pub fn see(&mut self, seen: Seen) {
        self.sheet = Sheet::new(&seen);
        self.outlook = outlook(&seen, self.next_size);
        self.given.retain(|name| seen.devices.iter().all(|device| device.id != *name));
        self.seen = Some(seen);
        self.trouble = None;
        self.rows = self.sheet.rows(self.columns);
    }

    /// A deed begins.
    pub fn begin(&mut self, deed: Deed) {
        if let Deed::Plug { id, .. } = &deed {
            self.given.push(id.clone());
        }
        self.message = None;
        self.under_way.push(deed);
    }

    /// What a deed came to.
    pub fn end(&mut self, deed: &Deed, message: Message) {
        if let Some(place) = self.under_way.iter().position(|other| other == deed) {
            self.under_way.remove(place);
        }
        self.message = Some(message);
    }

    /// Sorts the map into lines of the window's width, and scrolls to the block that is chosen.
    pub fn fit(&mut self, geometry: &Geometry) {
        if geometry.columns != self.columns {
            self.columns = geometry.columns;
            self.rows = self.sheet.rows(self.columns);
        }
        let height = usize::from(geometry.map_height()).max(1);
        let Some((row, _)) = self.place() else { return };
        // The line of its node is shown with the first line.
        let first = row.saturating_sub(usize::from(matches!(
            row.checked_sub(1).map(|row| &self.rows[row]),
            Some(Row::Node(_))
        )));
        self.top =
            self.top.min(first).max((row + 1).saturating_sub(height)).min(self.rows.len().saturating_sub(1));
        if self.rows.len() <= height {
            self.top = 0;
        }
    }

    /// The width of the column of names.
    pub fn name_width(&self) -> usize {
        self.sheet.longest_name().clamp(4, 12)
    }

    /// Line and column of the block that is chosen; of the nearest one when it is not there any more.
    pub fn place(&self) -> Option<(usize, usize)> {
        let nearest = |(row, column): &(usize, usize)| {
            self.index(*row, *column).unwrap_or_default().abs_diff(self.cursor)
        };
        let here = |row: usize| {
            let Row::Cells { first, cells, .. } = &self.rows[row] else { return None };
            let column = usize::try_from(self.cursor.checked_sub(*first)?).ok()?;
            cells.get(column).copied().flatten().map(|_| (row, column))
        };
        (0..self.rows.len()).find_map(here).or_else(|| self.places().min_by_key(nearest))
    }

    /// All places of blocks.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.rows.iter().enumerate().flat_map(|(row, line)| {
            let cells = match line {
                Row::Cells { cells, .. } => cells.as_slice(),
                Row::Node(_) | Row::Gap(_) => &[],
            };
            let there = cells.iter().enumerate().filter(|(_, cell)| cell.is_some());
            there.map(move |(column, _)| (row, column))
        })
    }

    fn index(&self, row: usize, column: usize) -> Option<u64> {
        match self.rows.get(row)? {
            Row::Cells { first, .. } => Some(first + column as u64),
            Row::Node(_) | Row::Gap(_) => None,
        }
    }

    /// Chooses the block before (`-1`) or behind (`1`) the chosen one.
    pub fn step(&mut self, by: isize) {
        let Some(place) = self.place() else { return };
        let next = match by {
            ..0 => self.places().take_while(|other| *other < place).last(),
            0.. => self.places().find(|other| *other > place),
        };
        let (row, column) = next.unwrap_or(place);
        self.cursor = self.index(row, column).unwrap_or(self.cursor);
    }

    /// Chooses the block so many lines below, or above if negative, or the last one that there is that way.
    pub fn climb(&mut self, by: isize) {
        let Some((row, column)) = self.place() else { return };
        let lines: Vec<usize> =
            (0..self.rows.len()).filter(|row| matches!(self.rows[*row], Row::Cells { .. })).collect();
        let at = lines.iter().position(|line| *line == row).unwrap_or_default();
        let to = lines[at.saturating_add_signed(by).min(lines.len() - 1)];
        let near = |(_, other): &(usize, usize)| other.abs_diff(column);
        if let Some((row, column)) = self.places().filter(|(row, _)| *row == to).min_by_key(near) {
            self.cursor = self.index(row, column).unwrap_or(self.cursor);
        }
    }

    /// Makes the DIMM that the outlook is about twice as large, or half as large.
    pub fn resize_next(&mut self, larger: bool) {
        let size = if larger { self.next_size * 2 } else { self.next_size / 2 };
        self.next_size = size.clamp(SIZES.0, SIZES.1);
        if let Some(seen) = &self.seen {
            self.outlook = outlook(seen, self.next_size);
        }
    }

    /// A name that no device has, nor will have once all is done that was begun.
    pub fn free_name(&self) -> String {
        let devices = self.seen.iter().flat_map(|seen| &seen.devices);
        let names: Vec<&String> = devices.map(|device| &device.id).chain(&self.given).collect();
        (0..).map(|number: u32| format!("d{number}")).find(|name| !names.contains(&name)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
