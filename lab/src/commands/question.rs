//! What `predict` and `explain` have in common: a scenario, and the release of Linux that the oracle is asked about.

use std::error::Error;

use clap::Args;
use dimmer_lab::library::find;
use dimmer_lab::scenario::Scenario;
use dimmer_oracle::release::{NotARelease, Release};

/// The first series of which the oracle knows no differences within.
const LAST_SERIES: u32 = 7;

/// A question to the oracle.
#[derive(Debug, Args)]
pub struct Question {
    /// The scenario: a file, or a name of the library's.
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Release of the guest's kernel, or the name of a kernel: `6.12`, `6.1-amd64`, `7`.
    #[arg(long, value_name = "RELEASE", default_value = "6.12", value_parser = release)]
    pub kernel: Release,
}

impl Question {
    /// Asks. What is wrong with a file is said by its lines, not by its steps alone.
    ///
    /// # Errors
    /// When there is no such scenario, or several, or `answer` has none.
    pub fn ask<T>(
        &self,
        answer: impl FnOnce(&Scenario) -> Result<T, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        let [source] = &find(&self.scenario)?[..] else {
            return Err(format!("{} holds several scenarios; name one of them", self.scenario).into());
        };
        answer(&source.scenario).map_err(|error| source.validate().err().map_or(error, Into::into))
    }
}

/// Reads a release, or a series from [`LAST_SERIES`] on.
fn release(text: &str) -> Result<Release, NotARelease> {
    let series = text.parse().ok().filter(|major| *major >= LAST_SERIES);
    series.map_or_else(|| text.parse(), |major| Ok(Release::new(major, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_by_the_name_of_its_kernel_too() {
        for (text, read) in [("6.12", (6, 12)), ("6.1-amd64", (6, 1)), ("7", (7, 0)), ("7.3.4-cloud", (7, 3))]
        {
            assert_eq!(release(text), Ok(Release::new(read.0, read.1)), "{text}");
        }
        assert!(release("6").is_err() && release("newest").is_err());
    }
}
