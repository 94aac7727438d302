//! Bodies of requests, and of responses that are not the machine's own types. Unknown fields are
//! rejected.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::spec::DimmSpec;

/// The body of `GET /vmm.ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ping {
    /// Version of Dimmer.
    pub version: String,
    /// Process id of the VMM.
    pub pid: u32,
}

/// The body of `PUT /vm.resize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Bytes wanted of boot RAM and all memory devices together.
    pub desired_ram: u64,
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

/// The body of `POST /memory-devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    pub id: String,
    /// What it is.
    pub kind: NewKind,
    /// Its size in bytes, a multiple of 128 MiB.
    pub size: u64,
    /// Its proximity domain.
    #[serde(default)]
    pub node: u32,
}

/// The kinds of memory device that can be added to a running machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NewKind {
    /// An ACPI memory device.
    Dimm,
}

impl From<NewDevice> for DimmSpec {
    fn from(device: NewDevice) -> Self {
        let NewKind::Dimm = device.kind;
        Self { id: device.id, size: device.size, node: device.node }
    }
}
