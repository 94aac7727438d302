//! `/memory-devices`: the memory devices as resources.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::virtio_mem::RequestRecord;

use super::body::{Id, JsonBody};
use super::errors::{AnyProblem, ChangeProblems};
use super::types::{NewDevice, ResizeDevice};
use super::wait::{Change, Wait, WaitQuery, change};
use super::{BASE, Problem, Shared};
use crate::control::{Command, Reply};

/// 202 or, after a wait, 200 with the device.
fn respond(change: Change) -> Result<Response, Problem> {
    match change {
        Change::Accepted(device) => Ok((StatusCode::ACCEPTED, Json(device)).into_response()),
        Change::Done(device) => Ok(Json(device).into_response()),
        Change::Nothing => Err(Problem::unexpected(&change)),
    }
}

/// Shows all memory devices.
#[utoipa::path(get, path = "/memory-devices", responses(
    (status = 200, description = "All memory devices", body = Vec<MemoryStatus>),
    AnyProblem,
))]
pub async fn list(State(api): Shared) -> Result<Json<Vec<MemoryStatus>>, Problem> {
    match api.call(Command::Devices).await? {
        Reply::Devices(devices) => Ok(Json(devices)),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Shows one memory device.
#[utoipa::path(get, path = "/memory-devices/{id}", params(("id" = String, Path)), responses(
    (status = 200, description = "The memory device", body = MemoryStatus),
    AnyProblem,
))]
pub async fn show(State(api): Shared, Id(id): Id) -> Result<Json<MemoryStatus>, Problem> {
    match api.call(Command::Device(id)).await? {
        Reply::Device(device) => Ok(Json(device)),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Plugs a new ACPI memory device, or puts a virtio-mem device into a place that is free.
#[utoipa::path(post, path = "/memory-devices", params(WaitQuery), request_body = NewDevice, responses(
    (status = 200, description = "With wait: the guest took it", body = MemoryStatus),
    (status = 202, description = "The guest was asked", body = MemoryStatus),
    ChangeProblems,
))]
pub async fn add(
    State(api): Shared,
    wait: Wait,
    JsonBody(device): JsonBody<NewDevice>,
) -> Result<Response, Problem> {
    let location = format!("{BASE}/memory-devices/{}", device.id);
    let response = respond(change(&api, device.try_into()?, wait).await?)?;
    Ok(([(header::LOCATION, location)], response).into_response())
}

/// Asks for a memory device's plugged size.
#[utoipa::path(patch, path = "/memory-devices/{id}", params(("id" = String, Path), WaitQuery), request_body = ResizeDevice, responses(
    (status = 200, description = "With wait: it has the size", body = MemoryStatus),
    (status = 202, description = "The guest was asked, or the size is that already", body = MemoryStatus),
    ChangeProblems,
))]
pub async fn resize(
    State(api): Shared,
    Id(id): Id,
    wait: Wait,
    JsonBody(ResizeDevice { requested_size }): JsonBody<ResizeDevice>,
) -> Result<Response, Problem> {
    respond(change(&api, Command::Resize { id, size: requested_size }, wait).await?)
}

/// Asks the guest to let a memory device go.
#[utoipa::path(delete, path = "/memory-devices/{id}", params(("id" = String, Path), WaitQuery), responses(
    (status = 200, description = "With wait: the guest let it go; its last state", body = MemoryStatus),
    (status = 202, description = "The guest was asked", body = MemoryStatus),
    ChangeProblems,
))]
pub async fn remove(State(api): Shared, Id(id): Id, wait: Wait) -> Result<Response, Problem> {
    respond(change(&api, Command::Remove(id), wait).await?)
}

/// Shows what the guest reported with `_OST` about an ACPI memory device, which may be gone by now.
#[utoipa::path(get, path = "/memory-devices/{id}/ost", params(("id" = String, Path)), responses(
    (status = 200, description = "The reports, oldest first; those that are kept", body = Vec<OstReport>),
    AnyProblem,
))]
pub async fn ost(State(api): Shared, Id(id): Id) -> Result<Json<Vec<OstReport>>, Problem> {
    match api.call(Command::Ost(id)).await? {
        Reply::Ost(reports) => Ok(Json(reports)),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Shows what the driver of a virtio-mem device asked for, and what it was answered.
#[utoipa::path(get, path = "/memory-devices/{id}/requests", params(("id" = String, Path)), responses(
    (status = 200, description = "The requests, oldest first; those that are kept", body = Vec<RequestRecord>),
    AnyProblem,
))]
pub async fn requests(State(api): Shared, Id(id): Id) -> Result<Json<Vec<RequestRecord>>, Problem> {
    match api.call(Command::Requests(id)).await? {
        Reply::Requests(requests) => Ok(Json(requests)),
        other => Err(Problem::unexpected(&other)),
    }
}
