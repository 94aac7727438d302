//! Firecracker's API at the root of the same socket, thin over the same commands: sizes in MiB, and every error is a 400 with
//! `{"fault_message": …}`. What differs is in `docs/compatibility.md`.

mod absent;
mod balloon;
mod fault;
mod machine;
mod memory;
mod snapshot;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, put};

use super::Api;

pub use fault::Fault;

/// Its calls that have something behind them.
pub fn routes() -> Router<Arc<Api>> {
    let too_late = put(async || fault::too_late());
    Router::new()
        .route("/", get(machine::instance))
        .route("/version", get(machine::version))
        .route(
            "/machine-config",
            get(machine::config).merge(too_late.clone()).patch(async || fault::too_late()),
        )
        .route("/vm", patch(machine::state))
        .route("/actions", put(machine::action))
        .route("/balloon", get(balloon::show).patch(balloon::resize).merge(too_late.clone()))
        .route("/balloon/statistics", get(balloon::statistics).patch(balloon::set_interval))
        .route("/hotplug/memory", get(memory::show).patch(memory::resize).merge(too_late))
        .route("/snapshot/create", put(snapshot::create))
        .route("/snapshot/load", put(async || fault::too_late()))
}

/// The answer to a call of Firecracker's that is not there, in its shape; `None` for what is none of its calls.
pub fn no_such_call(method: &Method, uri: &Uri) -> Option<Response> {
    let why = absent::why_not(uri.path())?;
    Some(Fault(format!("{method} {}: {why}", uri.path())).into_response())
}
