//! `GET /events`: a line of JSON for every event, for as long as the machine lives.

use std::convert::Infallible;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::IntoParams;

use super::body::query;
use super::errors::AnyProblem;
use super::{Problem, Shared};
use crate::events::{Event, Hub, MachineEvent, What};

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

/// Streams events, one JSON object on each line, until the machine ends.
#[utoipa::path(get, path = "/events", params(SinceQuery), responses(
    (status = 200, description = "Events as they happen", body = Event, content_type = "application/x-ndjson"),
    AnyProblem,
))]
pub async fn stream(State(api): Shared, SinceQuery { since }: SinceQuery) -> Response {
    let after = since.unwrap_or_else(|| api.hub.last());
    let stream = EventStream::new(Arc::clone(&api.hub), after, api.stopping.clone());
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::new(stream)).into_response()
}

/// The events that are there, once there are some; `None` when there will be no more.
type Batch = Pin<Box<dyn Future<Output = Option<Vec<Event>>> + Send>>;

/// The body of the response: ends behind the machine's last event, or when the server stops.
struct EventStream {
    hub: Arc<Hub>,
    stopping: watch::Receiver<bool>,
    batch: Batch,
}

impl EventStream {
    fn new(hub: Arc<Hub>, after: u64, stopping: watch::Receiver<bool>) -> Self {
        let batch = next(Arc::clone(&hub), after, stopping.clone());
        Self { hub, stopping, batch }
    }
}

fn next(hub: Arc<Hub>, after: u64, mut stopping: watch::Receiver<bool>) -> Batch {
    Box::pin(async move {
        tokio::select! {
            biased;
            events = hub.after(after) => Some(events),
            _ = stopping.wait_for(|stopping| *stopping) => None,
        }
    })
}

impl hyper::body::Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(events) = ready!(self.batch.as_mut().poll(context)) else { return Poll::Ready(None) };
        let ended = |event: &Event| matches!(event.what, What::Machine(MachineEvent::Ended { .. }));
        self.batch = match events.last() {
            Some(last) if !ended(last) => next(Arc::clone(&self.hub), last.sequence, self.stopping.clone()),
            _ => Box::pin(future::ready(None)),
        };
        Poll::Ready(Some(Ok(Frame::data(lines(&events)))))
    }
}

fn lines(events: &[Event]) -> Bytes {
    let mut text = Vec::new();
    for event in events {
        serde_json::to_writer(&mut text, event).expect("an event can be written as JSON");
        text.push(b'\n');
    }
    text.into()
}
