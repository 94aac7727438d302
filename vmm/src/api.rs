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
//! | 409 | right in itself, but not now; of a change with `?wait`: refused or done in part, with the reason |
//! | 413 | the body is larger than 64 KiB |
//! | 422 | JSON, but not the object that is valid here |
//! | 500 | the host could not do it |
//! | 504 | with `?wait`: still in progress |

mod body;
mod connections;
mod devices;
mod errors;
mod events;
mod faults;
mod machine;
mod openapi;
mod problem;
mod server;
#[cfg(test)]
pub(crate) mod tests;
pub mod types;
mod wait;

use std::sync::Arc;

use tokio::sync::watch;

use crate::control::{Command, Mailbox, Reply};
use crate::events::Hub;

pub use problem::Problem;
pub use server::{Server, start};
pub use wait::{BadWait, parse_wait};

/// Where all paths begin.
pub const BASE: &str = "/api/v1";

/// What handlers need.
#[derive(Debug)]
struct Api {
    mailbox: Arc<Mailbox>,
    hub: Arc<Hub>,
    /// Becomes true when the server has to end.
    stopping: watch::Receiver<bool>,
    /// The OpenAPI document as JSON.
    document: String,
}

type Shared = axum::extract::State<Arc<Api>>;

impl Api {
    async fn call(&self, command: Command) -> Result<Reply, Problem> {
        Ok(self.mailbox.call(command).await?)
    }
}
