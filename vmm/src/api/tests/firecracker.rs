//! Firecracker's calls at the root of the socket.

use std::path::PathBuf;

use dimmer_devices::memory::State;
use serde_json::{Value, json};

use super::fake::{Answer, FakeMachine, accept, device, info, with_balloon};
use super::raw::{Response, exchange};
use crate::control::{Command, Refusal, Reply, VmInfo, VmState};
use crate::events::Hub;
use crate::spec::SnapshotSpec;
use crate::units::{GIB, MIB};

fn ask(machine: &FakeMachine, method: &str, path: &str, body: &str) -> Response {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let length = body.len();
    exchange(&machine.socket, format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
}

/// The message of a fault, which must be one in every respect.
fn fault(response: &Response) -> String {
    assert_eq!(response.status, 400, "{response:?}");
    let json = response.json();
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(1), "{json}");
    json["fault_message"].as_str().expect("a message").to_owned()
}

fn answer(command: &Command, hub: &Hub) -> Answer {
    match command {
        Command::Info => {
            let tracked_since = Some(PathBuf::from("/srv/first"));
            Ok(Reply::Info(VmInfo { tracked_since, ..info(VmState::Paused, Vec::new()) }.into()))
        }
        Command::Device(id) => Ok(Reply::Device(device(id, State::Plugging))),
        Command::Resize { size, .. } if *size > 8 * GIB => Err(Refusal::Invalid("too much".to_owned())),
        Command::Resize { id, .. } => accept(hub, id, State::Plugging),
        _ => Ok(Reply::Done),
    }
}

#[test]
fn what_can_be_read_has_its_shape() {
    let machine = FakeMachine::new(answer);
    let version = env!("CARGO_PKG_VERSION");
    let table: [(&str, Value); 4] = [
        ("/", json!({"app_name": "Dimmer", "id": "dimmer", "state": "Paused", "vmm_version": version})),
        ("/version", json!({"firecracker_version": version})),
        (
            "/machine-config",
            json!({
                "vcpu_count": 2, "mem_size_mib": 4096, "smt": false, "track_dirty_pages": true,
                "huge_pages": "Transparent",
            }),
        ),
        (
            "/hotplug/memory",
            json!({
                "total_size_mib": 8192, "slot_size_mib": 128, "block_size_mib": 2, "plugged_size_mib": 0,
                "requested_size_mib": 1024,
            }),
        ),
    ];
    for (path, expected) in table {
        let response = ask(&machine, "GET", path, "");
        assert_eq!((response.status, response.json()), (200, expected), "{path}");
    }
}

#[test]
fn what_can_be_changed_is_answered_with_204() {
    let machine = FakeMachine::new(answer);
    let resize = |size| Command::Resize { id: "vmem0".to_owned(), size };
    let snapshot = |base: Option<&str>| {
        let (destination, base) = (PathBuf::from("/srv/snap"), base.map(PathBuf::from));
        Command::Snapshot(SnapshotSpec { destination, base, track: None })
    };
    let full = r#"{"snapshot_path":"/srv/snap","mem_file_path":"/srv/snap/memory"}"#;
    let diff = r#"{"snapshot_type":"Diff","snapshot_path":"/srv/snap","mem_file_path":"/srv/snap"}"#;
    let table = [
        ("PATCH", "/vm", r#"{"state":"Paused"}"#, vec![Command::Pause]),
        ("PATCH", "/vm", r#"{"state":"Resumed"}"#, vec![Command::Resume]),
        ("PUT", "/actions", r#"{"action_type":"SendCtrlAltDel"}"#, vec![Command::PowerButton]),
        ("PUT", "/actions", r#"{"action_type":"FlushMetrics"}"#, vec![]),
        ("PATCH", "/hotplug/memory", r#"{"requested_size_mib":512}"#, vec![resize(512 * MIB)]),
        ("PUT", "/snapshot/create", full, vec![snapshot(None)]),
        ("PUT", "/snapshot/create", diff, vec![Command::Info, snapshot(Some("/srv/first"))]),
    ];
    for (method, path, body, commands) in table {
        let response = ask(&machine, method, path, body);
        assert_eq!((response.status, response.body.as_str()), (204, ""), "{body}");
        for command in commands {
            assert_eq!(machine.command(), command, "{body}");
        }
    }
}

#[test]
fn every_error_is_a_fault() {
    let machine = FakeMachine::new(answer);
    let started = "the machine has started";
    let table = [
        ("PUT", "/hotplug/memory", r#"{"total_size_mib":1024}"#, started),
        ("PUT", "/machine-config", r#"{"vcpu_count":2,"mem_size_mib":1024}"#, started),
        ("PATCH", "/machine-config", r#"{"vcpu_count":2}"#, started),
        ("PUT", "/snapshot/load", "{}", started),
        ("PUT", "/actions", r#"{"action_type":"InstanceStart"}"#, started),
        (
            "PUT",
            "/actions",
            r#"{"action_type":"Jump"}"#,
            "unknown variant `Jump`, expected one of `FlushMetrics`",
        ),
        ("PUT", "/actions", "{}", "missing field `action_type`, one of `FlushMetrics`, `InstanceStart`"),
        ("PUT", "/actions", "", "the body is not JSON"),
        ("PATCH", "/vm", r#"{"state":"Paused","now":true}"#, "unknown field `now`"),
        ("PATCH", "/hotplug/memory", r#"{"requested_size_mib":4294967296}"#, "expected u32"),
        ("PATCH", "/hotplug/memory", r#"{"requested_size_mib":9000}"#, "too much"),
        (
            "PUT",
            "/snapshot/create",
            r#"{"snapshot_path":"/srv/snap","mem_file_path":"/srv/mem"}"#,
            "mem_file_path: /srv/mem must be /srv/snap or a path in it",
        ),
        ("GET", "/balloon", "", "this machine has no balloon: start it with --balloon"),
        ("PATCH", "/balloon/statistics", r#"{"stats_polling_interval_s":1}"#, "this machine has no balloon"),
        ("PUT", "/balloon", r#"{"amount_mib":1,"deflate_on_oom":true}"#, started),
        ("PATCH", "/balloon/hinting/start", "{}", "free pages are reported, not hinted"),
        ("PUT", "/drives/root", "{}", "said on the command line: --disk"),
        ("DELETE", "/vm", "", "there is PATCH"),
        ("PUT", "/metrics", "{}", "PUT /metrics: there is GET"),
    ];
    for (method, path, body, message) in table {
        let said = fault(&ask(&machine, method, path, body));
        assert!(said.contains(message), "{method} {path} {body}: {said}");
    }
}

#[test]
fn a_difference_needs_a_snapshot_to_differ_from() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Info(info(VmState::Running, Vec::new()).into())));
    let body = r#"{"snapshot_type":"Diff","snapshot_path":"/srv/snap","mem_file_path":"/srv/snap"}"#;
    let said = fault(&ask(&machine, "PUT", "/snapshot/create", body));
    assert!(said.starts_with("snapshot_type: Diff needs a snapshot from which on"), "{said}");
}

#[test]
fn a_balloon_has_its_shape() {
    let machine = FakeMachine::new(|command, _| match command {
        Command::Info => Ok(Reply::Info(with_balloon().into())),
        Command::SetBalloon(size) if *size > 4 * GIB => Err(Refusal::Invalid("too much".to_owned())),
        _ => Ok(Reply::Done),
    });
    let config = json!({
        "amount_mib": 1024, "deflate_on_oom": true, "stats_polling_interval_s": 5, "free_page_hinting": false,
        "free_page_reporting": false,
    });
    let statistics = json!({
        "target_pages": 262_144, "actual_pages": 196_608, "target_mib": 1024, "actual_mib": 768, "free_memory": 4096,
        "swap_in": 3,
    });
    for (path, expected) in [("/balloon", config), ("/balloon/statistics", statistics)] {
        assert_eq!(ask(&machine, "GET", path, "").json(), expected);
        assert_eq!(machine.command(), Command::Info);
    }
    assert_eq!(ask(&machine, "PATCH", "/balloon", r#"{"amount_mib":512}"#).status, 204);
    assert_eq!(machine.command(), Command::SetBalloon(512 * MIB));
    let interval = |seconds: u32| {
        let body = json!({"stats_polling_interval_s": seconds}).to_string();
        ask(&machine, "PATCH", "/balloon/statistics", &body)
    };
    assert_eq!(interval(7).status, 204);
    assert_eq!((machine.command(), machine.command()), (Command::Info, Command::SetBalloonInterval(7)));
    assert!(fault(&interval(0)).contains("0 must be 1 to 86400"));
    assert_eq!(fault(&ask(&machine, "PATCH", "/balloon", r#"{"amount_mib":5000}"#)), "too much");
}
