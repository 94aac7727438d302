//! The REST API: HTTP over a UNIX socket, base `/api/v1`, in one thread of its own.
//!
//! Bytes become typed requests here, requests become [`Command`](crate::control::Command)s for the event
//! loop, and its answers become responses; nothing here touches the machine. The OpenAPI document at
//! `/api/v1/openapi.json` is generated from the very handlers that serve the requests.
//!
//! To add an endpoint: a handler with its `#[utoipa::path]`, its name in [`openapi`]'s list of routes, a
//! row in `tests/document.rs`.
//!
//! | status | means |
//! |---|---|
//! | 200 | here it is; of a change with `?wait`: it is done |
//! | 202 | the guest was asked |
//! | 204 | it is done |
//! | 400 | not JSON, or a bad query |
//! | 404 | no such path, or no such device |
//! | 405 | the path has no such method |
//! | 408 | the body did not come in time |
//! | 409 | right in itself, but not now; of a change with `?wait`: refused or done in part, with the reason |
//! | 413 | the body is larger than 64 KiB |
//! | 422 | JSON, but not the object that is valid here |
//! | 500 | the host could not do it; or the request met a defect of Dimmer, and the machine goes on |
//! | 501 | another monitor's call that has nothing behind it here |
//! | 503 | as many as may already wait for a change, or listen to events |
//! | 504 | with `?wait`: still in progress |

mod body;
mod cloud_hypervisor;
mod connections;
mod devices;
mod document;
mod errors;
mod event_stream;
mod events;
mod faults;
mod firecracker;
mod limits;
mod line;
mod log;
mod machine;
mod metrics;
mod missing;
mod new_device;
mod openapi;
mod panics;
mod problem;
mod processors;
mod server;
#[cfg(test)]
pub(crate) mod tests;
pub mod types;
mod wait;

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::Access;
use crate::control::{Command, Reply};
use crate::socket_server::Stopping;

pub use crate::socket_server::Server;
pub use problem::Problem;
pub use server::start;
pub use wait::{BadWait, parse_wait};

/// Where all paths begin.
pub const BASE: &str = "/api/v1";

/// The OpenAPI document as it is served at `/api/v1/openapi.json`.
///
/// # Errors
/// Never, for what utoipa derives.
pub fn document() -> serde_json::Result<String> {
    document::written(&openapi::routes().1)
}

/// What handlers need.
#[derive(Debug)]
struct Api {
    access: Access,
    /// Places for requests that last.
    long: Arc<Semaphore>,
    /// Becomes true when the server has to end.
    stopping: Stopping,
    /// The OpenAPI document as JSON.
    document: String,
}

type Shared = axum::extract::State<Arc<Api>>;

impl Api {
    fn new(access: Access, long: usize, stopping: Stopping, document: String) -> Self {
        Self { access, long: Arc::new(Semaphore::new(long)), stopping, document }
    }

    async fn call(&self, command: Command) -> Result<Reply, Problem> {
        Ok(self.access.call(command).await?)
    }

    /// A place for a request that lasts; it is free again when it is dropped.
    fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let full = "as many clients as may already wait for a change or listen to events; without wait the change would be made";
        self.long.clone().try_acquire_owned().map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, full))
    }
}
