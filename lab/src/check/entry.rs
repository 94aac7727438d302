//! What became of one scenario on one kernel.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::{Difference, Frame};
use crate::library::Source;

/// What became of one scenario on one kernel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub shows: String,
    /// The kernel's name, as it was asked for.
    pub kernel: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Which guest ran it.
    pub guest: Which,
    /// How long that took.
    pub seconds: f64,
    /// The command that does it again.
    pub repeat: String,
    /// What the guest showed after the boot and after each step, as far as it came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<Frame>,
}

impl Entry {
    /// What became of a scenario on a kernel, in no time.
    pub fn new(source: &Source, kernel: &str, outcome: Outcome, guest: Which) -> Self {
        Self {
            scenario: source.name.clone(),
            shows: source.scenario.shows.clone(),
            kernel: kernel.to_owned(),
            outcome,
            guest,
            seconds: 0.0,
            repeat: repeat(source, kernel),
            frames: Vec::new(),
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// All is as expected.
    Passed {
        /// Steps that were carried out.
        steps: usize,
        /// What a reader must know beside that: what Linux leaves open, and what could not be compared.
        remarks: Vec<String>,
    },
    /// Something is not.
    Differs {
        /// The step after which; 0 is the boot.
        step: usize,
        /// What that step did.
        action: String,
        /// What is not as expected.
        differences: Vec<Difference>,
        /// What machine and guest had to say.
        #[serde(flatten)]
        evidence: Evidence,
    },
    /// It could not be carried out.
    Failed {
        /// Why.
        error: String,
        /// What machine and guest had to say.
        #[serde(flatten)]
        evidence: Evidence,
    },
    /// The scenario is not about this kernel.
    Skipped,
}

/// What machine and guest had to say.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The machine's events since the scenario began, as `GET /events` has them.
    pub events: Vec<Value>,
    /// The last lines of the guest's kernel log.
    pub log: Vec<String>,
}

/// The guest that ran a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// One that had just booted.
    Fresh,
    /// The child of one that had just booted.
    Forked,
    /// None.
    None,
}

impl Outcome {
    /// Whether it is as expected.
    pub const fn is_passed(&self) -> bool {
        matches!(self, Self::Passed { .. })
    }

    /// In a word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed { .. } => "passed",
            Self::Differs { .. } => "DIFFERS",
            Self::Failed { .. } => "FAILED",
            Self::Skipped => "skipped",
        }
    }

    /// In a line: what went wrong first.
    pub fn line(&self) -> String {
        match self {
            Self::Passed { steps: 1, .. } => "1 step as expected".to_owned(),
            Self::Passed { steps, .. } => format!("{steps} steps as expected"),
            Self::Differs { step, action, differences, .. } => {
                let first = differences.first().map(ToString::to_string).unwrap_or_default();
                let more = match differences.len() {
                    0 | 1 => String::new(),
                    all => format!(" (and {} more)", all - 1),
                };
                format!("step {step} ({action}): {first}{more}")
            }
            Self::Failed { error, .. } => error.lines().next().unwrap_or_default().to_owned(),
            Self::Skipped => "not about this kernel".to_owned(),
        }
    }
}

/// The command that checks one scenario on one kernel.
pub fn repeat(source: &Source, kernel: &str) -> String {
    format!("dimmer-lab check {} --kernel {}", quoted(&source.argument), quoted(kernel))
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_word_as_it_was() {
        assert_eq!(quoted("tests/scenarios/05-a.toml"), "tests/scenarios/05-a.toml");
        for word in ["a b", "it's", "", "$HOME", "a;b", "~"] {
            let echo = format!("printf %s {}", quoted(word));
            let output = std::process::Command::new("sh").args(["-c", &echo]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
