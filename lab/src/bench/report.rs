//! What came of a bench: the raw values, the table that they make for each measure, and its texts.

use std::cmp::Ordering;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::measure::{self, Column, Measure};
use super::peer::{Kind, Program};
use super::statistics::{self, Ratio, Summary};

mod html;
mod markdown;
mod text;
mod words;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For a terminal.
    Text,
    /// All values, and the tables; `--from` reads it.
    Json,
    /// The document docs/performance.md.
    Markdown,
    /// The same as a page.
    Html,
}

/// All that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    /// What it was measured on, each thing with its name.
    pub machine: Vec<(String, String)>,
    /// What was measured, Dimmer first.
    pub programs: Vec<Program>,
    /// What could not be measured at all, and why.
    pub absent: Vec<(Kind, String)>,
    /// What came of each task.
    pub entries: Vec<Entry>,
}

/// What came of one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// The measure's name.
    pub measure: String,
    /// The program.
    pub kind: Kind,
    /// The round.
    pub round: usize,
    /// What came of it.
    pub outcome: Outcome,
}

/// What the rounds say of one measure.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// The measure's name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// The programs that have a place in each row, Dimmer first.
    pub kinds: Vec<Kind>,
    /// A row for each of the measure's columns.
    pub rows: Vec<Row>,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
}

/// One number of all programs.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it is.
    pub column: Column,
    /// The programs' values, none where there is nothing.
    pub cells: Vec<Option<Cell>>,
}

/// One number of one program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// Its values.
    pub summary: Summary,
    /// Dimmer's by this program's.
    pub ratio: Option<Ratio>,
    /// Which of the two is better, where the rounds say so.
    pub winner: Option<Kind>,
}

impl Results {
    /// The report.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn write(&self, format: Format) -> serde_json::Result<String> {
        let tables = self.tables();
        Ok(match format {
            Format::Text => text::write(self, &tables),
            Format::Markdown => markdown::write(self, &tables),
            Format::Html => html::page(self, &tables, SystemTime::now()).document(),
            Format::Json => {
                let mut all = serde_json::to_value(self)?;
                all["tables"] = serde_json::to_value(&tables)?;
                format!("{all:#}\n")
            }
        })
    }

    /// The results that an earlier report in JSON has.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(path: &Path) -> Result<Self, super::Error> {
        Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
    }

    /// The tables of all measures of which there is anything.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let has = |measure: &&&Measure| self.entries.iter().any(|entry| entry.measure == measure.name);
        measure::ALL.iter().filter(has).map(|measure| self.table(measure)).collect()
    }

    fn table(&self, measure: &'static Measure) -> Table {
        let all = self.programs.iter().map(|program| program.kind);
        let kinds: Vec<Kind> = all.filter(|&kind| measure.run.is_for(kind)).collect();
        let row = |(index, column): (usize, &Column)| {
            let cells = kinds.iter().map(|kind| self.cell(measure, index, *kind)).collect();
            Row { column: *column, cells }
        };
        let rows = measure.columns.iter().enumerate().map(row).collect();
        Table { name: measure.name, about: measure.about, kinds, rows, notes: self.notes(measure) }
    }

    fn cell(&self, measure: &Measure, column: usize, kind: Kind) -> Option<Cell> {
        let theirs = self.values(measure, column, kind);
        let values: Vec<f64> = theirs.iter().map(|(_, value)| *value).collect();
        let summary = statistics::summary(&values)?;
        let mut cell = Cell { summary, ratio: None, winner: None };
        if kind == Kind::Dimmer {
            return Some(cell);
        }
        let ours = self.values(measure, column, Kind::Dimmer);
        let pair = |(round, ours): &(usize, f64)| {
            let same = theirs.iter().find(|(other, _)| other == round);
            same.map(|(_, theirs)| (*ours, *theirs))
        };
        cell.ratio = statistics::ratio(&ours.iter().filter_map(pair).collect::<Vec<_>>());
        let less = if measure.columns[column].unit.more_is_better() { kind } else { Kind::Dimmer };
        let more = if less == kind { Kind::Dimmer } else { kind };
        cell.winner = cell.ratio.and_then(|ratio| ratio.verdict()).map(|verdict| match verdict {
            Ordering::Less => less,
            _ => more,
        });
        Some(cell)
    }

    /// The values of one column, each with its round.
    fn values(&self, measure: &Measure, column: usize, kind: Kind) -> Vec<(usize, f64)> {
        let is = |entry: &&Entry| entry.measure == measure.name && entry.kind == kind;
        let value = |entry: &Entry| match &entry.outcome {
            Outcome::Values(values) => {
                values.get(column).copied().flatten().map(|value| (entry.round, value))
            }
            Outcome::Cannot(_) | Outcome::Failed(_) => None,
        };
        self.entries.iter().filter(is).filter_map(value).collect()
    }

    fn notes(&self, measure: &Measure) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for Entry { kind, round, outcome, .. } in
            self.entries.iter().filter(|entry| entry.measure == measure.name)
        {
            let note = match outcome {
                Outcome::Values(_) => continue,
                Outcome::Cannot(why) => format!("{kind}: {why}"),
                Outcome::Failed(why) => format!("{kind} failed in round {round}: {why}"),
            };
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        notes
    }

    /// What a reader wants to know first: the machine, the versions, and who is not there.
    fn facts(&self) -> Vec<(String, String)> {
        let mut facts = self.machine.clone();
        facts.extend(self.programs.iter().map(|program| (program.kind.to_string(), program.version.clone())));
        facts
            .extend(self.absent.iter().map(|(kind, why)| (kind.to_string(), format!("not measured: {why}"))));
        facts
    }
}

impl Cell {
    fn values(&self) -> String {
        let Summary { median, least, most, .. } = self.summary;
        format!("{} ({}–{})", number(median), number(least), number(most))
    }

    /// The ratio with its interval and the winner's name; nothing for Dimmer itself.
    fn comparison(&self) -> String {
        let Some(Ratio { ratio, low, high, .. }) = self.ratio else { return String::new() };
        let winner = self.winner.map(|winner| format!(" {winner}")).unwrap_or_default();
        format!("{ratio:.2} ({low:.2}–{high:.2}){winner}")
    }
}

/// A number with three digits, more where it is large.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests;
