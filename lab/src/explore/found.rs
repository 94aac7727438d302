//! What came of a history.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::check::judge::{CheckError, Checking, Failure};
use crate::check::{Difference, Run};

/// What came of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Guest and oracle agree after every step.
    Nothing {
        /// Blocks that were compared, over all steps.
        blocks: u64,
    },
    /// They differ.
    Difference {
        /// The step after which they do; 0 is the boot.
        step: usize,
        /// Each difference, a line.
        lines: Vec<String>,
        /// The same for pictures.
        #[serde(default)]
        memory: Memory,
    },
    /// The guest was lost, or could not be asked: that says nothing about the oracle.
    Lost {
        /// Why.
        why: String,
    },
}

/// What differs, and all blocks as the guest showed them then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Each difference.
    pub differences: Vec<Difference>,
    /// The blocks, ascending.
    pub seen: Vec<Run>,
}

impl Found {
    /// The step after which guest and oracle differ.
    pub const fn step(&self) -> Option<usize> {
        match self {
            Self::Difference { step, .. } => Some(*step),
            Self::Nothing { .. } | Self::Lost { .. } => None,
        }
    }

    /// Each difference, a line; none where there is none.
    pub fn lines(&self) -> &[String] {
        match self {
            Self::Difference { lines, .. } => lines,
            Self::Nothing { .. } | Self::Lost { .. } => &[],
        }
    }

    /// How many of so many steps were held against the oracle.
    pub const fn steps(&self, all: usize) -> usize {
        match self {
            Self::Difference { step, .. } => *step,
            Self::Nothing { .. } => all,
            Self::Lost { .. } => 0,
        }
    }

    /// What differs, without numbers: `block`, `zone`, `request`, …; empty where nothing does.
    pub fn kinds<'a>(&'a self) -> BTreeSet<&'a str> {
        let Self::Difference { lines, .. } = self else { return BTreeSet::new() };
        let word = |line: &'a String| line.split([' ', ':']).next().unwrap_or_default();
        lines.iter().map(|line| word(line).trim_end_matches('s')).collect()
    }
}

impl From<Checking> for Found {
    fn from(checking: Checking) -> Self {
        let mut verdict = checking.verdict();
        match verdict.failures.pop() {
            Some(failure) => {
                let lines = failure.differences.iter().map(ToString::to_string).collect();
                let Failure { step, differences, seen } = failure;
                Self::Difference { step, lines, memory: Memory { differences, seen } }
            }
            None => Self::Nothing { blocks: verdict.blocks },
        }
    }
}

impl From<&CheckError> for Found {
    fn from(error: &CheckError) -> Self {
        Self::Lost { why: crate::chain(error) }
    }
}
