//! One thing that is not as expected.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::verdict;

/// Whose word it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The oracle's.
    Oracle,
    /// The scenario's author's.
    Author,
}

/// One thing that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What: `blocks 48-55`, `outcome`, `_OST`, …
    pub what: String,
    /// Who expects.
    pub by: By,
    /// As it is to be.
    pub expected: String,
    /// As it is.
    pub seen: String,
    /// Why the oracle has it so; empty where there is no more to say.
    pub why: String,
}

impl Difference {
    /// What the oracle says is not so.
    pub fn oracle(what: &str, expected: String, seen: String) -> Self {
        Self { what: what.to_owned(), by: By::Oracle, expected, seen, why: String::new() }
    }

    /// What the author of the scenario wrote is not so.
    pub fn author(what: &str, expected: String, seen: String) -> Self {
        Self { by: By::Author, ..Self::oracle(what, expected, seen) }
    }

    /// The first and the last block that it is about, if it is about what blocks show.
    pub fn blocks(&self) -> Option<(u64, u64)> {
        let (word, range) = self.what.split_once(' ')?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let is_about_blocks = word == "block" || word == "blocks";
        is_about_blocks.then_some((first.parse().ok()?, last.parse().ok()?))
    }
}

impl From<verdict::Difference> for Difference {
    fn from(difference: verdict::Difference) -> Self {
        let verdict::Difference { what, expected, seen, why } = difference;
        Self { what: what.to_string(), by: By::Oracle, expected, seen, why }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            By::Oracle => "the oracle says",
            By::Author => "expected",
        };
        write!(f, "{}: {by} {}, seen {}", self.what, self.expected, self.seen)?;
        if !self.why.is_empty() {
            write!(f, " ({})", self.why)?;
        }
        Ok(())
    }
}
