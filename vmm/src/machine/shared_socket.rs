//! A UNIX socket whose clients share one byte stream with the guest: everyone sees everything the
//! guest says, and what they say is merged, whole lines at a time where that is asked for.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;

use super::door::Door;

#[cfg(test)]
mod tests;

/// Clients at a time; more are sent away.
const MOST_CLIENTS: usize = 64;
/// A client that has this much unread is cut off, so that it cannot make the VMM grow.
const MOST_UNREAD: usize = 16 << 20;
/// Input kept for the guest, of all clients together, and of each.
pub const MOST_INPUT: usize = 256 << 10;
/// Bytes that are read of a client at once.
const CHUNK: usize = 4096;
/// Input that [waits](SharedSocket::waiting) at most: what one client has said comes as a whole.
pub const MOST_WAITING: usize = 2 * MOST_INPUT + CHUNK;

/// How clients' input is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// As it comes.
    Bytes,
    /// Line by line: a line of one client is never broken by another's.
    Lines,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    unread: VecDeque<u8>,
    input: Vec<u8>,
    gone: bool,
}

#[derive(Debug, Default)]
struct Clients {
    by_fd: BTreeMap<RawFd, Client>,
    /// Input in the order in which the guest gets it.
    merged: VecDeque<u8>,
}

/// See the module. The socket file is removed when this is dropped.
#[derive(Debug)]
pub struct SharedSocket {
    door: Door,
    merge: Merge,
    clients: Mutex<Clients>,
}

impl SharedSocket {
    /// Listens at `path`, for this user only.
    ///
    /// # Errors
    /// When something listens there already, or the host refuses.
    pub fn bind(path: &Path, merge: Merge) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self { door: Door::bind(path)?, merge, clients: Mutex::default() }))
    }

    /// The listening descriptor.
    pub fn listener(&self) -> RawFd {
        self.door.raw_fd()
    }

    /// Number of connected clients.
    pub fn connected(&self) -> usize {
        lock(&self.clients).by_fd.len()
    }

    /// Input that the guest did not take yet; but for what clients have not said to the end.
    pub fn waiting(&self) -> Vec<u8> {
        lock(&self.clients).merged.iter().copied().collect()
    }

    /// Puts input in front of all that clients will say.
    pub fn set_waiting(&self, input: &[u8]) {
        lock(&self.clients).merged = input.iter().copied().collect();
    }

    /// Sends the guest's `bytes` to every client; never blocks. Without clients they are gone.
    pub fn send(&self, bytes: &[u8]) {
        for client in lock(&self.clients).by_fd.values_mut().filter(|client| !client.gone) {
            client.unread.extend(bytes);
            client.flush();
        }
    }

    /// Takes waiting clients in; returns their descriptors. Those for whom there is no place are sent away.
    pub fn accept(&self) -> Vec<RawFd> {
        std::iter::from_fn(|| self.door.next()).filter_map(|stream| self.admit(stream)).collect()
    }

    fn admit(&self, stream: UnixStream) -> Option<RawFd> {
        let mut clients = lock(&self.clients);
        if clients.by_fd.len() >= MOST_CLIENTS {
            return None;
        }
        let fd = stream.as_raw_fd();
        let client = Client { stream, unread: VecDeque::new(), input: Vec::new(), gone: false };
        clients.by_fd.insert(fd, client);
        Some(fd)
    }

    /// Sends what clients can take by now, reads what they say, and hands it to `take`, which
    /// returns how much it took. Returns the streams of clients that went away, still open. Only
    /// the event loop calls this, and `take` may take locks that are held around [`send`](Self::send).
    pub fn pump(&self, mut take: impl FnMut(&[u8]) -> usize) -> Vec<UnixStream> {
        loop {
            let mut said = self.exchange();
            let taken = take(said.make_contiguous());
            said.drain(..taken);
            lock(&self.clients).merged = said;
            if taken == 0 {
                return self.forget_gone();
            }
        }
    }

    /// Writes to and reads from all clients; returns what the guest is to get.
    fn exchange(&self) -> VecDeque<u8> {
        let mut clients = lock(&self.clients);
        let Clients { by_fd, merged } = &mut *clients;
        for client in by_fd.values_mut() {
            client.flush();
            client.read();
            client.move_input(merged, self.merge);
        }
        std::mem::take(merged)
    }

    fn forget_gone(&self) -> Vec<UnixStream> {
        let mut clients = lock(&self.clients);
        let gone = |client: &Client| client.gone && client.input.is_empty();
        let gone: Vec<RawFd> =
            clients.by_fd.iter().filter(|(_, client)| gone(client)).map(|(fd, _)| *fd).collect();
        gone.iter().filter_map(|fd| clients.by_fd.remove(fd)).map(|client| client.stream).collect()
    }
}

impl Client {
    fn flush(&mut self) {
        while !self.unread.is_empty() && !self.gone {
            let (front, _) = self.unread.as_slices();
            match self.stream.write(front) {
                Ok(written) => drop(self.unread.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
        }
        if self.unread.len() > MOST_UNREAD {
            tracing::warn!("a client of the guest's port reads too slowly and is cut off");
            self.gone = true;
        }
        if self.gone {
            // It may be long until the event loop forgets the client.
            self.unread = VecDeque::new();
        }
    }

    fn read(&mut self) {
        let mut chunk = [0; CHUNK];
        while self.input.len() < MOST_INPUT && !self.gone {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.gone = true,
                Ok(read) => self.input.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
        }
    }

    fn move_input(&mut self, merged: &mut VecDeque<u8>, merge: Merge) {
        if merged.len() >= MOST_INPUT {
            return;
        }
        let whole = match merge {
            Merge::Bytes => self.input.len(),
            Merge::Lines => self.input.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1),
        };
        merged.extend(self.input.drain(..whole));
        if self.gone {
            // Half a line of a client that went away is worth nothing.
            self.input.clear();
        } else if self.input.len() >= MOST_INPUT {
            tracing::warn!("a client of the guest's port sends a line without end and is cut off");
            self.gone = true;
            self.input.clear();
        }
    }
}
