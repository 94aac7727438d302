//! `GET /events`: in order, from where one asks, to the machine's end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use dimmer_devices::memory::{EventSink, MemoryEvent, State};
use serde_json::{Value, json};

use super::fake::{DEADLINE, FakeMachine, device};
use super::raw::{exchange, request};
use crate::events::{Cause, MachineEvent};

/// A listener; the head of the response is read already, so that it is known to listen.
struct Listener(BufReader<UnixStream>);

impl Listener {
    fn new(socket: &Path, query: &str) -> Self {
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET /api/v1/events{query} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        assert!(head.contains(" 200 ") && head.contains("application/x-ndjson"), "{head}");
        Self(reader)
    }

    /// The next event, or `None` when the stream has ended.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    fn sequences(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.next().expect("an event")["sequence"].as_u64().unwrap()).collect()
    }
}

#[test]
fn only_new_events_come_unless_older_ones_are_asked_for() {
    let machine = FakeMachine::silent();
    machine.hub.machine(MachineEvent::Booting);
    machine.hub.machine(MachineEvent::Paused);
    let mut new = Listener::new(&machine.socket, "");
    let mut all = Listener::new(&machine.socket, "?since=0");
    let mut some = Listener::new(&machine.socket, "?since=1");
    assert_eq!(all.sequences(2), [1, 2]);
    assert_eq!(some.sequences(1), [2]);
    machine.hub.machine(MachineEvent::Resumed);
    for listener in [&mut new, &mut all, &mut some] {
        assert_eq!(listener.sequences(1), [3]);
    }
}

#[test]
fn an_event_is_one_flat_object() {
    let machine = FakeMachine::silent();
    let mut listener = Listener::new(&machine.socket, "");
    machine.hub.memory(MemoryEvent::Accepted { device: device("vmem0", State::Plugging) });
    machine.hub.memory(MemoryEvent::Ost { id: None, slot: Some(3), source: 0x103, status: 0 });
    machine.hub.machine(MachineEvent::PowerButton);
    let event = listener.next().expect("an event");
    assert_eq!((&event["event"], &event["device"]["id"]), (&json!("accepted"), &json!("vmem0")));
    assert!(event["timestamp"]["secs"].is_u64() && event["timestamp"]["nanos"].is_u64(), "{event}");
    let mut event = listener.next().expect("an event");
    event.as_object_mut().unwrap().remove("timestamp");
    let expected = json!({"sequence": 2, "event": "ost", "id": null, "slot": 3, "source": 259, "status": 0});
    assert_eq!(event, expected);
    assert_eq!(listener.next().expect("an event")["event"], "power_button");
}

#[test]
fn a_client_may_ask_for_server_sent_events_and_go_on_where_it_was() {
    let machine = FakeMachine::silent();
    (0..3).for_each(|_| machine.hub.machine(MachineEvent::Paused));
    machine.hub.machine(MachineEvent::Ended { reason: "off".to_owned(), cause: Cause::PowerOff });
    let ask = |headers: &str| {
        let request = format!("GET /api/v1/events?since=1 HTTP/1.0\r\nHost: x\r\n{headers}\r\n");
        exchange(&machine.socket, request.as_bytes())
    };
    let sent = ask("Accept: text/html, text/event-stream;q=0.9\r\nLast-Event-ID: 2\r\n");
    assert_eq!(sent.header("content-type"), Some("text/event-stream"));
    let ids: Vec<_> = sent.body.lines().filter(|line| line.starts_with("id: ")).collect();
    assert_eq!(ids, ["id: 3", "id: 4"], "{}", sent.body);
    assert_eq!(sent.body.lines().filter(|line| line.starts_with("data: {\"sequence\":")).count(), 2);
    assert_eq!(ask("Accept: */*\r\n").body.lines().count(), 3, "lines, as without a word");
    let bad = ask("Last-Event-ID: x\r\n");
    assert_eq!((bad.status, bad.field().as_deref()), (400, Some("Last-Event-ID")));
}

#[test]
fn every_listener_gets_every_event_in_order() {
    let machine = FakeMachine::silent();
    let mut listeners: Vec<_> = (0..8).map(|_| Listener::new(&machine.socket, "")).collect();
    for _ in 0..500 {
        machine.hub.memory(MemoryEvent::Progress { device: device("vmem0", State::Plugging) });
    }
    for listener in &mut listeners {
        assert_eq!(listener.sequences(500), (1..=500).collect::<Vec<_>>());
    }
}

#[test]
fn the_stream_ends_behind_the_machines_last_event() {
    let machine = FakeMachine::silent();
    let mut listener = Listener::new(&machine.socket, "");
    machine.hub.machine(MachineEvent::Booting);
    machine.hub.machine(MachineEvent::Ended { reason: "it powered off".to_owned(), cause: Cause::PowerOff });
    assert_eq!(listener.next().expect("an event")["event"], "booting");
    assert_eq!(listener.next().expect("an event")["reason"], "it powered off");
    assert_eq!(listener.next(), None);
}

#[test]
fn the_stream_ends_with_the_server_and_loses_nothing() {
    let mut machine = FakeMachine::silent();
    let mut listener = Listener::new(&machine.socket, "");
    machine.hub.machine(MachineEvent::Paused);
    machine.stop();
    assert_eq!(listener.sequences(1), [1]);
    assert_eq!(listener.next(), None);
}

#[test]
fn a_listener_that_does_not_read_holds_up_nobody() {
    let machine = FakeMachine::silent();
    let idle = Listener::new(&machine.socket, "");
    let mut listener = Listener::new(&machine.socket, "");
    for _ in 0..5000 {
        machine.hub.memory(MemoryEvent::Progress { device: device("vmem0", State::Plugging) });
    }
    assert_eq!(listener.sequences(5000).last(), Some(&5000));
    assert_eq!(request(&machine.socket, "GET", "/vmm.ping", "").status, 200);
    drop(idle);
}
