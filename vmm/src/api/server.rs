//! The API's thread: one listener, one single-threaded runtime, many connections.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;

use super::connections::Bounded;
use super::{Api, openapi};
use crate::control::Mailbox;
use crate::defect;
use crate::events::Hub;
use crate::socket::{self, SocketFile};

/// How long clients have to take the answers that are under way when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// The running server. Dropping it ends it: requests under way are answered, event streams end behind the
/// last event, and the socket's file goes away.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    _file: SocketFile,
}

/// Starts to serve the API on a new socket at `path`; commands go to `mailbox`, events come from `hub`.
///
/// At the machine's end put its last event first, then drop the receiving end of the mailbox, then the
/// [`Server`]. `on_defect` is called, with its words, should the server's thread panic: nobody can control the machine
/// any more then. (A panic in one request ends that client's connection alone.)
///
/// # Errors
/// When the path is in use (`AddrInUse`), or the host gives no socket, thread or epoll instance.
pub fn start(
    path: &Path,
    mailbox: Arc<Mailbox>,
    hub: Arc<Hub>,
    on_defect: impl FnOnce(String) + Send + 'static,
) -> io::Result<Server> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (listener, file) = socket::bind(path)?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _guard = runtime.enter();
        UnixListener::from_std(listener)?
    };
    let (stop, stopping) = watch::channel(false);
    let (router, document) = openapi::routes();
    let document = document.to_json().map_err(io::Error::other)?;
    let router = router.with_state(Arc::new(Api { mailbox, hub, stopping: stopping.clone(), document }));
    let serve = move || runtime.block_on(run(listener, router, stopping));
    let run = move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(serve)) {
            on_defect(defect::words(&*panic));
        }
    };
    let thread = thread::Builder::new().name("api".to_owned()).spawn(run)?;
    Ok(Server { stop, thread: Some(thread), _file: file })
}

async fn run(listener: UnixListener, router: axum::Router, stopping: watch::Receiver<bool>) {
    let stopped = |mut stopping: watch::Receiver<bool>| async move {
        // A sender that is gone means the same.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let server =
        axum::serve(Bounded::new(listener), router).with_graceful_shutdown(stopped(stopping.clone()));
    tokio::select! {
        ended = server.into_future() => if let Err(error) = ended {
            tracing::error!(%error, "The API server ended");
        },
        () = async { stopped(stopping).await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("A client of the API did not take its answer in time");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // What panicked was caught and told.
            let _ = thread.join();
        }
    }
}
