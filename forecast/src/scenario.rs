//! Scenarios: a machine, a guest's policy, steps, and what is to come of each, as a TOML file.
//!
//! The format is what the types here say; [`Scenario::schema`] is the same as a JSON schema.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use dimmer_oracle::release::Release;

mod addresses;
mod amount;
mod blocks;
mod broken_page;
mod distribution;
mod effect;
mod expectation;
mod guest;
mod keys;
pub(crate) mod places;
mod size;
mod step;
#[cfg(test)]
mod tests;

pub use addresses::Addresses;
pub use amount::Amount;
pub use blocks::BlockSet;
pub use broken_page::{MOST_BROKEN, broken_page};
pub use distribution::{DISTRIBUTIONS, Distribution};
pub use effect::{DaxState, Effect, Ran, Requests, Resource};
pub use expectation::{Expect, ExpectWord, Expected, OutcomeWord};
pub use guest::{Guest, HugePages, MemmapOnMemory};
pub use keys::page;
pub use size::Size;
pub use step::{
    Action, Add, Again, BlockFile, Blocks, Command, Dax, Deed, DriverWord, Empty, FaultText, Inject, Load,
    NotifyWord, OnlineWord, PageWord, Parameters, Plug, Poison, PoisonWord, PolicyWord, Pool, Resize, Run,
    Step, Write,
};

/// A scenario file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence.
    pub shows: String,
    /// The releases that it is about, such as `["6.1", "6.12"]`, or with all later ones: `["5.15+"]`; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<String>,
    /// The machine.
    #[serde(default)]
    pub machine: Machine,
    /// How the guest is set up when it boots.
    #[serde(default)]
    pub guest: Guest,
    /// What happens, in order; of a scenario that was read, without `again`.
    #[serde(default, rename = "step")]
    pub steps: Vec<Step>,
}

/// A machine, in the words of `dimmer run`'s flags.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// `--cpus`
    #[serde(default = "one")]
    pub cpus: u32,
    /// `--cpu-vendor`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_vendor: Option<String>,
    /// `--memory`
    #[serde(default = "four_gib")]
    pub memory: String,
    /// Each `--numa`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numa: Vec<String>,
    /// Each `--memory-hotplug`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory_hotplug: Vec<String>,
    /// Each `--dimm`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dimm: Vec<String>,
    /// Each `--firmware-range`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firmware_range: Vec<String>,
}

const fn one() -> u32 {
    1
}

fn four_gib() -> String {
    "size=4G,low=2G".to_owned()
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: one(),
            cpu_vendor: None,
            memory: four_gib(),
            numa: Vec::new(),
            memory_hotplug: Vec::new(),
            dimm: Vec::new(),
            firmware_range: Vec::new(),
        }
    }
}

impl Machine {
    /// The flags that it is made of.
    pub fn arguments(&self) -> Vec<String> {
        let mut all = vec!["--cpus".to_owned(), self.cpus.to_string()];
        let lists = [
            ("--cpu-vendor", self.cpu_vendor.as_slice()),
            ("--memory", std::slice::from_ref(&self.memory)),
            ("--numa", &self.numa),
            ("--memory-hotplug", &self.memory_hotplug),
            ("--dimm", &self.dimm),
            ("--firmware-range", &self.firmware_range),
        ];
        for (flag, values) in lists {
            all.extend(values.iter().flat_map(|value| [flag.to_owned(), value.clone()]));
        }
        all
    }
}

/// Behind a release in `kernels`: and all later ones.
pub(crate) const LATER: char = '+';

/// What is wrong with a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the host said.
        #[source]
        error: std::io::Error,
    },
    /// The text is no scenario; the message names line and key.
    #[error("{path}: {error}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        #[source]
        error: Box<toml::de::Error>,
    },
    /// The guest's settings make no sense.
    #[error("{path}: line {line}: guest: {problem}")]
    Guest {
        /// The file.
        path: PathBuf,
        /// The line in which they begin.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A step makes no sense.
    #[error("{path}: line {line}: step {number}: {problem}")]
    Step {
        /// The file.
        path: PathBuf,
        /// The line in which the step begins.
        line: usize,
        /// Which step, counted from 1.
        number: usize,
        /// What is wrong.
        problem: String,
    },
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ScenarioError`] names the file, and the line and key or the step.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ScenarioError::Read { path: path.to_owned(), error })?;
        Self::parse(&text, path)
    }

    /// Reads a text, which errors call `path`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self, ScenarioError> {
        let mut scenario: Self = toml::from_str(text)
            .map_err(|error| ScenarioError::Parse { path: path.to_owned(), error: Box::new(error) })?;
        scenario.guest.check().map_err(|problem| {
            let line = places::line_of_guest(text).unwrap_or(1);
            ScenarioError::Guest { path: path.to_owned(), line, problem }
        })?;
        let wrong = |(place, problem): (usize, String)| {
            let line = places::line_of_step(text, place).unwrap_or(1);
            ScenarioError::Step { path: path.to_owned(), line, number: place + 1, problem }
        };
        let steps = step::expanded(&scenario.steps).map_err(wrong)?;
        let checked =
            steps.iter().map(|(place, step)| scenario.check(step).map_err(|problem| (*place, problem)));
        checked.collect::<Result<(), _>>().map_err(wrong)?;
        scenario.steps = steps.into_iter().map(|(_, step)| step.clone()).collect();
        Ok(scenario)
    }

    /// Whether a step makes sense with its guest.
    fn check(&self, step: &Step) -> Result<(), String> {
        step.check()?;
        step.check_on(self.guest.distribution.is_some())
    }

    /// Whether it is about this release.
    pub fn is_about(&self, release: Release) -> bool {
        let named = |wanted: &String| match wanted.strip_suffix(LATER) {
            Some(first) => first.parse().is_ok_and(|first: Release| release >= first),
            None => wanted.parse() == Ok(release),
        };
        self.kernels.is_empty() || self.kernels.iter().any(named)
    }

    /// The kernel that it boots when `kernel` is asked for: another flavour of the same release, where that one
    /// lacks what the scenario needs.
    pub fn kernel<'a>(&self, kernel: &'a str) -> &'a str {
        match kernel {
            "5.10" | "5.10-cloud" if self.guest.machine_checks => "5.10-amd64",
            "6.1" | "6.1-cloud" if self.guest.machine_checks => "6.1-amd64",
            other => other,
        }
    }

    /// Whether any step says what the kernel's log has.
    pub fn looks_at_the_log(&self) -> bool {
        let log =
            |step: &Step| matches!(&step.expect, Some(Expect::Details(expected)) if !expected.log.is_empty());
        self.steps.iter().any(log)
    }

    /// Whether a kernel of it starts another one, which it must have as a file.
    pub fn starts_another_kernel(&self) -> bool {
        self.steps.iter().any(|step| step.kexec.is_some() || step.crash.is_some())
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: every scenario can be written.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a scenario is made of tables, lists, texts and numbers")
    }

    /// Its format as a JSON schema.
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Self).to_value()
    }
}
