//! Clients that take much and say little: bounded, and in nobody's way.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use dimmer_devices::memory::State;

use super::fake::{DEADLINE, FakeMachine, accept};
use super::raw::{exchange, request};
use crate::api::limits::Limits;
use crate::events::{Cause, MachineEvent};

const NEVER: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_millis(20);
/// Nothing but what a test sets ends a connection.
const PATIENT: Limits =
    Limits { connections: 128, long: 96, idle: NEVER, head: NEVER, body: NEVER, look: SOON };

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// All that comes until the server closes the connection.
fn rest(mut stream: UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn accepting(limits: Limits) -> FakeMachine {
    FakeMachine::within(limits, |_, hub| accept(hub, "d1", State::Plugging))
}

#[test]
fn a_connection_without_a_request_ends() {
    let machine = accepting(Limits { idle: SOON, ..PATIENT });
    assert_eq!(rest(connect(&machine.socket)), "");
    let mut second = connect(&machine.socket);
    second.write_all(b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(rest(second).starts_with("HTTP/1.1 200 "), "it is answered before");
}

#[test]
fn a_head_that_does_not_come_ends_its_connection() {
    let machine = accepting(Limits { head: SOON, ..PATIENT });
    let mut slow = connect(&machine.socket);
    slow.write_all(b"GET /api/v1/vmm.ping HTTP/1.1\r\nHo").unwrap();
    assert_eq!(rest(slow), "");
}

#[test]
fn a_body_that_does_not_come_answers_408() {
    let machine = FakeMachine::within(Limits { body: SOON, ..PATIENT }, |command, _| panic!("{command:?}"));
    let announced = b"PUT /api/v1/vm.resize HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n{\"desired";
    let response = exchange(&machine.socket, announced);
    assert_eq!(response.status, 408);
    assert_eq!(response.problem(), "the body did not come in time: it may take 0.02 seconds");
}

#[test]
fn who_says_nothing_makes_room_for_who_does() {
    let machine = accepting(Limits { connections: 4, ..PATIENT });
    let idle: Vec<_> = (0..20).map(|_| connect(&machine.socket)).collect();
    assert_eq!(request(&machine.socket, "GET", "/vmm.ping", "").status, 200);
    // Those that made room, that is all but the latest few, are told nothing.
    for stream in idle.into_iter().take(12) {
        assert_eq!(rest(stream), "");
    }
}

#[test]
fn who_is_being_answered_keeps_its_place() {
    let machine = accepting(Limits { connections: 2, ..PATIENT });
    let mut listening = connect(&machine.socket);
    listening.write_all(b"GET /api/v1/events?since=0 HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut start = [0; 12];
    listening.read_exact(&mut start).unwrap();
    for _ in 0..10 {
        assert_eq!(request(&machine.socket, "GET", "/vmm.ping", "").status, 200);
        drop(connect(&machine.socket));
    }
    machine.hub.machine(MachineEvent::Ended { reason: "off".to_owned(), cause: Cause::PowerOff });
    assert!(rest(listening).contains("\"reason\":\"off\""));
}

#[test]
fn those_who_last_leave_places_for_those_who_do_not() {
    let machine = accepting(Limits { long: 1, ..PATIENT });
    let mut listening = connect(&machine.socket);
    listening.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut start = [0; 12];
    listening.read_exact(&mut start).unwrap();
    for (method, path, body) in [
        ("GET", "/events", ""),
        ("PATCH", "/memory-devices/d1?wait=1", r#"{"requested_size":0}"#),
        ("DELETE", "/memory-devices/d1?wait=0", ""),
    ] {
        let response = request(&machine.socket, method, path, body);
        assert_eq!(response.status, 503, "{path}");
        assert!(response.problem().starts_with("as many clients as may"), "{response:?}");
    }
    assert_eq!(request(&machine.socket, "DELETE", "/memory-devices/d1", "").status, 202);
    drop(listening);
    while request(&machine.socket, "DELETE", "/memory-devices/d1?wait=0", "").status == 503 {}
}
