//! All connections between a guest and its host, and what the packets about them mean (virtio 1.2, section 5.10.6).
//!
//! A client of the host's comes to the socket and says which port it wants; what the guest connects to is another socket, with
//! the port's number at the end of its name. Whatever a guest sends, no more than [`MOST`] connections are there, each with
//! bounded buffers, and it gets no more answers than it has buffers for: its packets wait until it has taken them.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use dimmer_devices::virtio::vsock::{HOST, Header, Op, Packet, STREAM};
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::connection::{Connection, Gone};

/// Connections at a time.
pub const MOST: usize = 512;
/// Answers that may wait for the guest's buffers before more of its packets are taken.
const MOST_OWED: usize = 64;
/// Pieces of a connection that the guest gets before another has its turn.
const TURN: usize = 8;
/// The host's ports of connections that its clients have asked for.
const HOST_PORTS: std::ops::Range<u32> = 1 << 30..1 << 31;

/// Gives the guest a packet, with as much data as it has room for; says how much that is, or that there is no room.
pub type Deliver<'a> = &'a mut dyn FnMut(Header, &[u8]) -> Option<usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: u32,
    guest: u32,
}

/// A packet without data for the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owed {
    key: Key,
    op: Op,
    flags: u32,
    kind: u16,
}

/// What a packet without data is about, and its flags.
type Said = (Op, u32);

/// See the module.
#[derive(Debug)]
pub struct Connections {
    cid: u32,
    /// The socket that clients come to.
    path: PathBuf,
    all: BTreeMap<Key, Connection>,
    owed: VecDeque<Owed>,
    /// Whether the guest had no buffer for what it was owed.
    full: bool,
    next_port: u32,
}

impl Connections {
    /// None yet, of the guest with context ID `cid`.
    pub fn new(cid: u32, path: PathBuf) -> Self {
        Self {
            cid,
            path,
            all: BTreeMap::new(),
            owed: VecDeque::new(),
            full: false,
            next_port: HOST_PORTS.start,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Whether the guest is to take what it was sent before it is heard again.
    pub fn owe_much(&self) -> bool {
        self.owed.len() >= MOST_OWED
    }

    /// Another driver: it knows of none, but may be told of those that the one before has not heard of.
    pub fn cut(&mut self) {
        let asked = |owed: &Owed| owed.op == Op::Request;
        self.owed.retain(asked);
        let new = &self.owed;
        self.all.retain(|key, _| new.iter().any(|owed| owed.key == *key));
    }

    /// A client of the host's asks for a port of the guest's. Where there are too many it is sent away.
    pub fn ask(&mut self, stream: UnixStream, guest: u32) {
        if self.all.len() < MOST {
            let key = Key { host: self.free_port(), guest };
            self.all.insert(key, Connection::new(stream));
            self.owe(key, Op::Request, 0);
        }
    }

    fn free_port(&mut self) -> u32 {
        loop {
            let port = self.next_port;
            self.next_port = if port + 1 == HOST_PORTS.end { HOST_PORTS.start } else { port + 1 };
            if !self.all.keys().any(|key| key.host == port) {
                return port;
            }
        }
    }

    /// What the guest sends.
    pub fn receive(&mut self, Packet { header, data }: &Packet) {
        if header.source.get() != u64::from(self.cid) {
            return;
        }
        let key = Key { host: header.destination_port.get(), guest: header.source_port.get() };
        let op = Op::of(header.op.get());
        if header.destination.get() != HOST || header.kind.get() != STREAM || op.is_none() {
            return self.refuse(key, op, header.kind.get());
        }
        if let Some(connection) = self.all.get_mut(&key) {
            connection.heard(header);
        }
        let done = match (op, self.all.get_mut(&key)) {
            (Some(Op::Request), None) => return self.connect(key, header),
            (Some(Op::Response), Some(connection)) if !connection.is_open() => {
                connection.open(&format!("OK {}\n", key.host));
                Ok(())
            }
            (Some(Op::Reset), _) => return drop(self.all.remove(&key)),
            (Some(Op::Data), Some(connection)) if connection.is_open() => connection.take(data),
            (Some(Op::Shutdown), Some(connection)) if connection.is_open() => {
                connection.guest_ends(header.flags.get());
                Ok(())
            }
            (Some(Op::CreditUpdate), Some(_)) => Ok(()),
            (Some(Op::CreditRequest), Some(_)) => {
                self.owe(key, Op::CreditUpdate, 0);
                Ok(())
            }
            _ => Err(Gone),
        };
        if done == Err(Gone) {
            self.all.remove(&key);
            self.refuse(key, op, STREAM);
        }
    }

    /// The guest asks for a port of the host's.
    fn connect(&mut self, key: Key, header: &Header) {
        let mut path = self.path.clone().into_os_string();
        path.push(format!("_{}", key.host));
        let connect = || -> rustix::io::Result<UnixStream> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            connect(&socket, &SocketAddrUnix::new(PathBuf::from(path))?)?;
            Ok(UnixStream::from(socket))
        };
        match connect() {
            Ok(stream) if self.all.len() < MOST => {
                let mut connection = Connection::new(stream);
                connection.open("");
                connection.heard(header);
                self.all.insert(key, connection);
                self.owe(key, Op::Response, 0);
            }
            _ => self.refuse(key, Some(Op::Request), STREAM),
        }
    }

    fn owe(&mut self, key: Key, op: Op, flags: u32) {
        self.owed.push_back(Owed { key, op, flags, kind: STREAM });
    }

    /// There is no such connection, which nobody answers.
    fn refuse(&mut self, key: Key, op: Option<Op>, kind: u16) {
        if op != Some(Op::Reset) {
            self.owed.push_back(Owed { key, op: Op::Reset, flags: 0, kind });
        }
    }

    /// Carries what there is, both ways; returns how many bytes the guest has got.
    pub fn carry(&mut self, deliver: Deliver<'_>) -> u64 {
        self.each(|_, connection| {
            connection.flush()?;
            let waits_in_vain = !connection.is_open() && connection.has_hung_up();
            if connection.is_done() || waits_in_vain { Err(Gone) } else { Ok(None) }
        });
        // A connection that has just come is none for the guest before it is told so.
        self.full = !self.pay(deliver);
        let mut all = 0;
        if !self.full {
            self.each(|header, connection| {
                let (given, said) = give(header, connection, deliver)?;
                all += given;
                Ok(said)
            });
            self.full = !self.pay(deliver);
        }
        all
    }

    /// Has each connection act; what it says with that is owed to the guest.
    fn each(&mut self, mut act: impl FnMut(Header, &mut Connection) -> Result<Option<Said>, Gone>) {
        let mut gone = Vec::new();
        for (key, connection) in &mut self.all {
            match act(header(self.cid, *key, Op::Data), connection) {
                Ok(None) => {}
                Ok(Some((op, flags))) => self.owed.push_back(Owed { key: *key, op, flags, kind: STREAM }),
                Err(Gone) => gone.push(*key),
            }
        }
        gone.into_iter().for_each(|key| self.forget(key));
    }

    /// The connection is over for the host, which the guest is told unless it has not heard of it.
    fn forget(&mut self, key: Key) {
        self.all.remove(&key);
        let unheard = self.owed.iter().any(|owed| owed.key == key && owed.op == Op::Request);
        self.owed.retain(|owed| owed.key != key);
        if !unheard {
            self.owe(key, Op::Reset, 0);
        }
    }

    /// Gives the guest what it is owed; returns whether that is all.
    fn pay(&mut self, deliver: Deliver<'_>) -> bool {
        while let Some(Owed { key, op, flags, kind }) = self.owed.front().copied() {
            let mut header = Header { flags: flags.into(), kind: kind.into(), ..header(self.cid, key, op) };
            let connection = self.all.get_mut(&key);
            if let Some(connection) = &connection {
                header = connection.account(header);
            }
            if deliver(header, &[]).is_none() {
                return false;
            }
            if let Some(connection) = connection {
                connection.told();
            }
            self.owed.pop_front();
        }
        true
    }

    /// What shows that there is more to do.
    pub fn watched(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.all.values().filter_map(|connection| {
            let flags = connection.watched();
            let flags = if self.full { flags & PollFlags::OUT } else { flags };
            // A client that goes away is heard of without a flag.
            let waits = !flags.is_empty() || !connection.is_open();
            waits.then(|| PollFd::new(connection.stream(), flags))
        })
    }
}

/// Gives the guest some of what the host sends; returns how much, and what is to be said besides.
fn give(
    header: Header,
    connection: &mut Connection,
    deliver: Deliver<'_>,
) -> Result<(u64, Option<Said>), Gone> {
    let (mut given, mut ended) = (0, 0);
    for _ in 0..TURN {
        let header = connection.account(header);
        let (bytes, ends) = connection.next()?;
        ended |= ends;
        let taken = if bytes.is_empty() { None } else { deliver(header, bytes) };
        let Some(taken) = taken else { break };
        connection.told();
        connection.gave(taken);
        given += taken as u64;
    }
    let news = connection.has_news().then_some((Op::CreditUpdate, 0));
    Ok((given, if ended == 0 { news } else { Some((Op::Shutdown, ended)) }))
}

fn header(cid: u32, key: Key, op: Op) -> Header {
    Header {
        source: HOST.into(),
        destination: u64::from(cid).into(),
        source_port: key.host.into(),
        destination_port: key.guest.into(),
        kind: STREAM.into(),
        op: (op as u16).into(),
        ..Header::default()
    }
}

#[cfg(test)]
mod tests;
