//! `/hotplug/memory`: the one virtio-mem device of a machine.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::{Api, Problem, Shared};
use super::fault::{Body, Fault};
use super::machine::done;
use crate::control::{Command, Reply};
use crate::spec::VirtioMemSpec;
use crate::units::MIB;

/// The body of `GET /hotplug/memory`.
#[derive(Debug, Serialize)]
pub struct Status {
    total_size_mib: u64,
    slot_size_mib: u64,
    block_size_mib: u64,
    plugged_size_mib: u64,
    requested_size_mib: u64,
}

/// The body of `PATCH /hotplug/memory`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeUpdate {
    /// MiB wanted of it.
    requested_size_mib: u32,
}

/// The one virtio-mem device.
fn device(api: &Api) -> Result<&VirtioMemSpec, Fault> {
    let mut devices = api.access.spec.virtio_mem();
    match (devices.next(), devices.next()) {
        (Some(device), None) => Ok(device),
        (Some(_), Some(_)) => Err(Fault(
            "this machine has several virtio-mem devices: say which one with PATCH /api/v1/memory-devices/{id}".to_owned(),
        )),
        (None, _) => Err(Fault(
            "this machine has no virtio-mem device: start it with --memory-hotplug method=virtio-mem,size=S".to_owned(),
        )),
    }
}

/// Shows the device.
pub async fn show(State(api): Shared) -> Result<Json<Status>, Fault> {
    let spec = device(&api)?;
    let now = match api.call(Command::Device(spec.id.clone())).await? {
        Reply::Device(device) => device,
        other => return Err(Problem::unexpected(&other).into()),
    };
    Ok(Json(Status {
        total_size_mib: spec.size / MIB,
        slot_size_mib: spec.slot_size / MIB,
        block_size_mib: spec.block_size / MIB,
        plugged_size_mib: now.plugged_size / MIB,
        requested_size_mib: now.requested_size / MIB,
    }))
}

/// Asks for the device's plugged size.
pub async fn resize(State(api): Shared, Body(wanted): Body<SizeUpdate>) -> Result<StatusCode, Fault> {
    let id = device(&api)?.id.clone();
    done(&api, Command::Resize { id, size: u64::from(wanted.requested_size_mib) * MIB }).await
}
