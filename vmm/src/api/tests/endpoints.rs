//! Every endpoint once, as it is meant to be used.

use std::thread;

use dimmer_devices::memory::{Last, State};
use dimmer_devices::places::NewVirtioMem;
use dimmer_devices::processors::{ProcessorEvent, ProcessorSink, ProcessorsStatus};
use serde_json::json;

use super::fake::{FakeMachine, GENERATION_ID, accept, accept_cpus, device, info, new_dimm, processors};
use super::raw::request;
use crate::control::{Command, Reply, VmState};
use crate::units::GIB;

#[test]
fn ping_is_answered_without_the_machine() {
    let machine = FakeMachine::silent();
    let response = request(&machine.socket, "GET", "/vmm.ping", "");
    assert_eq!(response.status, 200);
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "build_version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(), "features": [],
    });
    assert_eq!(response.json(), expected);
}

#[test]
fn the_status_line_ends_behind_the_number_and_headers_are_in_title_case() {
    let machine = FakeMachine::silent();
    for (path, head) in [
        ("/vmm.ping", "HTTP/1.1 200 \r\nContent-Type: application/json\r\nContent-Length: "),
        ("/nowhere", "HTTP/1.1 404 \r\nContent-Type: application/problem+json\r\nContent-Length: "),
    ] {
        let response = request(&machine.socket, "GET", path, "");
        assert!(response.head.starts_with(head), "{}", response.head);
    }
}

#[test]
fn info_describes_the_machine() {
    let machine = FakeMachine::new(|command, _| {
        assert_eq!(*command, Command::Info);
        Ok(Reply::Info(info(VmState::Running, vec![device("vmem0", State::Plugged)]).into()))
    });
    let response = request(&machine.socket, "GET", "/vm.info", "");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let json = response.json();
    assert_eq!(json["state"], "running");
    assert_eq!(json["cpus"], 2);
    assert_eq!(json["boot_memory"], 4 * GIB);
    assert_eq!(json["memory_actual_size"], 5 * GIB);
    assert_eq!(json["resets"], 1);
    assert_eq!(json["generation_id"], GENERATION_ID);
    assert_eq!((&json["last_event"], &json["faults"]), (&json!(7), &json!([])));
    assert_eq!(json["memory_devices"][0]["id"], "vmem0");
}

#[test]
fn simple_orders_are_carried_out() {
    let table = [
        ("/vm.pause", Command::Pause),
        ("/vm.resume", Command::Resume),
        ("/vm.reboot", Command::Reboot),
        ("/vm.power-button", Command::PowerButton),
        ("/vm.nmi", Command::InjectNmi),
        ("/vm.shutdown", Command::Shutdown),
    ];
    let machine = FakeMachine::new(|_, _| Ok(Reply::Done));
    for (path, command) in table {
        let response = request(&machine.socket, "PUT", path, "");
        assert_eq!((response.status, response.body.as_str()), (204, ""), "{path}");
        assert_eq!(machine.command(), command);
    }
}

#[test]
fn cloud_hypervisors_resize_calls_answer_204() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "vmem0", State::Plugging));
    let response = request(&machine.socket, "PUT", "/vm.resize", r#"{"desired_ram":8589934592}"#);
    assert_eq!((response.status, response.body.as_str()), (204, ""));
    assert_eq!(machine.command(), Command::ResizeTotal(8 * GIB));
    let body = r#"{"id":"vmem0","desired_ram":1073741824}"#;
    let response = request(&machine.socket, "PUT", "/vm.resize-zone", body);
    assert_eq!((response.status, response.body.as_str()), (204, ""));
    assert_eq!(machine.command(), Command::Resize { id: "vmem0".to_owned(), size: GIB });
}

#[test]
fn a_resize_that_changes_nothing_answers_204_also_with_wait() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Done));
    for query in ["", "?wait=1"] {
        let path = format!("/vm.resize{query}");
        let response = request(&machine.socket, "PUT", &path, r#"{"desired_ram":4294967296}"#);
        assert_eq!(response.status, 204);
    }
}

#[test]
fn processors_are_asked_for_and_waited_for_like_memory() {
    let machine = FakeMachine::new(|command, hub| match command {
        Command::Cpus => Ok(Reply::Cpus(processors(2, 3))),
        Command::ResizeCpus(count) => accept_cpus(hub, u16::try_from(*count).unwrap()),
        other => panic!("unexpected {other:?}"),
    });
    let shown = request(&machine.socket, "GET", "/cpus", "").json();
    assert_eq!(shown, json!({"max": 4, "requested": 3, "plugged": 2, "state": "plugging", "last": null}));
    machine.command();
    for (last, status, said) in [
        (Last::done(), 200, ""),
        (Last::refused("busy"), 409, "cpus: refused: busy; 2 plugged, 3 requested"),
        (Last::partial("busy"), 409, "cpus: done in part: busy; 2 plugged, 3 requested"),
    ] {
        let response = thread::scope(|scope| {
            let ask = || request(&machine.socket, "PUT", "/vm.resize?wait=20", r#"{"desired_vcpus":3}"#);
            let client = scope.spawn(ask);
            assert_eq!(machine.command(), Command::ResizeCpus(3));
            let cpus = ProcessorsStatus { last: Some(last), ..processors(2, 3) };
            machine.hub.processors(ProcessorEvent::CpusFinished { cpus });
            client.join().unwrap()
        });
        assert_eq!(response.status, status);
        assert!(response.body.contains(said), "{response:?}");
    }
    let late = request(&machine.socket, "PUT", "/vm.resize?wait=0", r#"{"desired_vcpus":3}"#);
    assert_eq!((late.status, late.problem()), (504, "cpus: still in progress (waited 0 s)".to_owned()));
    let same = request(&machine.socket, "PUT", "/vm.resize?wait=0", r#"{"desired_vcpus":2}"#);
    assert_eq!((same.status, &same.json()["plugged"]), (200, &json!(2)));
}

#[test]
fn devices_are_shown_in_the_form_of_the_contract() {
    let machine = FakeMachine::new(|command, _| match command {
        Command::Devices => Ok(Reply::Devices(vec![device("vmem0", State::Plugging)])),
        Command::Device(id) => Ok(Reply::Device(device(id, State::Plugging))),
        other => panic!("unexpected {other:?}"),
    });
    let expected = json!({
        "id": "vmem0", "kind": "virtio-mem", "node": 0, "ranges": [{"start": 6 * GIB, "size": 8 * GIB}],
        "slot": null, "block_size": 2 << 20, "usable_size": 8 * GIB, "requested_size": GIB,
        "plugged_size": 0, "state": "plugging", "last": null, "waits_for": null,
    });
    let response = request(&machine.socket, "GET", "/memory-devices", "");
    assert_eq!((response.status, response.json()), (200, json!([expected])));
    let response = request(&machine.socket, "GET", "/memory-devices/vmem0", "");
    assert_eq!((response.status, response.json()), (200, expected));
}

#[test]
fn changes_answer_202_with_the_device() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Plugging));
    let body = r#"{"id":"d1","kind":"dimm","size":1073741824,"node":1}"#;
    let response = request(&machine.socket, "POST", "/memory-devices", body);
    assert_eq!((response.status, &response.json()["state"]), (202, &json!("plugging")));
    assert_eq!(response.header("location"), Some("/api/v1/memory-devices/d1"));
    assert_eq!(machine.command(), Command::AddDimm(new_dimm("d1", GIB, 1)));

    let response = request(&machine.socket, "PATCH", "/memory-devices/d1", r#"{"requested_size":4096}"#);
    assert_eq!((response.status, &response.json()["id"]), (202, &json!("d1")));
    assert_eq!(machine.command(), Command::Resize { id: "d1".to_owned(), size: 4096 });

    let response = request(&machine.socket, "DELETE", "/memory-devices/d1", "");
    assert_eq!((response.status, &response.json()["id"]), (202, &json!("d1")));
    assert_eq!(machine.command(), Command::Remove("d1".to_owned()));
}

#[test]
fn a_new_virtio_mem_device_has_fields_of_its_own() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "m1", State::Plugging));
    let device = NewVirtioMem { id: "m1".to_owned(), ..NewVirtioMem::default() };
    let all = r#"{"id":"m1","kind":"virtio-mem","size":1073741824,"block_size":4194304,"requested_size":8388608,"node":1}"#;
    for (body, expected) in [
        (r#"{"id":"m1","kind":"virtio-mem"}"#, device.clone()),
        (
            all,
            NewVirtioMem {
                size: Some(GIB),
                block_size: Some(4 << 20),
                requested_size: 8 << 20,
                node: Some(1),
                ..device
            },
        ),
    ] {
        let response = request(&machine.socket, "POST", "/memory-devices", body);
        assert_eq!((response.status, response.header("location")), (202, Some("/api/v1/memory-devices/m1")));
        assert_eq!(machine.command(), Command::AddVirtioMem(expected));
    }
    for (kind, more, detail) in [
        ("virtio-mem", r#""ranges":[]"#, "ranges: only a DIMM has that"),
        ("virtio-mem", r#""order":"descending""#, "order: only a DIMM has that"),
        ("virtio-mem", r#""unaligned":true"#, "unaligned: only a DIMM has that"),
        ("virtio-mem", r#""notify":"none""#, "notify: only a DIMM has that"),
        ("virtio-mem", r#""start":0"#, "start: only a DIMM has that"),
        ("virtio-mem", r#""align":0"#, "align: only a DIMM has that"),
        ("dimm", r#""size":1073741824,"block_size":0"#, "block_size: only a virtio-mem device has that"),
        (
            "dimm",
            r#""size":1073741824,"requested_size":0"#,
            "requested_size: only a virtio-mem device has that",
        ),
    ] {
        let body = format!(r#"{{"id":"m1","kind":"{kind}",{more}}}"#);
        let response = request(&machine.socket, "POST", "/memory-devices", &body);
        assert_eq!((response.status, &response.json()["detail"]), (422, &json!(detail)));
    }
    let response = request(&machine.socket, "POST", "/memory-devices", r#"{"id":"a b","kind":"virtio-mem"}"#);
    assert_eq!((response.status, &response.json()["field"]), (422, &json!("id")));
}

#[test]
fn a_device_that_has_the_size_already_answers_202() {
    let machine = FakeMachine::new(|_, hub| {
        Ok(Reply::Accepted { device: device("vmem0", State::Plugged), end: hub.follow("vmem0") })
    });
    let body = r#"{"requested_size":1073741824}"#;
    let response = request(&machine.socket, "PATCH", "/memory-devices/vmem0", body);
    assert_eq!((response.status, &response.json()["state"]), (202, &json!("plugged")));
}

#[test]
fn an_id_in_the_path_may_be_escaped() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Device(device("a b", State::Idle))));
    assert_eq!(request(&machine.socket, "GET", "/memory-devices/a%20b", "").status, 200);
    assert_eq!(machine.command(), Command::Device("a b".to_owned()));
}

#[test]
fn what_is_not_said_of_a_new_device_has_a_value() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Plugging));
    for body in [
        r#"{"id":"d1","kind":"dimm","size":1073741824}"#,
        r#"{"id":"d1","size":1073741824,"kind":null,"node":null,"ranges":null}"#,
    ] {
        assert_eq!(request(&machine.socket, "POST", "/memory-devices", body).status, 202);
        assert_eq!(machine.command(), Command::AddDimm(new_dimm("d1", GIB, 0)));
    }
}
