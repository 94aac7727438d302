//! What each run was and how it ended, a JSON line each; and the sum of all.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dimmer_oracle::release::Release;
use dimmer_oracle::rule::{Met, Rule};
use serde::{Deserialize, Serialize};

use super::coverage::Coverage;
use super::found::Found;
use super::history::met;
use super::kept::Carried;
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
    /// The steps, from the boot on.
    pub steps: Vec<Step>,
    /// How it ended.
    pub result: Found,
    /// The rules that were met, as far as it was held against the oracle.
    pub rules: Vec<Rule>,
    /// What was carried out for it alone, with times in milliseconds.
    pub carried: Carried,
}

impl Run {
    /// The run of a scenario on a kernel.
    pub fn new(
        seed: u64,
        run: u64,
        (kernel, release): (&str, Release),
        scenario: &Scenario,
        result: Found,
        carried: Carried,
    ) -> Self {
        let rules = match &result {
            Found::Lost { .. } => Vec::new(),
            found => met(scenario, found.steps(scenario.steps.len()), release).iter().collect(),
        };
        let Scenario { machine, guest, steps, .. } = scenario.clone();
        Self { seed, run, kernel: kernel.to_owned(), machine, guest, steps, result, rules, carried }
    }
}

/// The sum of all runs, and the file that they are written to.
#[derive(Debug, Default)]
pub struct Record {
    file: Option<File>,
    runs: u64,
    steps: u64,
    differences: u64,
    lost: u64,
    carried: Carried,
    /// The rules that were met.
    pub coverage: Coverage,
    /// Each run, as short as can be, for a report.
    pub histories: Vec<History>,
    /// What differs, as small as it got.
    pub findings: Vec<Finding>,
}

/// A run, as short as can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// Its number.
    pub run: u64,
    /// The kernel's name.
    pub kernel: String,
    /// Its steps.
    pub steps: usize,
    /// How it ended, without pictures.
    pub end: End,
}

/// How a run ended, without pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As the oracle says, which so many block checks tell.
    Right(u64),
    /// With a difference after this step.
    Differs(usize),
    /// The guest was lost, and why.
    Lost(String),
}

/// A difference, as small as it got.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The run that showed it.
    pub run: u64,
    /// The kernel's name.
    pub kernel: String,
    /// The file that the smallest scenario was written to.
    pub file: PathBuf,
    /// The smallest scenario.
    pub scenario: Scenario,
    /// What it shows.
    pub found: Found,
}

impl History {
    fn of(run: &Run) -> Self {
        let end = match &run.result {
            Found::Nothing { blocks } => End::Right(*blocks),
            Found::Difference { step, .. } => End::Differs(*step),
            Found::Lost { why } => End::Lost(why.clone()),
        };
        Self { run: run.run, kernel: run.kernel.clone(), steps: run.steps.len(), end }
    }
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
        self.steps += run.result.steps(run.steps.len()) as u64;
        self.carried += run.carried.clone();
        self.histories.push(History::of(run));
        match &run.result {
            Found::Nothing { .. } => {}
            Found::Difference { .. } => self.differences += 1,
            Found::Lost { .. } => self.lost += 1,
        }
        let mut met = Met::new();
        run.rules.iter().for_each(|rule| met.add(*rule));
        self.coverage.add(&run.kernel, met);
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

impl std::ops::AddAssign for Carried {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.blocks += other.blocks;
        self.spent += other.spent;
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
        let Record {
            runs, steps, differences, lost, carried: Carried { steps: once, blocks, spent }, ..
        } = self.record;
        let minutes = self.time.as_secs_f64() / 60.0;
        write!(f, "{runs} histories of {steps} steps; {once} steps carried out, {blocks} block checks; ")?;
        write!(f, "differences: {differences}, lost: {lost}; ")?;
        let rate = *runs as f64 / minutes.max(1e-9);
        writeln!(f, "{minutes:.1} minutes, {rate:.1} histories a minute")?;
        let percent = |part: u64| part * 100 / spent.total().max(1);
        let (boot, forks) = (percent(spent.boot), percent(spent.forks));
        let (steps, layouts) = (percent(spent.steps), percent(spent.layouts));
        write!(f, "of the time: {boot} % boots, {forks} % forks, {steps} % steps, {layouts} % layouts; ")?;
        write!(f, "milliseconds for a step:")?;
        for (number, (kind, (time, count))) in spent.kinds.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma} {kind} {}", time / (*count).max(1))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::timed::Spent;

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
        let kinds = [("unplug".to_owned(), (300, 2))].into();
        let spent = Spent { boot: 700, forks: 50, steps: 300, layouts: 450, kinds };
        let carried = Carried { steps: 2, blocks: 100, spent };
        let run = |found| Run::new(1, 2, ("6.12", Release::new(6, 12)), &scenario, found, carried.clone());
        record.add(&run(Found::Nothing { blocks: 150 })).unwrap();
        assert!(record.is_clean());
        let difference =
            Found::Difference { step: 2, lines: vec!["block 1".to_owned()], memory: Default::default() };
        record.add(&run(difference.clone())).unwrap();
        record.add(&run(Found::Lost { why: "gone".to_owned() })).unwrap();
        assert!(!record.is_clean());
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<Run> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[1], run(difference));
        assert_eq!(
            record.summary(Duration::from_secs(90)).to_string(),
            "3 histories of 5 steps; 6 steps carried out, 300 block checks; differences: 1, lost: 1; 1.5 minutes, 2.0 \
             histories a minute\nof the time: 46 % boots, 3 % forks, 20 % steps, 30 % layouts; milliseconds for a step: \
             unplug 150"
        );
    }
}
