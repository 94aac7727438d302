//! A whole check, written for people or for machines.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::{Entry, Outcome};

mod html;
mod human;
mod json;
mod junit;
mod tap;
#[cfg(test)]
mod tests;

/// A whole check.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The share of the work that it is about, such as `2/5`; none for all of it.
    pub shard: Option<String>,
    /// What became of each scenario on each kernel, by scenario.
    pub entries: Vec<Entry>,
    /// How long it took.
    pub seconds: f64,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: what went wrong, and a summary.
    #[default]
    Human,
    /// One JSON document.
    Json,
    /// JUnit's XML.
    Junit,
    /// The Test Anything Protocol, version 14.
    Tap,
}

impl Report {
    /// Writes it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, format: Format, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Human => human::write(self, out),
            Format::Json => json::write(self, out),
            Format::Junit => junit::write(self, out),
            Format::Tap => tap::write(self, out),
        }
    }

    /// Writes it as a page of HTML into `directory`, which need not exist yet. Returns where the page is.
    ///
    /// # Errors
    /// Those of the host's files.
    pub fn write_page(&self, directory: &Path) -> io::Result<PathBuf> {
        html::page(self, SystemTime::now()).write(directory)
    }

    /// The exit status: 0 when all is as expected, 1 when something differs, else 2 when something could not be carried
    /// out.
    pub fn status(&self) -> u8 {
        let any = |wanted: fn(&Outcome) -> bool| self.entries.iter().any(|entry| wanted(&entry.outcome));
        if any(|outcome| matches!(outcome, Outcome::Differs { .. })) {
            return 1;
        }
        if any(|outcome| matches!(outcome, Outcome::Failed { .. })) { 2 } else { 0 }
    }

    /// How many passed, differ, failed and were skipped.
    fn counts(&self) -> [usize; 4] {
        let mut counts = [0; 4];
        for entry in &self.entries {
            counts[match entry.outcome {
                Outcome::Passed { .. } => 0,
                Outcome::Differs { .. } => 1,
                Outcome::Failed { .. } => 2,
                Outcome::Skipped => 3,
            }] += 1;
        }
        counts
    }
}
