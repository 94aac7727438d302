//! Calls that are only spelled in another way than ours.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dimmer_devices::memory::MemoryStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::body::JsonBody;
use super::super::errors::{AnyProblem, ChangeProblems};
use super::super::wait::{Change, Wait, WaitQuery, change};
use super::super::{Problem, Shared};
use crate::control::{Command, Reply};

/// The body of `PUT /vm.remove-device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveDevice {
    /// The memory device.
    pub id: String,
}

/// Asks the guest to let a memory device go.
#[utoipa::path(put, path = "/vm.remove-device", params(WaitQuery), request_body = RemoveDevice, responses(
    (status = 200, description = "With wait: the guest let it go; its last state", body = MemoryStatus),
    (status = 204, description = "The guest was asked"),
    ChangeProblems,
))]
pub async fn remove_device(
    State(api): Shared,
    wait: Wait,
    JsonBody(RemoveDevice { id }): JsonBody<RemoveDevice>,
) -> Result<Response, Problem> {
    Ok(match change(&api, Command::Remove(id), wait).await? {
        Change::Accepted(_) | Change::Nothing => StatusCode::NO_CONTENT.into_response(),
        Change::Done(device) => Json(device).into_response(),
    })
}

/// Ends the machine, and with it the process.
#[utoipa::path(put, path = "/vmm.shutdown", responses(
    (status = 204, description = "It ends"),
    AnyProblem,
))]
pub async fn shutdown_vmm(State(api): Shared) -> Result<StatusCode, Problem> {
    match api.call(Command::Shutdown).await? {
        Reply::Done => Ok(StatusCode::NO_CONTENT),
        other => Err(Problem::unexpected(&other)),
    }
}
