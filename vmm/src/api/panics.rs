//! A handler that panics answers as any other: with a [`Problem`].
//!
//! Handlers touch nothing of the machine; so the machine, its guest, and the other requests of the same connection go on.
//! What a client reads as a stream (`GET /events`) has been answered before; a panic there ends the connection.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Problem;
use crate::defect;

/// The answer of the handler behind it; 500, should it panic.
pub(super) async fn answered(request: Request, next: Next) -> Response {
    let mut handler = pin!(next.run(request));
    poll_fn(|context| {
        // What panicked is not polled again: this was its last answer.
        let polled = catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(context)));
        polled.unwrap_or_else(|panic| Poll::Ready(defective(&defect::words(&*panic)).into_response()))
    })
    .await
}

fn defective(words: &str) -> Problem {
    let detail =
        format!("the request met a defect of dimmer, please report it: {words}; the machine goes on");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}
