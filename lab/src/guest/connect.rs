//! Coming to talk to a guest's agent: at its start, and again after a reboot.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use dimmer_agent::protocol::{Action, Pong};

use super::{Guest, GuestError, PATIENCE};

/// How long a ping may go unanswered before the next one, while the guest starts.
const PING_AGAIN: Duration = Duration::from_millis(500);
/// How long to wait before the next look at a socket that nobody listens on yet.
const CONNECT_AGAIN: Duration = Duration::from_millis(10);

impl Guest {
    /// Connects to the agent socket at `path` and waits until the agent answers, for as long as
    /// `deadline`. The socket need not exist yet.
    ///
    /// # Errors
    /// [`GuestError::NotReady`].
    pub fn connect(path: impl AsRef<Path>, deadline: Duration) -> Result<Self, GuestError> {
        let path = path.as_ref();
        let end = Instant::now() + deadline;
        loop {
            let cause = match Self::attempt(path, end) {
                Ok(guest) => return Ok(guest),
                Err(GuestError::Connection(cause)) => cause,
                Err(other) => io::Error::other(other.to_string()),
            };
            if Instant::now() >= end {
                return Err(GuestError::NotReady { path: path.to_owned(), waited: deadline, cause });
            }
            std::thread::sleep(CONNECT_AGAIN);
        }
    }

    /// One connection; pings until the agent answers, the machine hangs up, or `end` comes.
    fn attempt(path: &Path, end: Instant) -> Result<Self, GuestError> {
        let stream = UnixStream::connect(path).map_err(GuestError::Connection)?;
        let mut guest = Self {
            stream,
            buffer: Vec::new(),
            name: unique_name(),
            requests: 0,
            patience: PATIENCE,
            path: path.to_owned(),
            pong: Pong { kernel: String::new(), agent: String::new(), boot_id: String::new() },
        };
        loop {
            let patience = end.saturating_duration_since(Instant::now()).min(PING_AGAIN);
            match guest.ask_within::<Pong>(Action::Ping, patience) {
                Ok(pong) => {
                    guest.pong = pong;
                    return Ok(guest);
                }
                Err(GuestError::Timeout { .. }) if Instant::now() < end => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the guest has rebooted: until an agent answers that another start of the kernel
    /// began. Whatever was loaded or set at run time is gone then.
    ///
    /// # Errors
    /// [`GuestError::NotRebooted`] after `deadline`.
    pub fn rebooted(&mut self, deadline: Duration) -> Result<(), GuestError> {
        let end = Instant::now() + deadline;
        while Instant::now() < end {
            let patience = end.saturating_duration_since(Instant::now()).min(PING_AGAIN);
            match self.ask_within::<Pong>(Action::Ping, patience) {
                Ok(pong) if pong.boot_id != self.pong.boot_id => {
                    self.pong = pong;
                    return Ok(());
                }
                Err(GuestError::Timeout { .. }) => {}
                Ok(_) => std::thread::sleep(CONNECT_AGAIN),
                Err(_) => self.reconnect(),
            }
        }
        Err(GuestError::NotRebooted(deadline))
    }

    /// Tries another connection in place of one that broke.
    fn reconnect(&mut self) {
        std::thread::sleep(CONNECT_AGAIN);
        if let Ok(stream) = UnixStream::connect(&self.path) {
            self.stream = stream;
            self.buffer.clear();
        }
    }
}

/// A name that no other connection has, so that its answers are never taken for this one's.
fn unique_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
