//! One target in the engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dimmer_fuzz::Target;

use crate::Error;

/// Inputs of a target that are kept at a time.
const MOST: usize = 40;

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Inputs that were run.
    pub executions: u64,
    /// Edges of the code that were reached.
    pub edges: u64,
    /// Inputs that are kept.
    pub kept: u64,
    /// The input that broke a rule, and what was said then.
    pub broken: Option<(PathBuf, String)>,
}

/// Runs the engine.
#[derive(Debug)]
pub struct Runner {
    /// The engine.
    pub engine: PathBuf,
    /// The folder with all of the project.
    pub workspace: PathBuf,
    /// How long each target runs.
    pub time: Duration,
}

impl Runner {
    /// Runs a target, with what is known to be interesting.
    ///
    /// # Errors
    /// When the engine cannot be run.
    pub fn run(&self, target: &Target) -> Result<Outcome, Error> {
        let (found, broken) =
            (self.found(target), self.workspace.join("target/fuzz/broken").join(target.name));
        for folder in [&found, &broken, &self.corpus(target)] {
            fs::create_dir_all(folder)?;
        }
        let mut engine = self.engine(target);
        engine.arg(format!("-max_total_time={}", self.time.as_secs().max(1)));
        engine.args([
            "-print_final_stats=1",
            "-timeout=30",
            "-rss_limit_mb=4096",
            "-max_len=32768",
            "-verbosity=1",
        ]);
        engine.arg(format!("-artifact_prefix={}/", broken.display()));
        let dictionary = self.workspace.join("fuzz/dictionaries").join(target.name);
        if dictionary.exists() {
            engine.arg(format!("-dict={}", dictionary.display()));
        }
        let output = engine.arg(&found).arg(self.corpus(target)).output()?;
        let mut outcome = read(&String::from_utf8_lossy(&output.stderr));
        outcome.kept = fs::read_dir(&found)?.count() as u64;
        if !output.status.success() && outcome.broken.is_none() {
            return Err(format!(
                "{}: the engine ended with {}: {}",
                target.name,
                output.status,
                last_lines(&output.stderr)
            )
            .into());
        }
        Ok(outcome)
    }

    /// Puts a small set of inputs, of those that reach most of what was reached, into the project beside those that are there.
    ///
    /// # Errors
    /// When the engine cannot be run, or fails.
    pub fn keep(&self, target: &Target) -> Result<(), Error> {
        let (all, corpus) = (self.workspace.join("target/fuzz/kept").join(target.name), self.corpus(target));
        fs::create_dir_all(&all)?;
        let output = self.engine(target).arg("-merge=1").arg(&all).arg(self.found(target)).output()?;
        if !output.status.success() {
            return Err(format!("{}: nothing was kept: {}", target.name, last_lines(&output.stderr)).into());
        }
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&all)? {
            let entry = entry?;
            inputs.push((entry.metadata()?.len(), entry.file_name()));
        }
        // Of all lengths.
        inputs.sort_unstable();
        for (_, name) in inputs.iter().step_by(inputs.len().div_ceil(MOST).max(1)) {
            fs::copy(all.join(name), corpus.join(name))?;
        }
        Ok(())
    }

    fn engine(&self, target: &Target) -> Command {
        let mut engine = Command::new(&self.engine);
        engine.env("DIMMER_FUZZ_TARGET", target.name).stdin(Stdio::null()).stdout(Stdio::null());
        engine
    }

    fn found(&self, target: &Target) -> PathBuf {
        self.workspace.join("target/fuzz/corpus").join(target.name)
    }

    fn corpus(&self, target: &Target) -> PathBuf {
        self.workspace.join("fuzz/corpus").join(target.name)
    }
}

/// Reads what libFuzzer says.
fn read(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in text.lines() {
        if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
            outcome.executions = number.trim().parse().unwrap_or_default();
        }
        let mut words = line.split_whitespace().skip_while(|word| *word != "cov:");
        if line.starts_with('#') && words.next().is_some() {
            outcome.edges = words.next().and_then(|word| word.parse().ok()).unwrap_or(outcome.edges);
        }
        if let Some((_, path)) = line.split_once("Test unit written to ") {
            outcome.broken = Some((Path::new(path).to_owned(), reason(text)));
        }
    }
    outcome
}

/// The words of a panic, or what libFuzzer says of an input that takes too long or too much.
fn reason(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains(" panicked at "));
    let place = lines.next();
    let error =
        || text.lines().find(|line| line.contains("ERROR: libFuzzer")).unwrap_or("no reason was given");
    place.map_or_else(|| error().to_owned(), |place| format!("{place} {}", lines.next().unwrap_or_default()))
}

fn last_lines(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_words_are_read() {
        let text = "INFO: Seed: 1\n#2\tINITED cov: 18 ft: 19 corp: 1/1b exec/s: 0 rss: 32Mb\n\
            #4096\tpulse  cov: 25 ft: 30 corp: 4/9b\nthread '<unnamed>' panicked at fuzz/src/host.rs:90:13:\n\
            it is backed already\n==1== ERROR: libFuzzer: deadly signal\nartifact_prefix='/x/'; Test unit written to /x/crash-1\n\
            stat::number_of_executed_units: 4711\n";
        let broken = "thread '<unnamed>' panicked at fuzz/src/host.rs:90:13: it is backed already".to_owned();
        let broken = Some((PathBuf::from("/x/crash-1"), broken));
        assert_eq!(read(text), Outcome { executions: 4711, edges: 25, kept: 0, broken });
    }

    #[test]
    fn an_input_that_takes_too_long_has_a_reason() {
        let text =
            "ALARM\n==1== ERROR: libFuzzer: timeout after 31 seconds\nTest unit written to /x/timeout-2\n";
        let (path, reason) = read(text).broken.expect("it is named");
        assert_eq!((path, reason.contains("timeout after 31")), (PathBuf::from("/x/timeout-2"), true));
    }
}
