//! `/faults`: what is to go wrong, on demand.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use dimmer_devices::fault::Fault;

use super::body::JsonBody;
use super::errors::AnyProblem;
use super::types::{Faults, NewFaults};
use super::{Api, Problem, Shared};
use crate::control::{Command, Reply};

async fn faults(api: &Api, command: Command) -> Result<Json<Faults>, Problem> {
    match api.call(command).await? {
        Reply::Faults(faults) => Ok(Json(Faults { faults })),
        other => Err(Problem::unexpected(&other)),
    }
}

/// Shows the faults that are set, and what has become of them.
#[utoipa::path(get, path = "/faults", responses(
    (status = 200, description = "The faults", body = Faults),
    AnyProblem,
))]
pub async fn list(State(api): Shared) -> Result<Json<Faults>, Problem> {
    faults(&api, Command::Faults).await
}

/// Sets faults in place of all earlier ones; an empty list unsets all. Their occasions are counted anew.
#[utoipa::path(put, path = "/faults", request_body = NewFaults, responses(
    (status = 200, description = "They are set; all of them", body = Faults),
    AnyProblem,
))]
pub async fn set(
    State(api): Shared,
    JsonBody(NewFaults { faults: wanted }): JsonBody<NewFaults>,
) -> Result<Json<Faults>, Problem> {
    check(&wanted)?;
    faults(&api, Command::SetFaults(wanted)).await
}

fn check(faults: &[Fault]) -> Result<(), Problem> {
    faults.iter().enumerate().try_for_each(|(index, fault)| {
        fault.check().map_err(|error| {
            let field = format!("faults[{index}]");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{field}.{error}")).with_field(field)
        })
    })
}
