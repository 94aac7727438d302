//! The release of Linux that the oracle is asked about.

use dimmer_oracle::release::{NotARelease, Release};

use crate::scenario::Scenario;

/// The first series of which the oracle knows no differences within.
const LAST_SERIES: u32 = 7;
/// The release that is asked about unless somebody says otherwise.
const USUAL: Release = Release::new(6, 12);

/// Reads a release, or a series from 7 on.
///
/// # Errors
/// When it is neither.
pub fn release(text: &str) -> Result<Release, NotARelease> {
    let series = text.parse().ok().filter(|major| *major >= LAST_SERIES);
    series.map_or_else(|| text.parse(), |major| Ok(Release::new(major, 0)))
}

/// The release that is `wanted`; when none is, 6.12, or the first that the scenario is about.
///
/// # Errors
/// When the scenario is not about it: what it is about, and one that would do.
pub fn usual(scenario: &Scenario, wanted: Option<Release>) -> Result<Release, String> {
    let first = scenario.kernels.iter().find_map(|kernel| kernel.trim_end_matches('+').parse().ok());
    match (wanted.unwrap_or(USUAL), first) {
        (release, _) if scenario.is_about(release) => Ok(release),
        (_, Some(first)) if wanted.is_none() => Ok(first),
        (release, first) => {
            let right = first.map_or_else(String::new, |first| format!(": try --kernel {first}"));
            Err(format!("is about {}, not about {release}{right}", scenario.kernels.join(", ")))
        }
    }
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
