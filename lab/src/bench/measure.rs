//! What is measured. To add a measure: a file with its [`Measure`], and its name in [`ALL`].

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use dimmer_images::Kernel;
use serde::Serialize;

use super::Error;
use super::machine::{Files, Machine, Running};
use super::peer::Kind;

mod api;
mod back;
mod boot;
mod copies;
mod dimm;
mod guest;
mod predict;
mod resize;
mod sandbox;
mod slots;
mod window;

/// All measures, in the order in which they are shown.
pub static ALL: [&Measure; 11] = [
    &boot::BOOT,
    &resize::RESIZE,
    &dimm::DIMM,
    &slots::SLOTS,
    &copies::COPIES,
    &window::WINDOW,
    &back::BACK,
    &api::API,
    &guest::GUEST,
    &sandbox::SANDBOX,
    &predict::PREDICT,
];

/// Something to measure.
#[derive(Debug)]
pub struct Measure {
    /// Its name, as in `--only`.
    pub name: &'static str,
    /// What it is, in a sentence or two.
    pub about: &'static str,
    /// What comes of it.
    pub columns: &'static [Column],
    /// In how many rounds at most, of what takes long and differs little.
    pub most: usize,
    /// How it is done.
    pub run: Run,
}

/// As many rounds as there are.
const EVERY: usize = usize::MAX;

/// How, where and on which programs something is measured.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// On machines of every program.
    Machines(fn(&Ground) -> Result<Vec<Option<f64>>, Error>),
    /// On machines of Dimmer alone.
    Dimmer(fn(&Ground) -> Result<Vec<Option<f64>>, Error>),
    /// Without a machine, where this program was started.
    Here(fn() -> Result<Vec<Option<f64>>, Error>),
}

impl Run {
    /// Whether this program is measured.
    #[must_use]
    pub fn is_for(self, kind: Kind) -> bool {
        match self {
            Self::Machines(_) => true,
            Self::Dimmer(_) => matches!(kind, Kind::Dimmer | Kind::DimmerBefore),
            Self::Here(_) => kind == Kind::Dimmer,
        }
    }
}

/// One number that comes of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// What it is.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
}

/// The units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// MiB of memory.
    #[serde(rename = "MiB")]
    Mebibytes,
    /// MiB per second, of which more is better.
    #[serde(rename = "MiB/s")]
    Throughput,
}

impl Unit {
    /// How it is written.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
            Self::Throughput => "MiB/s",
        }
    }

    /// Whether more of it is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        self == Self::Throughput
    }
}

const fn time(name: &'static str) -> Column {
    Column { name, unit: Unit::Milliseconds }
}

const fn memory(name: &'static str) -> Column {
    Column { name, unit: Unit::Mebibytes }
}

const fn throughput(name: &'static str) -> Column {
    Column { name, unit: Unit::Throughput }
}

/// The measure with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Measure> {
    ALL.iter().copied().find(|measure| measure.name == name)
}

/// What a measure stands on: a program, and what its machines boot, all of it in the host's memory.
#[derive(Debug)]
pub struct Ground {
    /// Which program.
    pub kind: Kind,
    /// The words that run it: its file, or a loader with what it needs first.
    pub words: Vec<OsString>,
    /// The kernel, for what the lab itself boots.
    pub kernel: Kernel,
    /// What every machine boots; the directory is for this task alone.
    pub files: Files,
}

impl Ground {
    /// Starts a machine with more words for its kernel; nothing is waited for.
    fn start(&self, machine: &Machine, words: &str) -> Result<Running, Error> {
        let mut program = Command::new(&self.words[0]);
        program.args(&self.words[1..]);
        let mut files = self.files.clone();
        files.cmdline = format!("{words} {}", files.cmdline);
        Running::start(self.kind, program, machine, files)
    }

    /// Starts a machine and waits until its guest has a shell.
    fn boot(&self, machine: &Machine) -> Result<Running, Error> {
        self.boot_with(machine, "")
    }

    /// As [`boot`](Self::boot), with more words for the kernel.
    fn boot_with(&self, machine: &Machine, words: &str) -> Result<Running, Error> {
        let mut running = self.start(machine, words)?;
        running.console().take_shell()?;
        Ok(running)
    }

    /// A file of this task.
    fn path(&self, name: &str) -> PathBuf {
        self.files.dir.join(name)
    }
}

/// How long something takes, in milliseconds.
fn timed(act: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let begun = Instant::now();
    act()?;
    Ok(milliseconds(begun.elapsed()))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "sizes of memory are far below 2^53")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn measures_and_their_columns_have_names_of_their_own() {
        let names: BTreeSet<_> = ALL.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), ALL.len());
        for measure in ALL {
            assert!(find(measure.name).is_some_and(|found| std::ptr::eq(found, measure)));
            let columns: BTreeSet<_> = measure.columns.iter().map(|column| column.name).collect();
            assert_eq!(
                (columns.len(), columns.is_empty()),
                (measure.columns.len(), false),
                "{}",
                measure.name
            );
        }
        assert!(find("").is_none());
    }
}
