//! How much there is room for, and how each direction ends.

use super::*;

fn connection() -> (UnixStream, Connection) {
    let (host, stream) = UnixStream::pair().unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut connection = Connection::new(stream);
    connection.open("");
    (host, connection)
}

fn header(room: u32, taken: u32) -> Header {
    Header { room: room.into(), taken: taken.into(), ..Header::default() }
}

#[test]
fn the_guest_gets_no_more_than_it_has_room_for() {
    let (mut host, mut connection) = connection();
    host.write_all(b"hello, guest").unwrap();
    assert_eq!(connection.next(), Ok((&b""[..], 0)), "it has said nothing of any room");
    assert_eq!(connection.watched(), PollFlags::empty());
    // What was given before 2^32 bytes and what was taken count modulo that.
    (connection.given, connection.taken) = (u32::MAX, u32::MAX);
    connection.heard(&header(5, u32::MAX));
    assert_eq!(connection.next(), Ok((&b"hello"[..], 0)));
    connection.gave(2);
    assert_eq!(connection.next(), Ok((&b"llo"[..], 0)));
    connection.gave(3);
    assert_eq!(connection.next(), Ok((&b""[..], 0)));
    connection.heard(&header(5, 1));
    assert_eq!(connection.next(), Ok((&b", "[..], 0)));
    // A guest that takes back what it said gets nothing.
    connection.heard(&header(0, 0));
    assert_eq!(connection.next(), Ok((&b""[..], 0)));
}

#[test]
fn the_guest_is_told_what_the_host_has_read() {
    let (mut host, mut connection) = connection();
    connection.open("OK 7\n");
    connection.take(&vec![1; ROOM as usize]).unwrap();
    assert_eq!(connection.take(&[2]), Err(Gone), "there is no room for more");
    connection.flush().unwrap();
    let mut line = [0; 5];
    host.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"OK 7\n");
    let mut read = vec![0; TELL as usize * 2];
    while !connection.has_news() {
        host.read_exact(&mut read[..TELL as usize / 16]).unwrap();
        connection.flush().unwrap();
    }
    let told = connection.account(Header::default());
    assert_eq!(told.room.get(), ROOM);
    assert_eq!(ROOM as usize, connection.backlog.len() + told.taken.get() as usize);
    connection.told();
    assert!(!connection.has_news());
}

#[test]
fn each_direction_ends_by_itself() {
    let (mut host, mut connection) = connection();
    connection.heard(&header(100, 0));
    connection.take(b"last words").unwrap();
    connection.guest_ends(NO_MORE_SENT);
    assert_eq!(connection.take(b"more"), Err(Gone));
    connection.flush().unwrap();
    let mut said = String::new();
    host.read_to_string(&mut said).unwrap();
    assert_eq!(said, "last words");
    host.write_all(b"answer").unwrap();
    assert_eq!(connection.next(), Ok((&b"answer"[..], 0)));
    assert!(!connection.is_done());
    connection.guest_ends(NO_MORE_RECEIVED);
    assert!(connection.is_done());
    assert!(host.write_all(b"nobody listens").is_err());
}

#[test]
fn a_host_that_sends_no_more_may_still_read() {
    let (host, mut connection) = connection();
    connection.heard(&header(100, 0));
    host.shutdown(Shutdown::Write).unwrap();
    assert_eq!(connection.next(), Ok((&b""[..], NO_MORE_SENT)));
    assert_eq!(connection.next(), Ok((&b""[..], 0)), "once");
    connection.take(b"x").unwrap();
    assert_eq!(connection.flush(), Ok(()));
    drop(host);
    connection.take(b"x").unwrap();
    assert_eq!(connection.flush(), Err(Gone));
}

#[test]
fn a_host_that_has_gone_does_neither() {
    let (host, mut connection) = connection();
    connection.heard(&header(100, 0));
    drop(host);
    assert_eq!(connection.next(), Ok((&b""[..], NO_MORE_SENT | NO_MORE_RECEIVED)));
}
