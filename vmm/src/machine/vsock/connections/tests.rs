//! Connections and a guest that is as each test needs it.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;

use dimmer_devices::virtio::vsock::{NO_MORE_RECEIVED, NO_MORE_SENT};

use super::*;

const CID: u32 = 3;
const GUEST_ROOM: u32 = 4096;

/// A guest whose driver has `buffers`, and what it got.
struct Bench {
    dir: tempfile::TempDir,
    all: Connections,
    buffers: usize,
    got: Vec<(Op, u32, Vec<u8>)>,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let all = Connections::new(CID, dir.path().join("v"));
        Self { dir, all, buffers: 1000, got: Vec::new() }
    }

    /// Lets everything be carried; returns what the guest has got since.
    fn carry(&mut self) -> Vec<(Op, u32, Vec<u8>)> {
        let (buffers, got) = (&mut self.buffers, &mut self.got);
        let mut deliver = |header: Header, data: &[u8]| {
            *buffers = buffers.checked_sub(1)?;
            assert_eq!((header.source.get(), header.destination.get()), (HOST, CID.into()));
            let data = &data[..data.len().min(1000)];
            got.push((Op::of(header.op.get()).unwrap(), header.flags.get(), data.to_vec()));
            Some(data.len())
        };
        while self.all.carry(&mut deliver) > 0 {}
        std::mem::take(&mut self.got)
    }

    fn ops(&mut self) -> Vec<Op> {
        self.carry().into_iter().map(|(op, _, _)| op).collect()
    }

    fn say_with(&mut self, header: Header, data: &[u8]) {
        let length = u32::try_from(data.len()).unwrap();
        let header = Header { length: length.into(), ..header };
        self.all.receive(&Packet { header, data: data.to_vec() });
    }

    fn say(&mut self, key: Key, op: Op, data: &[u8]) {
        self.say_with(from_guest(key, op), data);
    }

    /// A client of the host's that is connected to the guest's port 50.
    fn client(&mut self) -> (Key, UnixStream) {
        let (mut client, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        self.all.ask(stream, 50);
        let key = *self.all.all.keys().last().unwrap();
        assert_eq!(self.ops(), [Op::Request]);
        self.say(key, Op::Response, b"");
        self.carry();
        let mut greeting = vec![0; format!("OK {}\n", key.host).len()];
        client.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, format!("OK {}\n", key.host).into_bytes());
        client.set_nonblocking(true).unwrap();
        (key, client)
    }
}

fn from_guest(key: Key, op: Op) -> Header {
    let to = header(CID, key, op);
    Header {
        source: to.destination,
        destination: to.source,
        source_port: to.destination_port,
        destination_port: to.source_port,
        room: GUEST_ROOM.into(),
        ..to
    }
}

fn everything(mut stream: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
        _ => bytes,
    }
}

#[test]
fn a_client_of_the_hosts_talks_with_the_guest() {
    let mut bench = Bench::new();
    let (key, mut client) = bench.client();
    client.write_all(&[7; 2500]).unwrap();
    let got = bench.carry();
    assert!(got.iter().all(|(op, flags, _)| (*op, *flags) == (Op::Data, 0)));
    assert_eq!(got.into_iter().flat_map(|(_, _, data)| data).collect::<Vec<_>>(), [7; 2500]);
    bench.say(key, Op::Data, b"hello, ");
    bench.say(key, Op::Data, b"host");
    bench.carry();
    assert_eq!(everything(&client), b"hello, host");
    bench.say(key, Op::CreditRequest, b"");
    assert_eq!(bench.ops(), [Op::CreditUpdate]);
    let both = Header { flags: (NO_MORE_SENT | NO_MORE_RECEIVED).into(), ..from_guest(key, Op::Shutdown) };
    bench.say_with(both, b"");
    assert_eq!(bench.ops(), [Op::Reset]);
    assert_eq!(bench.all.count(), 0);
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

#[test]
fn the_guest_connects_to_a_port_of_the_hosts() {
    let mut bench = Bench::new();
    let key = Key { host: 52, guest: 1024 };
    bench.say(key, Op::Request, b"");
    assert_eq!(bench.ops(), [Op::Reset], "nobody listens");
    let listener = UnixListener::bind(bench.dir.path().join("v_52")).unwrap();
    bench.say(key, Op::Request, b"");
    assert_eq!(bench.ops(), [Op::Response]);
    let (mut host, _) = listener.accept().unwrap();
    host.write_all(b"welcome").unwrap();
    assert_eq!(bench.carry(), [(Op::Data, 0, b"welcome".to_vec())]);
    bench.say(key, Op::Data, b"x");
    bench.carry();
    host.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.carry(), [(Op::Shutdown, NO_MORE_SENT, Vec::new())]);
    bench.say(key, Op::Reset, b"");
    assert_eq!((bench.ops(), bench.all.count()), (vec![], 0));
    assert_eq!(everything(&host), b"x");
    bench.say(key, Op::Request, b"");
    bench.say(key, Op::Request, b"");
    assert_eq!(bench.ops(), [Op::Response, Op::Reset], "it has this connection already");
}

#[test]
fn what_belongs_to_no_connection_is_refused() {
    let mut bench = Bench::new();
    let key = Key { host: 1, guest: 2 };
    for op in [Op::Response, Op::Shutdown, Op::Data, Op::CreditUpdate, Op::CreditRequest] {
        bench.say(key, op, b"");
        assert_eq!(bench.ops(), [Op::Reset], "{op:?}");
    }
    bench.say(key, Op::Reset, b"");
    assert_eq!(bench.ops(), [], "that is the end of it");
    let plain = from_guest(key, Op::Request);
    for (wrong, refused) in [
        (Header { source: 99.into(), ..plain }, false),
        (Header { destination: 5.into(), ..plain }, true),
        (Header { kind: 2.into(), ..plain }, true),
        (Header { op: 99.into(), ..plain }, true),
    ] {
        bench.say_with(wrong, b"");
        assert_eq!(bench.ops(), if refused { vec![Op::Reset] } else { vec![] }, "{wrong:?}");
    }
    let (key, client) = bench.client();
    bench.say(key, Op::Data, &vec![1; 64 << 10]);
    for _ in 0..20 {
        // A host that reads nothing, and a guest that does not mind.
        bench.say(key, Op::Data, &vec![1; 64 << 10]);
    }
    assert!(bench.ops().contains(&Op::Reset));
    assert_eq!(bench.all.count(), 0);
    drop(client);
}

#[test]
fn a_guest_without_buffers_is_not_heard_until_it_has_some() {
    let mut bench = Bench::new();
    let (_, mut client) = bench.client();
    bench.buffers = 0;
    while !bench.all.owe_much() {
        bench.say(Key { host: 1, guest: 2 }, Op::Data, b"");
    }
    client.write_all(b"late").unwrap();
    assert_eq!(bench.carry(), []);
    assert_eq!(bench.all.watched().count(), 0, "nothing there can be done");
    bench.buffers = 1000;
    let got = bench.carry();
    assert_eq!(got.len(), MOST_OWED + 1);
    assert_eq!(got.last(), Some(&(Op::Data, 0, b"late".to_vec())));
    assert!(!bench.all.owe_much());
}

#[test]
fn clients_that_give_up_and_drivers_that_change_leave_nothing() {
    let mut bench = Bench::new();
    bench.buffers = 0;
    let (client, stream) = UnixStream::pair().unwrap();
    bench.all.ask(stream, 50);
    bench.carry();
    assert_eq!(bench.all.watched().count(), 1, "it may give up");
    bench.all.cut();
    assert_eq!(bench.all.count(), 1, "a driver that comes later is asked");
    drop(client);
    assert_eq!((bench.carry(), bench.all.count()), (vec![], 0));
    bench.buffers = 1000;
    assert_eq!(bench.carry(), [], "nobody knows of it");
    let (_, client) = bench.client();
    bench.all.cut();
    assert_eq!((bench.all.count(), (&client).read(&mut [0]).unwrap()), (0, 0));
    assert_eq!(bench.carry(), []);
}

#[test]
fn there_are_no_more_than_so_many() {
    let mut bench = Bench::new();
    bench.buffers = 10_000;
    let _listener = UnixListener::bind(bench.dir.path().join("v_52")).unwrap();
    let mut clients = Vec::new();
    for _ in 0..MOST {
        let (client, stream) = UnixStream::pair().unwrap();
        bench.all.ask(stream, 50);
        clients.push(client);
    }
    bench.carry();
    let (one_more, stream) = UnixStream::pair().unwrap();
    bench.all.ask(stream, 50);
    assert_eq!((bench.all.count(), (&one_more).read(&mut [0]).unwrap()), (MOST, 0));
    bench.say(Key { host: 52, guest: 1 }, Op::Request, b"");
    assert_eq!(bench.ops(), [Op::Reset]);
}
