//! What `predict` and `explain` have in common: a scenario, and the release of Linux that the oracle is asked about.

use std::error::Error;

use crate::library::{Source, find};
use crate::predict::{release, usual};
use crate::scenario::Scenario;
use clap::Args;
use dimmer_oracle::release::Release;

/// A question to the oracle.
#[derive(Debug, Args)]
pub struct Question {
    /// The scenario: a file, or a name of the library's.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Release of the guest's kernel, or the name of a kernel: `6.12`, `6.1-amd64`, `7` [default: 6.12, or the first that
    /// the scenario is about].
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    kernel: Option<Release>,
}

impl Question {
    /// Asks. What is wrong with a file is said by its lines, not by its steps alone.
    ///
    /// # Errors
    /// When there is no such scenario, or several, or it is not about the release, or `answer` has none.
    pub fn ask<T>(
        &self,
        answer: impl FnOnce(&Scenario, Release) -> Result<T, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        let source = self.source()?;
        let release = self.release(&source.scenario)?;
        answer(&source.scenario, release).map_err(|error| source.validate().err().map_or(error, Into::into))
    }

    /// The scenario.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn source(&self) -> Result<Source, Box<dyn Error>> {
        match <[Source; 1]>::try_from(find(&self.scenario)?) {
            Ok([source]) => Ok(source),
            Err(_) => Err(format!("{} holds several scenarios; name one of them", self.scenario).into()),
        }
    }

    /// The release, which the scenario is about.
    ///
    /// # Errors
    /// When it is not; the message has one that it is about.
    pub fn release(&self, scenario: &Scenario) -> Result<Release, Box<dyn Error>> {
        usual(scenario, self.kernel).map_err(|about| format!("{} {about}", self.scenario).into())
    }
}
