//! `/vmm.log`: how much is written to the log.

use axum::Json;
use axum::http::StatusCode;

use super::Problem;
use super::body::JsonBody;
use super::errors::AnyProblem;
use super::types::LogLevel;
use crate::log::{self, LevelError};

/// Shows how much is written to the log.
#[utoipa::path(get, path = "/vmm.log", responses(
    (status = 200, description = "The level", body = LogLevel),
    AnyProblem,
))]
pub async fn level() -> Result<Json<LogLevel>, Problem> {
    log::level().map(|level| Json(LogLevel { level })).map_err(|error| problem(&error))
}

/// Has so much written to the log from now on, of this process alone.
#[utoipa::path(put, path = "/vmm.log", request_body = LogLevel, responses(
    (status = 200, description = "It is as asked for", body = LogLevel),
    AnyProblem,
))]
pub async fn set_level(JsonBody(LogLevel { level }): JsonBody<LogLevel>) -> Result<Json<LogLevel>, Problem> {
    log::set_level(&level).map_err(|error| problem(&error))?;
    self::level().await
}

fn problem(error: &LevelError) -> Problem {
    match error {
        LevelError::Text => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("level: {error}")).with_field("level")
        }
        LevelError::NoLog => Problem::new(StatusCode::CONFLICT, error.to_string()),
    }
}
