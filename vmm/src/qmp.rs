//! QEMU's machine protocol (QMP) on a socket of its own, `--qmp`: as much of it as scripts about memory need, over the same
//! commands as the REST API. `docs/compatibility.md` lists what is there.
//!
//! ```text
//!   bytes ── input ──► message ──► commands ──► control::Command      answers and events go out one at a time: a client that
//!                                                                      does not read is waited for, and then left
//! ```

mod backends;
mod balloon;
mod commands;
mod devices;
mod events;
mod input;
mod message;
mod properties;
mod queries;
mod session;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::access::Access;
use crate::socket_server::{self, OnDefect, Server, Stopping, accept, stopped};
use backends::Backends;
use session::session;

/// Clients at a time; the next ones wait in the socket's backlog.
const CLIENTS: usize = 8;

/// What all sessions have in common.
#[derive(Debug)]
struct Monitor {
    access: Access,
    backends: Backends,
}

/// Starts to serve QMP on a new socket at `path`.
///
/// At the machine's end put its last event first, then drop the receiving end of the mailbox, then the
/// [`Server`]. `on_defect` is called, with its words, should the server's thread panic.
///
/// # Errors
/// When the path is in use (`AddrInUse`), or the host gives no socket, thread or epoll instance.
pub fn start(path: &Path, access: Access, on_defect: OnDefect) -> io::Result<Server> {
    let monitor = Arc::new(Monitor { access, backends: Backends::default() });
    socket_server::start(path, "qmp", move |listener, stopping| serve(listener, monitor, stopping), on_defect)
}

async fn serve(listener: UnixListener, monitor: Arc<Monitor>, stopping: Stopping) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stopped(stopping.clone()) => break,
            Some(_) = sessions.join_next() => {}
            stream = accept(&listener), if sessions.len() < CLIENTS => {
                sessions.spawn(session(stream, monitor.clone(), stopping.clone()));
            }
        }
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}
