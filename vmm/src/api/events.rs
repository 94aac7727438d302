//! `GET /events`: every event, for as long as the machine lives, as lines of JSON or as server-sent events.

use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::body::query;
use super::errors::AnyProblem;
use super::event_stream::{EventStream, Form};
use super::{Problem, Shared};
use crate::events::Event;

/// The parameter of the stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SinceQuery {
    /// Begins with the kept events behind this number, 0 for all of them; without it only new events are
    /// sent. A gap in the numbers means that events were not kept.
    since: Option<u64>,
}

impl<S: Send + Sync> FromRequestParts<S> for SinceQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bad = |problem: Problem| problem.with_field("since");
        query(parts, state).await.map_err(bad)
    }
}

/// What the client takes: server-sent events if it says so, and lines of JSON otherwise.
fn form(headers: &HeaderMap) -> Form {
    let accepts = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let takes = |accept: &str| {
        accept
            .split(',')
            .any(|kind| kind.split(';').next().unwrap_or("").trim() == Form::ServerSent.media_type())
    };
    if accepts.into_iter().any(takes) { Form::ServerSent } else { Form::Lines }
}

/// The number of the last event that the client saw, as browsers say it when they connect again.
fn seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    let bad = || {
        let detail = format!("Last-Event-ID: {value:?}: must be the number of an event");
        Problem::new(StatusCode::BAD_REQUEST, detail).with_field("Last-Event-ID")
    };
    number.map(Some).ok_or_else(bad)
}

/// Streams events until the machine ends: one JSON object on each line or, if `Accept` names `text/event-stream`,
/// server-sent events whose `id` is the event's number. `Last-Event-ID` goes on behind that number, as `since` does. In a
/// stream of server-sent events a `gap` says which numbers are missing, and a comment comes every 15 seconds.
#[utoipa::path(get, path = "/events", params(
    SinceQuery,
    ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last event that was seen; counts more than `since`"),
), responses(
    (status = 200, description = "Events as they happen", content(
        (Event = "application/x-ndjson"), (String = "text/event-stream"),
    )),
    AnyProblem,
))]
pub async fn stream(
    State(api): Shared,
    headers: HeaderMap,
    SinceQuery { since }: SinceQuery,
) -> Result<Response, Problem> {
    let place = api.place()?;
    let hub = &api.access.hub;
    let after = seen(&headers)?.or(since).unwrap_or_else(|| hub.last());
    let form = form(&headers);
    let stream = EventStream::new(form, hub.clone(), after, api.stopping.clone(), place);
    let head = [(header::CONTENT_TYPE, form.media_type()), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::new(stream)).into_response())
}
