//! The API's thread: one listener, one single-threaded runtime, many connections.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::watch;

use super::{Api, openapi};
use crate::control::Mailbox;
use crate::events::Hub;
use crate::socket;

/// How long clients have to take the answers that are under way when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// The running server. Dropping it ends it: requests under way are answered, event streams end behind the
/// last event, and the socket's file goes away.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
    /// Device and inode of the socket's file, so as to remove no other that took its place.
    file: (u64, u64),
}

/// Starts to serve the API on a new socket at `path`; commands go to `mailbox`, events come from `hub`.
///
/// At the machine's end put its last event first, then drop the receiving end of the mailbox, then the
/// [`Server`].
///
/// # Errors
/// When the path is in use (`AddrInUse`), or the host gives no socket, thread or epoll instance.
pub fn start(path: &Path, mailbox: Arc<Mailbox>, hub: Arc<Hub>) -> io::Result<Server> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = socket::bind(path)?;
    let file = identity(path)?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _guard = runtime.enter();
        UnixListener::from_std(listener)?
    };
    let (stop, stopping) = watch::channel(false);
    let (router, document) = openapi::routes();
    let document = document.to_json().map_err(io::Error::other)?;
    let router = router.with_state(Arc::new(Api { mailbox, hub, stopping: stopping.clone(), document }));
    let run = move || runtime.block_on(run(listener, router, stopping));
    let thread = thread::Builder::new().name("api".to_owned()).spawn(run)?;
    Ok(Server { stop, thread: Some(thread), path: path.to_owned(), file })
}

async fn run(listener: UnixListener, router: axum::Router, stopping: watch::Receiver<bool>) {
    let stopped = |mut stopping: watch::Receiver<bool>| async move {
        // A sender that is gone means the same.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped(stopping.clone()));
    tokio::select! {
        ended = server.into_future() => if let Err(error) = ended {
            tracing::error!(%error, "The API server ended");
        },
        () = async { stopped(stopping).await; tokio::time::sleep(GRACE).await } => {
            tracing::warn!("A client of the API did not take its answer in time");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("The API's thread panicked");
        }
        if identity(&self.path).is_ok_and(|file| file == self.file)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "Cannot remove the socket");
        }
    }
}
