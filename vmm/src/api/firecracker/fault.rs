//! Errors in Firecracker's shape, and bodies that are answered so when they are wrong.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::super::Problem;
use super::super::body::JsonBody;

/// What is wrong, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

#[derive(Serialize)]
struct Message {
    fault_message: String,
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(Message { fault_message: self.0 })).into_response()
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self(problem.detail)
    }
}

/// What can be said of a machine before it starts only: here, on the command line.
pub fn too_late() -> Fault {
    Fault("the machine has started: what it is made of is said on the command line of dimmer run".to_owned())
}

/// A JSON body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let JsonBody(body) = JsonBody::from_request(request, state).await?;
        Ok(Self(body))
    }
}
