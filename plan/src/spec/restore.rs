//! How a machine goes on from a snapshot.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MachineSpec, SerialSpec};

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// A machine that boots.
    Boot(Box<MachineSpec>),
    /// A machine that goes on from a snapshot.
    Restore(RestoreSpec),
}

/// A snapshot that is to be taken of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotSpec {
    /// Its directory.
    pub destination: PathBuf,
    /// The snapshot that it is to be a difference to.
    pub base: Option<PathBuf>,
    /// Whether it is marked from there on what is written; as before, without it, or as from a difference on.
    pub track: Option<bool>,
}

/// A child that a machine is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForkSpec {
    /// Its name.
    pub id: String,
    /// UNIX socket of its REST API.
    pub api_socket: PathBuf,
    /// UNIX socket of its guest agent's port, which it has where its parent has one.
    pub agent_socket: Option<PathBuf>,
    /// What its serial console is connected to.
    pub serial: SerialSpec,
    /// How it takes its memory over from its parent's image; by itself it maps it where that is possible.
    pub memory: Option<RestoredMemory>,
    /// Whether its vCPUs stay stopped.
    pub paused: bool,
    /// Whether it has a process group of its own.
    pub detached: bool,
}

/// Where a snapshot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In this directory.
    Directory(PathBuf),
    /// In the image that this process has from the machine that it is a fork of; this is its name.
    Parent(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "--restore {}", path.display()),
            Self::Parent(id) => write!(f, "fork {id}"),
        }
    }
}

/// How a machine goes on from a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreSpec {
    /// Where the snapshot is.
    pub source: Source,
    /// How its memory is taken over.
    pub memory: RestoredMemory,
    /// What becomes of the guest's clock.
    pub clock: Clock,
    /// Whether the vCPUs stay stopped.
    pub paused: bool,
    /// Whether it is marked from there on what is written.
    pub track: bool,
    /// Where the kernel is now.
    pub kernel: Option<PathBuf>,
    /// Where the initial RAM file system is now.
    pub initramfs: Option<PathBuf>,
    /// UNIX socket of the REST API; the snapshot's without it.
    pub api_socket: Option<PathBuf>,
    /// UNIX socket of the guest agent's port; the snapshot's without it.
    pub agent_socket: Option<PathBuf>,
    /// What the serial console is connected to; the snapshot's without it.
    pub serial: Option<SerialSpec>,
}

/// How a snapshot's memory is taken over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RestoredMemory {
    /// Read before the guest runs, and its checksum looked at; the snapshot is not needed afterwards.
    #[default]
    Copy,
    /// Mapped privately: read when the guest touches it. What it writes is its own.
    Map,
}

/// What becomes of a guest's clock in the time from a snapshot to a restore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// It goes on where it stopped.
    #[default]
    Stay,
    /// The time that has passed has passed for the guest.
    Jump,
}
