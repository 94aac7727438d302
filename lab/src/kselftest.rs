//! The kernel's own selftests in a guest: what its developers test processors and memory with that come and go, on a machine that
//! has such, by the kernel's own runner.
//!
//! ```text
//!   Debian's source, or --tests DIR ──► an image ──► /dev/vdc of a distribution's guest
//!                                                        │
//!   report  ◄── how each ended  ◄── TAP  ◄── run_kselftest.sh, once for each test
//! ```
//!
//! A test that takes its guest with it is one that failed, and so are those behind it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use dimmer_images::selftests::{self, LIST, PROGRAMS, RUNNER};
use dimmer_images::{Cache, Kernel};
use serde::{Deserialize, Serialize};

pub mod place;
pub mod report;
pub mod tap;

use crate::host::crew::{Crew, Lost};
use crate::host::needs::{self, Need};

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory has no list of tests, or it cannot be read.
    #[error(
        "Cannot read {path}; it is made by: make -C tools/testing/selftests TARGETS=\"memory-hotplug cpu-hotplug\" install"
    )]
    NoList {
        /// The list.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The directory has nothing that runs them.
    #[error("There is no {RUNNER} in {directory}")]
    NoRunner {
        /// The directory.
        directory: PathBuf,
    },
    /// The list is empty.
    #[error("{path} names no test")]
    Empty {
        /// The list.
        path: PathBuf,
    },
    /// A line of the list is none.
    #[error("{path}: {line:?} is no COLLECTION:TEST")]
    Line {
        /// The list.
        path: PathBuf,
        /// The line.
        line: String,
    },
    /// The runner is too old for arguments.
    #[error(
        "The runner in {directory} gives tests no arguments, which --full needs; Linux 6.1's does, 5.10's does not"
    )]
    NoArguments {
        /// The directory.
        directory: PathBuf,
    },
    /// A test that nobody has.
    #[error("There is no test {wanted:?}; there are: {there}")]
    NoTest {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
}

/// What a test is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The directory that it is in.
    pub collection: String,
    /// Its file.
    pub test: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.collection, self.test)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (collection, test) = text.split_once(':').ok_or(())?;
        let is_word = |word: &str| !word.is_empty() && !word.contains([':', ' ', '\t', '\'']);
        let name = Self { collection: collection.to_owned(), test: test.to_owned() };
        if is_word(collection) && is_word(test) { Ok(name) } else { Err(()) }
    }
}

/// Selftests in a directory as `make install` leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tests {
    /// The directory.
    pub directory: PathBuf,
    /// Those that are to run, in the order in which they do.
    pub names: Vec<Name>,
}

impl Tests {
    /// Those of a kernel that was fetched from Debian, whose source is fetched as well if need be.
    ///
    /// # Errors
    /// What cannot be had.
    pub fn of(cache: &Cache, kernel: &Kernel) -> Result<Self, Box<dyn std::error::Error>> {
        if selftests::find(cache, kernel).is_none() {
            let purpose = "the kernel's selftests";
            let mut needs = PROGRAMS.into_iter().map(|(program, package)| Need { program, package, purpose });
            needs.try_for_each(needs::ensure)?;
        }
        Ok(Self::within(&selftests::find_or_fetch(cache, kernel)?)?)
    }

    /// All that are listed in a directory.
    ///
    /// # Errors
    /// [`Error`].
    pub fn within(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(LIST);
        let list = fs::read_to_string(&path).map_err(|cause| Error::NoList { path: path.clone(), cause })?;
        if !directory.join(RUNNER).is_file() {
            return Err(Error::NoRunner { directory: directory.to_owned() });
        }
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty());
        let name =
            |line: &str| line.parse().map_err(|()| Error::Line { path: path.clone(), line: line.to_owned() });
        let names: Vec<_> = lines.map(name).collect::<Result<_, _>>()?;
        if names.is_empty() {
            return Err(Error::Empty { path });
        }
        Ok(Self { directory: directory.to_owned(), names })
    }

    /// The same, if their runner gives them arguments.
    ///
    /// # Errors
    /// [`Error::NoArguments`].
    pub fn with_arguments(self) -> Result<Self, Error> {
        let runner = fs::read_to_string(self.directory.join("kselftest/runner.sh")).unwrap_or_default();
        if runner.contains("_ARGS") {
            Ok(self)
        } else {
            Err(Error::NoArguments { directory: self.directory })
        }
    }

    /// Those that are `wanted`, by name or collection; all, where none is.
    ///
    /// # Errors
    /// [`Error::NoTest`].
    pub fn only(mut self, wanted: &[String]) -> Result<Self, Error> {
        let is_it = |name: &Name, wanted: &String| name.collection == *wanted || name.to_string() == *wanted;
        if let Some(wanted) = wanted.iter().find(|wanted| !self.names.iter().any(|name| is_it(name, wanted)))
        {
            let there: Vec<_> = self.names.iter().map(Name::to_string).collect();
            return Err(Error::NoTest { wanted: wanted.clone(), there: there.join(", ") });
        }
        self.names.retain(|name| wanted.is_empty() || wanted.iter().any(|wanted| is_it(name, wanted)));
        Ok(self)
    }
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome", content = "why")]
pub enum Outcome {
    /// As it should.
    Ok,
    /// It found that it cannot be carried out here.
    Skipped,
    /// Not as it should, with the reason.
    NotOk(String),
}

/// A test that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Which one.
    #[serde(flatten)]
    pub name: Name,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What it and its runner wrote, a line each.
    pub output: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What the worker answers: how the test that it was asked for ended, or why no guest runs tests.
pub type Answer = Result<Done, String>;

/// Has the one worker of a crew run a test. A host that is lost takes the guest with it, and the test.
///
/// # Errors
/// Why no guest runs tests.
pub fn run(crew: &Crew, name: &Name) -> Answer {
    let begun = Instant::now();
    crew.carry_out(0, name).unwrap_or_else(|Lost(why)| Ok(Done::lost(name, why, "", begun.elapsed())))
}

impl Done {
    /// A test of which nothing came back, with the last words of machine and guest.
    fn lost(name: &Name, why: String, said: &str, time: Duration) -> Self {
        let output = said.lines().map(str::to_owned).collect();
        Self { name: name.clone(), outcome: Outcome::NotOk(why), output, seconds: time.as_secs_f64() }
    }
}

#[cfg(test)]
mod tests;
