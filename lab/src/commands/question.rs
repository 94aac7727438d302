//! What `predict` and `explain` have in common: a scenario, and the release of Linux that the oracle is asked about.

use std::error::Error;

use clap::Args;
use dimmer_lab::library::{Source, find};
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
    /// Release of the guest's kernel, or the name of a kernel: `6.12`, `6.1-amd64`, `7` [default: 6.12, or the first that
    /// the scenario is about].
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    kernel: Option<Release>,
}

/// The release that is asked about unless somebody says otherwise.
const USUAL: Release = Release::new(6, 12);

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
        let first = scenario.kernels.iter().find_map(|kernel| kernel.trim_end_matches('+').parse().ok());
        match (self.kernel.unwrap_or(USUAL), first) {
            (release, _) if scenario.is_about(release) => Ok(release),
            (_, Some(first)) if self.kernel.is_none() => Ok(first),
            (release, first) => {
                let right = first.map_or_else(String::new, |first| format!(": try --kernel {first}"));
                let about = scenario.kernels.join(", ");
                Err(format!("{} is about {about}, not about {release}{right}", self.scenario).into())
            }
        }
    }
}

/// Reads a release, or a series from [`LAST_SERIES`] on.
///
/// # Errors
/// When it is neither.
pub fn release(text: &str) -> Result<Release, NotARelease> {
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
