//! Reading requests: the JSON body and the parts of the address, each failing with a
//! [`Problem`] that names the field.

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use super::limits::{BodyLimit, Limits};
use super::{Problem, missing};
use crate::json::Said;

/// Largest body in bytes; the largest valid one has a few hundred.
pub const LARGEST_BODY: usize = 64 * 1024;
/// How much of a too large body is read all the same, so that its sender gets to see the answer.
const DRAINED: usize = 16 * 1024 * 1024;

/// The JSON body of a request. Its media type is not looked at: there is no other kind of body.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Sync, T: DeserializeOwned + ToSchema> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let limit = request.extensions().get().copied().unwrap_or(BodyLimit(Limits::default().body));
        let bytes = in_time(limit, read(request.into_body())).await?;
        from_json(&bytes).map(Self)
    }
}

async fn in_time<T>(
    BodyLimit(limit): BodyLimit,
    read: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let late = |_| {
        let detail = format!("the body did not come in time: it may take {} seconds", limit.as_secs_f64());
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    };
    tokio::time::timeout(limit, read).await.map_err(late)?
}

async fn read(mut body: Body) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut length = 0usize;
    while let Some(frame) = body.frame().await {
        let cut_off =
            |error| Problem::new(StatusCode::BAD_REQUEST, format!("the body could not be read: {error}"));
        let Ok(data) = frame.map_err(cut_off)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length <= LARGEST_BODY {
            bytes.extend_from_slice(&data);
        } else if length > DRAINED {
            break;
        }
    }
    if length > LARGEST_BODY {
        let detail = format!("the body is too large: it must be at most {LARGEST_BODY} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
    }
    Ok(bytes)
}

fn from_json<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> Result<T, Problem> {
    let wrong = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail);
    let Said(said) = serde_json::from_slice(bytes).map_err(|error| {
        if error.is_data() {
            return wrong(error.to_string());
        }
        Problem::new(StatusCode::BAD_REQUEST, format!("the body is not JSON: {error}"))
    })?;
    // An array would be taken for the fields in their order.
    if !said.is_object() {
        return Err(wrong("the body must be a JSON object".to_owned()));
    }
    serde_path_to_error::deserialize(said).map_err(|error| {
        let path = Some(error.path().to_string()).filter(|path| path != ".");
        let message = error.inner().to_string();
        let Some(name) = missing::name(&message) else { return Problem { field: path, ..wrong(message) } };
        let field = path.map_or_else(|| name.to_owned(), |path| format!("{path}.{name}"));
        let meaning = missing::explain::<T>(error.path(), name).map(|meaning| format!(", {meaning}"));
        wrong(format!("{message}{}", meaning.unwrap_or_default())).with_field(field)
    })
}

/// The id of a memory device in the path.
#[derive(Debug)]
pub struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::from_request_parts(parts, state).await.map_err(|rejection: PathRejection| {
            Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()).with_field("id")
        })?;
        Ok(Self(id))
    }
}

/// The parameters behind `?`.
pub async fn query<T, S>(parts: &mut Parts, state: &S) -> Result<T, Problem>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    let Query(query) = Query::from_request_parts(parts, state)
        .await
        .map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    Ok(query)
}
