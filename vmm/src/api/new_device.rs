//! The body of `POST /memory-devices`: a DIMM, or a virtio-mem device.

use axum::http::StatusCode;
use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::placement::Placement;
use dimmer_devices::places::NewVirtioMem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;
use crate::control::Command;
use crate::spec::{DimmSpec, check_id};

/// The body of `POST /memory-devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// Its name: 1 to 64 letters, digits, `.`, `_` or `-`.
    pub id: String,
    /// What it is.
    #[serde(default)]
    pub kind: NewKind,
    /// Its size in bytes; of a DIMM a multiple of 128 MiB, in place of `ranges`, of a virtio-mem device all of its place, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// A DIMM's ranges, 1 to 8, in the order in which the guest is told of them; in place of `size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 8)]
    pub ranges: Option<Vec<DimmRange>>,
    /// Whether each range lies above or below the one before it.
    #[serde(default)]
    pub order: Order,
    /// Whether sizes and gaps may be any multiple of 1 MiB rather than of 128 MiB; Linux does not take
    /// such memory.
    #[serde(default)]
    pub unaligned: bool,
    /// How the guest is told of it.
    #[serde(default)]
    pub notify: Notify,
    /// Its proximity domain; if absent, 0 for a DIMM, and that of the first place that is free for a virtio-mem device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Guest-physical address at which it begins; the lowest free one that is aligned, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<u64>,
    /// A power of two in bytes, of which the address at which it begins is a multiple.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub align: Option<u64>,
    /// Bytes of a virtio-mem device's block, a power of two; its place's, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u64>,
    /// Bytes that the driver of a virtio-mem device is asked for at first; none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_size: Option<u64>,
}

/// The kinds of memory device that can be added to a running machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NewKind {
    /// An ACPI memory device.
    #[default]
    Dimm,
    /// A virtio-mem device in a place that `--memory-hotplug method=virtio-mem,present=off` keeps free.
    VirtioMem,
}

/// How a device's ranges follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Each above the one before it.
    #[default]
    Ascending,
    /// Each below the one before it.
    Descending,
}

impl TryFrom<NewDevice> for Command {
    type Error = Problem;

    fn try_from(device: NewDevice) -> Result<Self, Problem> {
        match device.kind {
            NewKind::Dimm => DimmSpec::try_from(device).map(Self::AddDimm),
            NewKind::VirtioMem => NewVirtioMem::try_from(device).map(Self::AddVirtioMem),
        }
    }
}

fn wrong(field: &str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with_field(field)
}

/// Refuses the first of these fields that is there and that devices of the kind do not have.
fn only(kind: &str, fields: &[(&str, bool)]) -> Result<(), Problem> {
    match fields.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(wrong(field, &format!("{field}: only {kind} has that"))),
        None => Ok(()),
    }
}

impl TryFrom<NewDevice> for DimmSpec {
    type Error = Problem;

    fn try_from(device: NewDevice) -> Result<Self, Problem> {
        let given = [
            ("block_size", device.block_size.is_some()),
            ("requested_size", device.requested_size.is_some()),
        ];
        only("a virtio-mem device", &given)?;
        let ranges = match (device.size, device.ranges) {
            (Some(size), None) => vec![DimmRange { size, gap: 0 }],
            (None, Some(ranges)) => ranges,
            (None, None) => return Err(wrong("size", "missing field `size`, or `ranges` in its place")),
            (Some(_), Some(_)) => {
                return Err(wrong("ranges", "`size` and `ranges` must not be given both: one says it all"));
            }
        };
        let dimm = Dimm {
            id: device.id,
            ranges,
            descending: device.order == Order::Descending,
            node: device.node.unwrap_or(0),
            unaligned: device.unaligned,
            placement: Placement { start: device.start, align: device.align },
        };
        let spec = Self { dimm, notify: device.notify };
        spec.check()?;
        Ok(spec)
    }
}

impl TryFrom<NewDevice> for NewVirtioMem {
    type Error = Problem;

    fn try_from(device: NewDevice) -> Result<Self, Problem> {
        let given = [
            ("ranges", device.ranges.is_some()),
            ("order", device.order != Order::default()),
            ("unaligned", device.unaligned),
            ("notify", device.notify != Notify::default()),
            ("start", device.start.is_some()),
            ("align", device.align.is_some()),
        ];
        only("a DIMM", &given)?;
        check_id(&device.id)?;
        Ok(Self {
            id: device.id,
            size: device.size,
            block_size: device.block_size,
            requested_size: device.requested_size.unwrap_or(0),
            node: device.node,
        })
    }
}
