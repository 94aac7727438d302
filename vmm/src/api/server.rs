//! The API's thread: its routes behind the connections to its socket.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;

use super::connections::serve;
use super::limits::Limits;
use super::{Api, document, openapi, panics};
use crate::access::Access;
use crate::socket_server::{self, OnDefect, Server};

/// Starts to serve the API on a new socket at `path`.
///
/// At the machine's end put its last event first, then drop the receiving end of the mailbox, then the
/// [`Server`]. `on_defect` is called, with its words, should the server's thread panic: nobody can control the machine
/// any more then. (A handler that panics answers 500; see [`panics`].)
///
/// # Errors
/// When the path is in use (`AddrInUse`), or the host gives no socket, thread or epoll instance.
pub fn start(path: &Path, access: Access, on_defect: OnDefect) -> io::Result<Server> {
    start_within(Limits::default(), path, access, on_defect)
}

/// As [`start`], with other limits.
pub(super) fn start_within(
    limits: Limits,
    path: &Path,
    access: Access,
    on_defect: OnDefect,
) -> io::Result<Server> {
    start_with(openapi::routes(), limits, path, access, on_defect)
}

/// The same with these routes, and the document that describes them.
pub(super) fn start_with(
    (router, document): (Router<Arc<Api>>, OpenApi),
    limits: Limits,
    path: &Path,
    access: Access,
    on_defect: OnDefect,
) -> io::Result<Server> {
    let document = document::written(&document).map_err(io::Error::other)?;
    let router = router.layer(axum::middleware::from_fn(panics::answered));
    let serve = move |listener, stopping: socket_server::Stopping| {
        let api = Api::new(access, limits.long, stopping.clone(), document);
        serve(listener, router.with_state(Arc::new(api)), limits, stopping)
    };
    socket_server::start(path, "api", serve, on_defect)
}
