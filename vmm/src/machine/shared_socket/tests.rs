//! Clients of one port: who hears what, whose words are mixed with whose, and who is sent away.

use super::*;

fn connect(socket: &SharedSocket) -> UnixStream {
    let client = socket.door.client();
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
    assert_eq!(lock(&socket.clients).by_fd.values().map(kept).sum::<usize>(), 0, "nothing is kept for it");
    assert_eq!(socket.pump(|_| 0).len(), 1);
}

#[test]
fn more_clients_than_there_is_room_for_are_sent_away() {
    let dir = tempfile::tempdir().unwrap();
    let socket = socket(&dir, Merge::Bytes);
    let clients: Vec<_> = (0..MOST_CLIENTS).map(|_| connect(&socket)).collect();
    let mut another = socket.door.client();
    assert!(socket.accept().is_empty());
    assert_eq!(another.read(&mut [0]).unwrap(), 0, "it was hung up on");
    drop(clients);
    socket.pump(|_| 0);
    connect(&socket);
}

#[test]
fn what_waited_before_comes_first_and_what_waits_is_whole_lines() {
    let dir = tempfile::tempdir().unwrap();
    let socket = socket(&dir, Merge::Lines);
    assert_eq!(socket.waiting(), b"");
    socket.set_waiting(b"before\n");
    let mut client = connect(&socket);
    client.write_all(b"one\ntwo\nhalf").unwrap();
    socket.pump(|_| 0);
    assert_eq!(socket.waiting(), b"before\none\ntwo\n");
    let mut seen = Vec::new();
    socket.pump(|bytes| {
        let taken = bytes.len().min(8).min(9 - seen.len());
        seen.extend_from_slice(&bytes[..taken]);
        taken
    });
    assert_eq!((seen.as_slice(), socket.waiting().as_slice()), (&b"before\non"[..], &b"e\ntwo\n"[..]));
    client.write_all(b"\n").unwrap();
    socket.pump(|_| 0);
    assert_eq!(socket.waiting(), b"e\ntwo\nhalf\n");
    socket.set_waiting(b"");
    assert_eq!(socket.waiting(), b"");
}

#[test]
fn what_waits_has_a_bound_whatever_clients_say() {
    let dir = tempfile::tempdir().unwrap();
    let socket = socket(&dir, Merge::Bytes);
    let mut clients = [connect(&socket), connect(&socket)];
    let (mut most, mut before) = (0, usize::MAX);
    // Until neither of them can say more.
    while before != most {
        before = most;
        for client in &mut clients {
            while client.write(&[b'x'; 5000]).is_ok() {}
        }
        socket.pump(|_| 0);
        most = socket.waiting().len();
    }
    assert!((MOST_INPUT..=MOST_WAITING).contains(&most), "{most}");
}
