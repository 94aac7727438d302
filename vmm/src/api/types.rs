//! Bodies of requests, and of responses that are not the machine's own types. Unknown fields are
//! rejected.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use axum::http::StatusCode;
use dimmer_devices::fault::{Fault, FaultStatus};

use super::Problem;
pub use super::new_device::{NewDevice, NewKind, Order};
use crate::cli::{BadSerial, SerialArg};
use crate::control::MceSeverity;
use crate::spec::{ForkSpec, MachineSpec, RestoredMemory, SerialSpec, SnapshotSpec};

/// The body of `GET /vmm.ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ping {
    /// Version of Dimmer.
    pub version: String,
    /// The same, as cloud-hypervisor's clients look for it.
    #[serde(default)]
    pub build_version: String,
    /// Process id of the VMM.
    pub pid: u32,
    /// What was built in that need not be; nothing.
    #[serde(default)]
    pub features: Vec<String>,
}

/// The body of `PUT /vm.resize`: one of them at least.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Bytes wanted of boot RAM and all memory devices together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_ram: Option<u64>,
    /// Number of virtual CPUs wanted, at most as many as `--cpus` allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_vcpus: Option<u32>,
    /// Bytes that are to be in the balloon; without one it must be 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_balloon: Option<u64>,
}

impl Resize {
    /// Refuses what a machine like this cannot do.
    pub(super) fn check(&self, machine: &MachineSpec) -> Result<(), Problem> {
        let wrong = |field: &str, detail: String| {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{field}{detail}")).with_field(field))
        };
        match self {
            Self { desired_vcpus: Some(other), .. } if !machine.can_have(*other) => {
                wrong("desired_vcpus", format!("={other}: {}", machine.cpu_rule()))
            }
            Self { desired_balloon: Some(size @ 1..), .. } if machine.balloon.is_none() => {
                wrong("desired_balloon", format!("={size}: must be 0: there is no balloon"))
            }
            Self { desired_ram: None, desired_vcpus: None, desired_balloon: None } => {
                let what = "bytes wanted of boot RAM and all memory devices together, a whole number";
                wrong("desired_ram", format!(": missing field `desired_ram`, {what}"))
            }
            _ => Ok(()),
        }
    }
}

/// The body of `PUT /vm.snapshot`: `destination` or `destination_url`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TakeSnapshot {
    /// A directory of the machine's host, from the root on: a new or empty one, or that of an earlier snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub destination: Option<PathBuf>,
    /// The same as cloud-hypervisor's clients say it: behind `file://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_url: Option<String>,
    /// The directory of the snapshot since which writes are tracked: only what was written since is written down, and the new
    /// snapshot needs that one. Tracking goes on from the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub base: Option<PathBuf>,
    /// Whether writes are tracked from this snapshot on; without it that stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<bool>,
}

impl TakeSnapshot {
    /// The directory.
    fn directory(&self) -> Result<PathBuf, Problem> {
        let wrong =
            |field, detail: &str| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_field(field);
        match (&self.destination, &self.destination_url) {
            (Some(directory), None) => Ok(directory.clone()),
            (None, Some(url)) => match url.strip_prefix("file://") {
                Some(path) => Ok(path.into()),
                None => Err(wrong("destination_url", "`destination_url` must begin with file://")),
            },
            (None, None) => Err(wrong("destination", "missing field `destination`")),
            (Some(_), Some(_)) => {
                Err(wrong("destination_url", "`destination` and `destination_url` must not be given both"))
            }
        }
    }
}

impl TryFrom<TakeSnapshot> for SnapshotSpec {
    type Error = Problem;

    fn try_from(body: TakeSnapshot) -> Result<Self, Problem> {
        let destination = body.directory()?;
        Ok(Self { destination, base: body.base, track: body.track })
    }
}

/// The body of `PUT /vm.resize-zone`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeZone {
    /// The memory device.
    pub id: String,
    /// Bytes wanted of it.
    pub desired_ram: u64,
}

/// The body of `PATCH /memory-devices/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeDevice {
    /// Bytes wanted.
    pub requested_size: u64,
}

/// The body of `PUT /faults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFaults {
    /// The faults that are to be set, in place of all earlier ones.
    pub faults: Vec<Fault>,
}

/// The answer of `PUT /faults` and `GET /faults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Faults {
    /// The faults that are set, in the order in which they were.
    pub faults: Vec<FaultStatus>,
}

/// The body of `PUT /vmm.log`, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`; or several by module, as in `warn,dimmer=debug`.
    pub level: String,
}

/// The body of `POST /vm.inject-mce`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InjectMce {
    /// Guest-physical address of the memory that is bad.
    pub address: u64,
    /// How bad it is.
    pub severity: MceSeverity,
}

/// The body of `POST /vm.fork`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The child's name: 1 to 64 letters, digits, `.`, `_` or `-`.
    pub id: String,
    /// The socket of its API, from the root on.
    #[schema(value_type = String)]
    pub api_socket: PathBuf,
    /// The socket of its guest's agent, where the machine has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub agent_socket: Option<PathBuf>,
    /// What its serial console is connected to: `null`, `file=PATH` or `socket=PATH`; `null` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// How its memory is taken over: `map` lays it over an image that its siblings share, `copy` reads it before the guest runs,
    /// into huge pages where the host has them. Where it is absent, `map` for memory that can be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_memory: Option<RestoredMemory>,
    /// Whether its virtual CPUs stay stopped.
    #[serde(default)]
    pub paused: bool,
    /// Whether its process is in the process group of this one's, so that Ctrl-C on a terminal ends both.
    #[serde(default)]
    pub attached: bool,
}

impl TryFrom<Fork> for ForkSpec {
    type Error = Problem;

    fn try_from(
        Fork { id, api_socket, agent_socket, serial, restore_memory, paused, attached }: Fork,
    ) -> Result<Self, Problem> {
        let serial = match serial {
            None => SerialSpec::Null,
            Some(text) => {
                let SerialArg(serial) = text.parse().map_err(|error: BadSerial| {
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).with_field("serial")
                })?;
                serial
            }
        };
        Ok(Self { id, api_socket, agent_socket, serial, memory: restore_memory, paused, detached: !attached })
    }
}
