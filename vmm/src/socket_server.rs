//! A thread that serves one UNIX socket: a listener, a single-threaded runtime, and an end that does not wait for ever.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::defect;
use crate::sandbox::{self, Kind};
use crate::socket::{self, SocketFile};

/// How long clients have to take the answers that are under way when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// How long nobody is accepted after the host refused a connection, for want of descriptors as a rule.
const REST: Duration = Duration::from_secs(1);

/// The running server. Dropping it ends it: requests under way are answered, streams end behind the last event, and the
/// socket's file goes away.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    _file: SocketFile,
}

/// Becomes true when the server has to end.
pub type Stopping = watch::Receiver<bool>;

/// Hears of a defect, in words. (One type for all: with a server for each, the tests would have dozens of whole HTTP servers
/// compiled.)
pub type OnDefect = Box<dyn FnOnce(String) + Send>;

/// Serves a new socket at `path` in a thread called `name`: `serve` runs until it returns, which it has to do soon after it was
/// told to stop.
///
/// `on_defect` is called, with its words, should the thread panic.
///
/// # Errors
/// When the path is in use (`AddrInUse`), or the host gives no socket, thread or epoll instance.
pub fn start<F: Future<Output = ()>>(
    path: &Path,
    name: &'static str,
    serve: impl FnOnce(UnixListener, Stopping) -> F + Send + 'static,
    on_defect: OnDefect,
) -> io::Result<Server> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (listener, file) = socket::bind(path)?;
    listener.set_nonblocking(true)?;
    let listener = {
        let _guard = runtime.enter();
        UnixListener::from_std(listener)?
    };
    let (stop, stopping) = watch::channel(false);
    let run = move || {
        let late = stopping.clone();
        let served = async {
            tokio::select! {
                () = serve(listener, stopping) => {}
                () = async { stopped(late).await; tokio::time::sleep(GRACE).await } => {
                    tracing::warn!("A client of the {name} socket did not take its answer in time");
                }
            }
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| runtime.block_on(served))) {
            on_defect(defect::words(&*panic));
        }
    };
    let thread = sandbox::spawn(Kind::Server, name, run)?;
    Ok(Server { stop, thread: Some(thread), _file: file })
}

/// Waits until the server has to end. A sender that is gone means the same.
pub async fn stopped(mut stopping: Stopping) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The next connection of somebody who may come. What the host refuses is tried again.
pub async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if socket::admits(&stream) => return stream,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!("no connection: {error}");
                tokio::time::sleep(REST).await;
            }
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
