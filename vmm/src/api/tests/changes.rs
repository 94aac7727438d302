//! `?wait`: every change ends in exactly one of done, partial, refused, or still in progress.

use std::thread;

use dimmer_devices::memory::{EventSink, MemoryEvent, Outcome, State};
use serde_json::json;

use super::fake::{FakeMachine, accept, device, ended};
use super::raw::{Response, request};
use crate::control::{Command, Reply};
use crate::events::{Cause, Hub, MachineEvent};

/// The changing calls, with a wait that is long enough.
const CALLS: [(&str, &str, &str); 5] = [
    ("POST", "/memory-devices?wait=20", r#"{"id":"d1","kind":"dimm","size":134217728}"#),
    ("PATCH", "/memory-devices/d1?wait=20", r#"{"requested_size":0}"#),
    ("DELETE", "/memory-devices/d1?wait=20", ""),
    ("PUT", "/vm.resize?wait=20", r#"{"desired_ram":0}"#),
    ("PUT", "/vm.resize-zone?wait=20", r#"{"id":"d1","desired_ram":0}"#),
];

fn finish(hub: &Hub, state: State, outcome: Outcome, reason: Option<&str>) {
    hub.memory(MemoryEvent::Finished { device: ended("d1", state, outcome, reason) });
}

/// Sends a waiting PATCH; once the machine has it, `then` happens.
fn patch_while(machine: &FakeMachine, then: impl FnOnce(&Hub)) -> Response {
    thread::scope(|scope| {
        let call =
            || request(&machine.socket, "PATCH", "/memory-devices/d1?wait=20", r#"{"requested_size":0}"#);
        let client = scope.spawn(call);
        machine.command();
        then(&machine.hub);
        client.join().unwrap()
    })
}

#[test]
fn done_answers_200_with_the_device() {
    for (method, path, body) in CALLS {
        let machine = FakeMachine::new(|_, hub| {
            let reply = accept(hub, "d1", State::Plugging);
            finish(hub, State::Plugged, Outcome::Done, None);
            reply
        });
        let response = request(&machine.socket, method, path, body);
        assert_eq!(response.status, 200, "{method} {path}");
        assert_eq!(response.json()["state"], "plugged");
        assert_eq!(response.json()["last"], json!({"outcome": "done", "reason": null}));
    }
}

#[test]
fn refused_and_partial_answer_409_with_reason_and_device() {
    for (method, path, body) in CALLS {
        for (outcome, word) in [(Outcome::Refused, "refused"), (Outcome::Partial, "done in part")] {
            let machine = FakeMachine::new(move |_, hub| {
                let reply = accept(hub, "d1", State::Unplugging);
                finish(hub, State::Plugged, outcome, Some("busy: block 48"));
                reply
            });
            let response = request(&machine.socket, method, path, body);
            assert_eq!(response.status, 409, "{method} {path}");
            assert_eq!(response.problem(), format!("d1: {word}: busy: block 48"));
            assert_eq!(response.json()["device"]["state"], "plugged");
        }
    }
}

#[test]
fn no_end_in_time_answers_504_with_the_device_as_it_is_now() {
    for (method, path, body) in CALLS {
        let machine = FakeMachine::new(|command, hub| match command {
            Command::Device(id) => Ok(Reply::Device(device(id, State::Unplugging))),
            _ => accept(hub, "d1", State::Plugging),
        });
        let response = request(&machine.socket, method, &path.replace("wait=20", "wait=0.05"), body);
        assert_eq!(response.status, 504, "{method} {path}");
        assert_eq!(response.problem(), "d1: still in progress (waited 0.05 s)");
        assert_eq!(response.json()["device"]["state"], "unplugging");
    }
}

#[test]
fn a_wait_of_0_answers_at_once() {
    let machine = FakeMachine::new(|command, hub| match command {
        Command::Device(id) => Ok(Reply::Device(device(id, State::Plugging))),
        _ => accept(hub, "d1", State::Plugging),
    });
    let patch = |path| request(&machine.socket, "PATCH", path, r#"{"requested_size":0}"#);
    assert_eq!(patch("/memory-devices/d1?wait=0").status, 504);
}

#[test]
fn a_device_as_asked_already_is_done_without_an_event() {
    for state in [State::Idle, State::Plugged] {
        let machine = FakeMachine::new(move |_, hub| {
            Ok(Reply::Accepted { device: device("d1", state), end: hub.follow("d1") })
        });
        let response =
            request(&machine.socket, "PATCH", "/memory-devices/d1?wait=20", r#"{"requested_size":0}"#);
        assert_eq!(response.status, 200);
    }
}

#[test]
fn a_removed_dimm_answers_200_with_its_last_state() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Unplugging));
    let response = thread::scope(|scope| {
        let client = scope.spawn(|| request(&machine.socket, "DELETE", "/memory-devices/d1?wait=20", ""));
        machine.command();
        machine.hub.memory(MemoryEvent::Removed { device: ended("d1", State::Idle, Outcome::Done, None) });
        client.join().unwrap()
    });
    assert_eq!((response.status, &response.json()["state"]), (200, &json!("idle")));
}

#[test]
fn an_end_that_comes_later_is_waited_for() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Plugging));
    let response = patch_while(&machine, |hub| {
        hub.memory(MemoryEvent::Ost { id: Some("d1".to_owned()), slot: Some(0), source: 1, status: 0 });
        hub.memory(MemoryEvent::Progress { device: device("d1", State::Plugging) });
        hub.memory(MemoryEvent::Finished {
            device: ended("d2", State::Idle, Outcome::Refused, Some("other")),
        });
        hub.machine(MachineEvent::Resetting { by_guest: true });
        finish(hub, State::Plugged, Outcome::Done, None);
    });
    assert_eq!((response.status, &response.json()["id"]), (200, &json!("d1")));
}

#[test]
fn an_end_among_a_flood_of_reports_is_not_missed() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Plugging));
    let flood = |hub: &Hub| {
        (0..40_000).for_each(|_| {
            hub.memory(MemoryEvent::Ost { id: Some("d1".to_owned()), slot: Some(0), source: 3, status: 1 });
        });
    };
    let response = patch_while(&machine, |hub| {
        flood(hub);
        finish(hub, State::Plugged, Outcome::Done, None);
        flood(hub);
    });
    assert_eq!((response.status, &response.json()["id"]), (200, &json!("d1")));
}

#[test]
fn the_end_of_the_change_before_is_not_taken_for_ones_own() {
    let machine = FakeMachine::new(|_, hub| {
        let end = hub.follow("d1");
        finish(hub, State::Plugged, Outcome::Partial, Some("superseded"));
        hub.memory(MemoryEvent::Accepted { device: device("d1", State::Unplugging) });
        Ok(Reply::Accepted { device: device("d1", State::Unplugging), end })
    });
    let response = patch_while(&machine, |hub| finish(hub, State::Idle, Outcome::Done, None));
    assert_eq!((response.status, &response.json()["state"]), (200, &json!("idle")));
}

#[test]
fn a_change_that_another_one_replaces_is_refused_and_the_other_done() {
    let machine = FakeMachine::new(|_, hub| {
        let end = hub.follow("d1");
        if hub.last() > 0 {
            finish(hub, State::Plugging, Outcome::Refused, Some("superseded by a request for 0 bytes"));
        }
        hub.memory(MemoryEvent::Accepted { device: device("d1", State::Plugging) });
        Ok(Reply::Accepted { device: device("d1", State::Plugging), end })
    });
    thread::scope(|scope| {
        let call =
            || request(&machine.socket, "PATCH", "/memory-devices/d1?wait=20", r#"{"requested_size":0}"#);
        let first = scope.spawn(call);
        machine.command();
        let second = scope.spawn(call);
        machine.command();
        finish(&machine.hub, State::Idle, Outcome::Done, None);
        let first = first.join().unwrap();
        assert_eq!(first.problem(), "d1: refused: superseded by a request for 0 bytes");
        assert_eq!(second.join().unwrap().status, 200);
    });
}

#[test]
fn a_machine_that_ends_ends_the_wait() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Plugging));
    let response = patch_while(&machine, |hub| {
        hub.machine(MachineEvent::Ended { reason: "it panicked".to_owned(), cause: Cause::PowerOff })
    });
    assert_eq!(response.status, 409);
    assert_eq!(response.problem(), "the machine ended before the change: it panicked");
}

#[test]
fn many_clients_wait_at_the_same_time() {
    let machine = FakeMachine::new(|command, hub| match command {
        Command::Resize { id, .. } => accept(hub, id, State::Plugging),
        other => panic!("unexpected {other:?}"),
    });
    let ids: Vec<_> = (0..20).map(|number| format!("v{number}")).collect();
    thread::scope(|scope| {
        let socket = &machine.socket;
        let call = move |id: &str| {
            let path = format!("/memory-devices/{id}?wait=20");
            request(socket, "PATCH", &path, r#"{"requested_size":0}"#)
        };
        let clients: Vec<_> = ids.iter().map(|id| (id, scope.spawn(move || call(id)))).collect();
        ids.iter().for_each(|_| drop(machine.command()));
        for id in ids.iter().rev() {
            let device = ended(id, State::Plugged, Outcome::Done, None);
            machine.hub.memory(MemoryEvent::Finished { device });
        }
        for (id, client) in clients {
            let response = client.join().unwrap();
            assert_eq!((response.status, response.json()["id"].as_str()), (200, Some(id.as_str())));
        }
    });
}
