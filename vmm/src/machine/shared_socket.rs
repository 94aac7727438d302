//! A UNIX socket whose clients share one byte stream with the guest: everyone sees everything the
//! guest says, and what they say is merged, whole lines at a time where that is asked for.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;

use crate::socket::{self, SocketFile};

/// Clients at a time; more are sent away.
const MOST_CLIENTS: usize = 64;
/// A client that has this much unread is cut off, so that it cannot make the VMM grow.
const MOST_UNREAD: usize = 16 << 20;
/// Input kept for the guest, of all clients together, and of each.
pub const MOST_INPUT: usize = 256 << 10;

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
    listener: UnixListener,
    _file: SocketFile,
    merge: Merge,
    clients: Mutex<Clients>,
    /// A descriptor to give up when there is no other, so as to send a client away.
    spare: Mutex<Option<File>>,
}

impl SharedSocket {
    /// Listens at `path`, for this user only.
    ///
    /// # Errors
    /// When something listens there already, or the host refuses.
    pub fn bind(path: &Path, merge: Merge) -> io::Result<Arc<Self>> {
        let (listener, file) = socket::bind(path)?;
        listener.set_nonblocking(true)?;
        let spare = Mutex::new(Some(File::open("/dev/null")?));
        Ok(Arc::new(Self { listener, _file: file, merge, clients: Mutex::default(), spare }))
    }

    /// The listening descriptor.
    pub fn listener(&self) -> RawFd {
        self.listener.as_raw_fd()
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

    /// Takes waiting clients in; returns their descriptors. Those for whom there is no place or no descriptor are sent
    /// away: left waiting, they would wake the event loop without end.
    pub fn accept(&self) -> Vec<RawFd> {
        let mut fresh = Vec::new();
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => fresh.extend(self.admit(stream)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    let mut spare = lock(&self.spare);
                    drop(spare.take());
                    let sent_away = self.listener.accept().is_ok();
                    *spare = File::open("/dev/null").ok();
                    if !sent_away {
                        return fresh;
                    }
                }
                Err(_) => return fresh,
            }
        }
    }

    fn admit(&self, stream: UnixStream) -> Option<RawFd> {
        let mut clients = lock(&self.clients);
        if clients.by_fd.len() >= MOST_CLIENTS || stream.set_nonblocking(true).is_err() {
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
        let mut chunk = [0; 4096];
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

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(socket: &SharedSocket) -> UnixStream {
        let address = socket.listener.local_addr().unwrap();
        let client = UnixStream::connect_addr(&address).unwrap();
        client.set_nonblocking(true).unwrap();
        assert_eq!(socket.accept().len(), 1);
        client
    }

    fn socket(dir: &tempfile::TempDir, merge: Merge) -> Arc<SharedSocket> {
        SharedSocket::bind(&dir.path().join("port"), merge).unwrap()
    }

    #[test]
    fn lines_of_two_clients_are_not_mixed() {
        let dir = tempfile::tempdir().unwrap();
        let socket = socket(&dir, Merge::Lines);
        let (mut one, mut two) = (connect(&socket), connect(&socket));
        one.write_all(b"on").unwrap();
        two.write_all(b"two\n").unwrap();
        let mut seen = Vec::new();
        let mut take = |bytes: &[u8]| {
            let taken = bytes.len().min(3);
            seen.extend_from_slice(&bytes[..taken]);
            taken
        };
        assert!(socket.pump(&mut take).is_empty());
        one.write_all(b"e\nhalf").unwrap();
        drop(one);
        assert_eq!(socket.pump(&mut take).len(), 1);
        assert_eq!(String::from_utf8(seen).unwrap(), "two\none\n");
        assert_eq!(socket.connected(), 1);
    }

    #[test]
    fn everyone_hears_the_guest_and_a_slow_client_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let socket = socket(&dir, Merge::Bytes);
        let (mut one, mut two) = (connect(&socket), connect(&socket));
        let said = vec![b'x'; 4 << 20];
        socket.send(&said);
        let mut heard = (0, 0);
        let mut buffer = vec![0; 1 << 20];
        while heard != (said.len(), said.len()) {
            heard.0 += one.read(&mut buffer).unwrap_or(0);
            heard.1 += two.read(&mut buffer).unwrap_or(0);
            assert!(socket.pump(|_| 0).is_empty());
        }
    }

    #[test]
    fn a_client_that_never_reads_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let socket = socket(&dir, Merge::Bytes);
        let _client = connect(&socket);
        for _ in 0..20 {
            socket.send(&vec![0; 1 << 20]);
        }
        let kept = |client: &Client| client.unread.capacity();
        assert_eq!(
            lock(&socket.clients).by_fd.values().map(kept).sum::<usize>(),
            0,
            "nothing is kept for it"
        );
        assert_eq!(socket.pump(|_| 0).len(), 1);
    }

    #[test]
    fn more_clients_than_there_is_room_for_are_sent_away() {
        let dir = tempfile::tempdir().unwrap();
        let socket = socket(&dir, Merge::Bytes);
        let clients: Vec<_> = (0..MOST_CLIENTS).map(|_| connect(&socket)).collect();
        let mut another = UnixStream::connect_addr(&socket.listener.local_addr().unwrap()).unwrap();
        assert!(socket.accept().is_empty());
        assert_eq!(another.read(&mut [0]).unwrap(), 0, "it was hung up on");
        drop(clients);
        socket.pump(|_| 0);
        connect(&socket);
    }
}
