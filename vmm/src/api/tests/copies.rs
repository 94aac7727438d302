//! Snapshots and forks: what reaches the machine, and what is wrong with a request.

use std::path::PathBuf;

use serde_json::json;

use super::fake::{FakeMachine, child, parent};
use super::raw::request;
use crate::control::{Command, Refusal, Reply};
use crate::spec::{ForkSpec, RestoredMemory, SerialSpec, SnapshotSpec};

#[test]
fn a_snapshot_goes_to_a_directory_however_it_is_said() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Done));
    let table = [
        (r#"{"destination":"/srv/snap"}"#, "/srv/snap"),
        (r#"{"destination_url":"file:///srv/snap"}"#, "/srv/snap"),
        // Whether the machine can have it there is for the machine to say.
        (r#"{"destination":"snap"}"#, "snap"),
        (r#"{"destination_url":"file://snap"}"#, "snap"),
        (r#"{"destination":"","destination_url":null}"#, ""),
    ];
    for (body, place) in table {
        let response = request(&machine.socket, "PUT", "/vm.snapshot", body);
        assert_eq!((response.status, response.body.as_str()), (204, ""), "{body}");
        let spec = SnapshotSpec { destination: place.into(), ..SnapshotSpec::default() };
        assert_eq!(machine.command(), Command::Snapshot(spec), "{body}");
    }
}

#[test]
fn a_difference_has_a_base_and_tracking_is_on_off_or_as_before() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Done));
    let spec = |base: Option<&str>, track| SnapshotSpec {
        destination: "/b".into(),
        base: base.map(PathBuf::from),
        track,
    };
    let table = [
        (r#"{"destination":"/b","track":true}"#, spec(None, Some(true))),
        (r#"{"destination":"/b","base":"/a"}"#, spec(Some("/a"), None)),
        (r#"{"destination_url":"file:///b","base":"/a","track":false}"#, spec(Some("/a"), Some(false))),
    ];
    for (body, spec) in table {
        assert_eq!(request(&machine.socket, "PUT", "/vm.snapshot", body).status, 204, "{body}");
        assert_eq!(machine.command(), Command::Snapshot(spec), "{body}");
    }
    for (body, field) in [
        (r#"{"destination":"/b","track":1}"#, "track"),
        (r#"{"destination":"/b","base":false}"#, "base"),
        (r#"{"base":"/a"}"#, "destination"),
    ] {
        let response = request(&machine.socket, "PUT", "/vm.snapshot", body);
        assert_eq!((response.status, response.field().as_deref()), (422, Some(field)), "{body}");
    }
}

#[test]
fn a_snapshot_without_a_place_and_one_with_two_name_the_field() {
    let table = [
        ("{}", Some("destination"), "missing field `destination`"),
        (r#"{"destination":null}"#, Some("destination"), "missing field `destination`"),
        (
            r#"{"destination":"/a","destination_url":"file:///a"}"#,
            Some("destination_url"),
            "`destination` and `destination_url` must not be given both",
        ),
        (
            r#"{"destination_url":"http://host/a"}"#,
            Some("destination_url"),
            "`destination_url` must begin with file://",
        ),
        (r#"{"destination_url":"/a"}"#, Some("destination_url"), "`destination_url` must begin with file://"),
        (r#"{"destination_url":""}"#, Some("destination_url"), "`destination_url` must begin with file://"),
        (r#"{"destination":5}"#, Some("destination"), "invalid type: integer `5`"),
        (
            r#"{"directory":"/a"}"#,
            Some("directory"),
            "unknown field `directory`, expected one of `destination`",
        ),
        (r#"["/a"]"#, None, "the body must be a JSON object"),
    ];
    let machine = FakeMachine::silent();
    for (body, field, detail) in table {
        let response = request(&machine.socket, "PUT", "/vm.snapshot", body);
        assert_eq!(response.status, 422, "{body}: {response:?}");
        assert!(response.problem().contains(detail), "{body}: {response:?}");
        assert_eq!(response.field().as_deref(), field, "{body}: {response:?}");
    }
}

#[test]
fn a_fork_answers_201_with_the_child() {
    let machine = parent();
    let response =
        request(&machine.socket, "POST", "/vm.fork", r#"{"id":"child","api_socket":"/run/child.api"}"#);
    let expected = json!({"id": "child", "pid": 4711, "api_socket": "/run/child.api", "agent_socket": null});
    assert_eq!((response.status, response.json()), (201, expected));
    assert_eq!(machine.command(), Command::Fork(child(SerialSpec::Null)));
    let body = r#"{"id":"child","api_socket":"/run/child.api","agent_socket":"/run/child.agent",
        "serial":"file=/var/log/child","restore_memory":"copy","paused":true}"#;
    let response = request(&machine.socket, "POST", "/vm.fork", body);
    assert_eq!((response.status, &response.json()["agent_socket"]), (201, &json!("/run/child.agent")));
    let agent_socket = Some(PathBuf::from("/run/child.agent"));
    let memory = Some(RestoredMemory::Copy);
    let whole =
        ForkSpec { agent_socket, memory, paused: true, ..child(SerialSpec::File("/var/log/child".into())) };
    assert_eq!(machine.command(), Command::Fork(whole));
}

#[test]
fn a_childs_console_is_said_as_on_the_command_line() {
    let table = [
        ("null", SerialSpec::Null),
        ("file=/log", SerialSpec::File("/log".into())),
        ("socket=/console", SerialSpec::Socket("/console".into())),
        // The machine says that a child has no terminal.
        ("stdio", SerialSpec::Stdio),
    ];
    let machine = parent();
    for (serial, expected) in table {
        let body = json!({"id": "child", "api_socket": "/run/child.api", "serial": serial}).to_string();
        assert_eq!(request(&machine.socket, "POST", "/vm.fork", &body).status, 201, "{serial}");
        assert_eq!(machine.command(), Command::Fork(child(expected)));
    }
}

#[test]
fn each_wrong_field_of_a_fork_is_named() {
    let right =
        json!({"id": "child", "api_socket": "/a", "agent_socket": "/b", "serial": "null", "paused": false});
    let with = |field: &str, value: serde_json::Value| {
        let mut body = right.clone();
        body[field] = value;
        body.to_string()
    };
    let without = |field: &str| {
        let mut body = right.clone();
        body.as_object_mut().expect("an object").remove(field);
        body.to_string()
    };
    let console = "must be stdio, null, file=PATH or socket=PATH";
    let table = [
        (without("id"), Some("id"), "missing field `id`"),
        (without("api_socket"), Some("api_socket"), "missing field `api_socket`"),
        (with("id", json!(5)), Some("id"), "invalid type: integer `5`"),
        (with("api_socket", json!(null)), Some("api_socket"), "missing field `api_socket`, text: "),
        (with("agent_socket", json!([])), Some("agent_socket"), "invalid type: sequence"),
        (with("serial", json!("tty")), Some("serial"), console),
        (with("serial", json!("file=")), Some("serial"), console),
        (with("serial", json!(true)), Some("serial"), "invalid type: boolean"),
        (with("restore_memory", json!("share")), Some("restore_memory"), "unknown variant `share`"),
        (with("paused", json!("yes")), Some("paused"), "invalid type: string \"yes\""),
        (with("restore", json!(1)), Some("restore"), "unknown field `restore`"),
        ("[]".to_owned(), None, "the body must be a JSON object"),
    ];
    let machine = FakeMachine::silent();
    for (body, field, detail) in table {
        let response = request(&machine.socket, "POST", "/vm.fork", &body);
        assert_eq!(response.status, 422, "{body}: {response:?}");
        assert!(response.problem().contains(detail), "{body}: {response:?}");
        assert_eq!(response.field().as_deref(), field, "{body}: {response:?}");
    }
}

#[test]
fn what_the_machine_refuses_keeps_its_kind_and_words() {
    let table = [
        (Refusal::Invalid("destination: snap must begin with /".to_owned()), 422),
        (Refusal::Conflict("the machine is being written to a snapshot".to_owned()), 409),
        (Refusal::Host("destination: /a: make: No space left on device".to_owned()), 500),
    ];
    for (refusal, status) in table {
        let text = refusal.to_string();
        let machine = FakeMachine::new(move |_, _| Err(refusal.clone()));
        for (method, path, body) in [
            ("PUT", "/vm.snapshot", r#"{"destination":"/a"}"#),
            ("POST", "/vm.fork", r#"{"id":"child","api_socket":"/a"}"#),
        ] {
            let response = request(&machine.socket, method, path, body);
            assert_eq!((response.status, response.problem()), (status, text.clone()), "{method} {path}");
        }
    }
}
