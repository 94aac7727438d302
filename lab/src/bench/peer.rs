//! The programs that are measured: what each is called, where it is, how a machine is started and asked for memory.
//!
//! To add one: its name in [`Kind`], a file with its [`Peer`], and a line in [`Kind::peer`].

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::{Duration, Instant};

use dimmer_images::{Cache, qemu};
use serde::{Deserialize, Serialize};

use super::Error;
use super::machine::{Files, Machine};
use crate::host::needs;

mod cloud_hypervisor;
mod dimmer;
mod firecracker;
mod qemu_system;

/// The names of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Dimmer itself.
    Dimmer,
    /// Dimmer as it was, which only whoever kept it can name.
    DimmerBefore,
    /// QEMU's machine `q35`.
    Qemu,
    /// QEMU's machine `microvm`.
    QemuMicrovm,
    /// cloud-hypervisor.
    CloudHypervisor,
    /// Firecracker.
    Firecracker,
}

/// All programs that Dimmer is measured beside; all but the last are looked for unasked.
pub const PEERS: [Kind; 5] =
    [Kind::Qemu, Kind::QemuMicrovm, Kind::CloudHypervisor, Kind::Firecracker, Kind::DimmerBefore];

/// How machines of one program are started and spoken with.
pub(super) trait Peer {
    /// The command that runs `machine`: `program` with its arguments.
    fn command(&self, program: Command, machine: &Machine, files: &Files) -> Result<Command, Error>;

    /// A client of a machine that runs; several at once have numbers from 0.
    fn control(&self, files: &Files, number: usize) -> Result<Box<dyn Control>, Error>;

    /// Whether it has ports with names, which the guest's agent wants.
    fn has_agent(&self) -> bool {
        false
    }

    /// Whether the serial console is its standard streams, rather than a socket.
    fn console_is_stdio(&self) -> bool {
        false
    }
}

/// A client of a machine, which asks for changes and waits for their end.
pub(super) trait Control: Send {
    /// The smallest thing that it can be asked about the machine.
    fn ask(&mut self) -> Result<(), Error>;

    /// Has the virtio-mem device plug so many bytes in all.
    fn resize(&mut self, bytes: u64) -> Result<(), Error>;

    /// Plugs a DIMM, until the guest's `_OST`.
    fn add_dimm(&mut self, id: &str, bytes: u64) -> Result<(), Error>;

    /// Has the guest let a DIMM go, until it is gone.
    fn remove_dimm(&mut self, id: &str) -> Result<(), Error>;
}

impl Kind {
    /// Its name, as in `--peer`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dimmer => "dimmer",
            Self::DimmerBefore => "dimmer-before",
            Self::Qemu => "qemu",
            Self::QemuMicrovm => "qemu-microvm",
            Self::CloudHypervisor => "cloud-hypervisor",
            Self::Firecracker => "firecracker",
        }
    }

    pub(super) fn peer(self) -> &'static dyn Peer {
        match self {
            Self::Dimmer | Self::DimmerBefore => &dimmer::Dimmer,
            Self::Qemu => &qemu_system::Q35,
            Self::QemuMicrovm => &qemu_system::Microvm,
            Self::CloudHypervisor => &cloud_hypervisor::CloudHypervisor,
            Self::Firecracker => &firecracker::Firecracker,
        }
    }

    /// What its program is called in `PATH`.
    fn program(self) -> &'static str {
        match self {
            Self::Qemu | Self::QemuMicrovm => "qemu-system-x86_64",
            kind => kind.name(),
        }
    }
}

/// A program in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Which one.
    pub kind: Kind,
    /// Its file; none for the QEMU of the cache.
    pub path: Option<PathBuf>,
    /// What it says of itself.
    pub version: String,
}

impl Program {
    /// The program at `path`, or else where it is usually found: Dimmer beside this one, QEMU in the cache, all in `PATH`.
    ///
    /// # Errors
    /// When it is not there, or does not run.
    pub fn find(cache: &Cache, kind: Kind, path: Option<&Path>) -> Result<Self, Error> {
        let is_qemu = matches!(kind, Kind::Qemu | Kind::QemuMicrovm);
        let cached = || if is_qemu { qemu::Qemu::find(cache) } else { None };
        let (path, mut command) = match (path, cached()) {
            (None, Some(qemu)) => (None, qemu.command()),
            (path, _) => {
                let path = path.map_or_else(|| usual(kind), |path| Ok(path.canonicalize()?))?;
                let command = Command::new(&path);
                (Some(path), command)
            }
        };
        let said = command.arg("--version").output();
        let said = said.map_err(|error| format!("{} does not run: {error}", kind.program()))?;
        let version = String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().to_owned();
        Ok(Self { kind, path, version })
    }
}

fn usual(kind: Kind) -> Result<PathBuf, Error> {
    let beside = env::current_exe()?.with_file_name(kind.program());
    if kind == Kind::Dimmer && beside.is_file() {
        return Ok(beside);
    }
    needs::find(kind.program()).ok_or_else(|| format!("there is no {} in PATH", kind.program()).into())
}

/// What `--peer` says: a name, and where the program is if not where it is usually found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which program.
    pub kind: Kind,
    /// Its file.
    pub path: Option<PathBuf>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').map_or((text, None), |(name, path)| (name, Some(path)));
        let names = || PEERS.map(Kind::name).join(", ");
        let kind = PEERS.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| format!("{name:?} is none of {}", names()))?;
        if kind == Kind::DimmerBefore && path.is_none() {
            return Err(format!("where is it? Say {kind}=PATH"));
        }
        Ok(Self { kind, path: path.map(PathBuf::from) })
    }
}

/// Looks until `done`, and after each look waits for a fiftieth of the time that has passed, a millisecond at least: so what
/// is measured is late by one in a hundred, and little is spent on looking.
fn until(mut done: impl FnMut() -> Result<bool, Error>) -> Result<(), Error> {
    const PATIENCE: Duration = Duration::from_secs(180);
    let begun = Instant::now();
    while !done()? {
        if begun.elapsed() > PATIENCE {
            return Err(format!("it did not come within {} s", PATIENCE.as_secs()).into());
        }
        std::thread::sleep((begun.elapsed() / 50).max(Duration::from_millis(1)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
