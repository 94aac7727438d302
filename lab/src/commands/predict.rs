//! `dimmer-lab predict`: what the oracle says about a scenario, without a machine.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use crate::check::{Format, Report, model};
use crate::output::stdout;
use crate::predict::forecast::{Moment, forecast, json, text};
use crate::scenario::Scenario;
use clap::Args;
use dimmer_oracle::release::Release;

use super::question::Question;

/// `dimmer-lab predict`
#[derive(Debug, Args)]
pub struct Predict {
    #[command(flatten)]
    question: Question,
    /// Print all of memory after each step as JSON, instead of what changes as text.
    #[arg(long, conflicts_with = "check")]
    json: bool,
    /// Hold what the file expects against what the oracle says: where they differ, and why. Exit status as `check`.
    #[arg(long)]
    check: bool,
}

impl Predict {
    /// Prints memory after the boot and what each step does to it.
    pub fn run(&self) -> super::Result {
        if self.check {
            return self.check();
        }
        let answer = |scenario: &Scenario, release| {
            if self.json { json(scenario, release) } else { text(scenario, release) }
        };
        stdout().write_all(self.question.ask(answer)?.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    fn check(&self) -> super::Result {
        let source = self.question.source()?;
        source.validate()?;
        let release = self.question.release(&source.scenario)?;
        let begun = Instant::now();
        let entries = vec![model::entry(&source, &release.to_string(), release)];
        let report = Report { shard: None, entries, seconds: begun.elapsed().as_secs_f64() };
        report.write(Format::Human, &mut stdout())?;
        Ok(ExitCode::from(report.status()))
    }
}

fn text(scenario: &Scenario, release: Release) -> Result<String, Box<dyn Error>> {
    let mut all = String::new();
    forecast(scenario, release, |moment: Moment<'_>| {
        text::write(&moment, &mut all).map_err(Box::<dyn Error>::from)
    })?;
    Ok(all)
}

fn json(scenario: &Scenario, release: Release) -> Result<String, Box<dyn Error>> {
    Ok(format!("{:#}\n", json::document(scenario, release)?))
}
