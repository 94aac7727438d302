//! Every error of the API: `application/problem+json` (RFC 9457).

use std::fmt;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use dimmer_devices::memory::MemoryStatus;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::Refusal;
use crate::spec::BadValue;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why a request was not served. There is no `type`, which means that `title` and `status` say all there
/// is to the kind of problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this request, and what would be valid.
    pub detail: String,
    /// The field or parameter that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The memory device as it is now, when a change of it did not end well in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Box<MemoryStatus>>,
}

impl Problem {
    /// A problem of the kind that `status` names.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { title, status: status.as_u16(), detail: detail.into(), field: None, device: None }
    }

    /// Names the field or parameter that is wrong.
    #[must_use]
    pub fn with_field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// Shows the memory device.
    #[must_use]
    pub fn with_device(self, device: Option<MemoryStatus>) -> Self {
        Self { device: device.map(Box::new), ..self }
    }

    /// The machine answered something that is no answer to the command: a bug.
    pub fn unexpected(reply: &impl fmt::Debug) -> Self {
        tracing::error!(?reply, "The machine's reply does not fit the command");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the machine's reply does not fit the command")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = match &refusal {
            Refusal::NotFound(_) => StatusCode::NOT_FOUND,
            Refusal::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refusal::Conflict(_) => StatusCode::CONFLICT,
            Refusal::Host(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refusal.to_string())
    }
}

impl From<BadValue> for Problem {
    fn from(bad: BadValue) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, bad.to_string()).with_field(bad.key)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).expect("strings and numbers can be written as JSON");
        (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
    }
}
