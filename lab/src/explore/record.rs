//! What each run was and how it ended, a JSON line each; and the sum of all.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hunt::Found;
use super::timed::Times;
use crate::scenario::{Machine, Scenario, Step};

/// One run, as a line of the record has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// The run's number.
    pub run: u64,
    /// The kernel's name.
    pub kernel: String,
    /// The machine.
    pub machine: Machine,
    /// The guest's settings.
    pub guest: crate::scenario::Guest,
    /// The steps.
    pub steps: Vec<Step>,
    /// How it ended.
    pub result: Found,
    /// How long it took, in milliseconds.
    pub times: Times,
}

impl Run {
    /// The run of a scenario.
    pub fn new(seed: u64, run: u64, kernel: &str, scenario: &Scenario, result: Found, times: Times) -> Self {
        let Scenario { machine, guest, steps, .. } = scenario.clone();
        Self { seed, run, kernel: kernel.to_owned(), machine, guest, steps, result, times }
    }
}

/// The sum of all runs, and the file that they are written to.
#[derive(Debug, Default)]
pub struct Record {
    file: Option<File>,
    runs: u64,
    steps: u64,
    blocks: u64,
    differences: u64,
    lost: u64,
    times: Times,
}

impl Record {
    /// A record that is also written to `path`.
    ///
    /// # Errors
    /// When there can be no such file.
    pub fn new(path: Option<&Path>) -> io::Result<Self> {
        Ok(Self { file: path.map(File::create).transpose()?, ..Self::default() })
    }

    /// Adds a run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, run: &Run) -> io::Result<()> {
        self.runs += 1;
        self.times += run.times;
        self.steps += match &run.result {
            Found::Difference { step, .. } => *step as u64,
            Found::Nothing { .. } => run.steps.len() as u64,
            Found::Lost { .. } => 0,
        };
        match &run.result {
            Found::Nothing { blocks } => self.blocks += blocks,
            Found::Difference { .. } => self.differences += 1,
            Found::Lost { .. } => self.lost += 1,
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut line = serde_json::to_vec(run)?;
        line.push(b'\n');
        file.write_all(&line)
    }

    /// Whether every run ended without a difference, and no guest was lost.
    pub const fn is_clean(&self) -> bool {
        self.differences == 0 && self.lost == 0
    }

    /// The sum in words, for runs that took `time` in all.
    pub fn summary(&self, time: Duration) -> Summary<'_> {
        Summary { record: self, time }
    }
}

/// See [`Record::summary`].
#[derive(Debug)]
pub struct Summary<'a> {
    record: &'a Record,
    time: Duration,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { runs, steps, blocks, differences, lost, times, .. } = self.record;
        let minutes = self.time.as_secs_f64() / 60.0;
        write!(
            f,
            "{runs} histories, {steps} steps, {blocks} block checks; differences: {differences}, lost: {lost}; "
        )?;
        let rate = *runs as f64 / minutes.max(1e-9);
        write!(f, "{minutes:.1} minutes, {rate:.1} histories a minute; ")?;
        let percent = |part: u64| part * 100 / times.all.max(1);
        let (boot, steps, layouts) = (percent(times.boot), percent(times.steps), percent(times.layouts));
        write!(f, "{boot} % of the time for booting, {steps} % for steps, {layouts} % for layouts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_and_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        let mut record = Record::new(Some(&path)).unwrap();
        let steps = vec![Step { unplug: Some("d0".to_owned()), ..Step::default() }; 3];
        let scenario = Scenario {
            shows: String::new(),
            kernels: Vec::new(),
            machine: Machine::default(),
            guest: crate::scenario::Guest::default(),
            steps,
        };
        let run = |found| {
            Run::new(1, 2, "6.12", &scenario, found, Times { boot: 700, steps: 300, layouts: 450, all: 1500 })
        };
        record.add(&run(Found::Nothing { blocks: 100 })).unwrap();
        assert!(record.is_clean());
        record.add(&run(Found::Difference { step: 2, lines: vec!["block 1".to_owned()] })).unwrap();
        record.add(&run(Found::Lost { why: "gone".to_owned() })).unwrap();
        assert!(!record.is_clean());
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Run> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[1], run(Found::Difference { step: 2, lines: vec!["block 1".to_owned()] }));
        assert_eq!(
            record.summary(Duration::from_secs(90)).to_string(),
            "3 histories, 5 steps, 100 block checks; differences: 1, lost: 1; 1.5 minutes, 2.0 histories a minute; \
             46 % of the time for booting, 20 % for steps, 30 % for layouts"
        );
    }
}
