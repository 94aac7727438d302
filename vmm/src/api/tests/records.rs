//! What the machine keeps records of, and what is to go wrong.

use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::fault::{ActionName, Fault, FaultStatus, Point};
use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::{GuestRange, State};
use dimmer_devices::placement::Placement;
use dimmer_devices::virtio_mem::RequestRecord;
use serde_json::json;

use super::fake::{FakeMachine, accept};
use super::raw::request;
use crate::audit::Audit;
use crate::control::{Command, MceSeverity, Refusal, Reply};
use crate::spec::DimmSpec;
use crate::units::GIB;

/// The third PLUG is answered with BUSY.
pub fn fault() -> Fault {
    Fault {
        device: "vmem0".to_owned(),
        on: Point::Plug,
        nth: 3,
        times: 1,
        action: ActionName::Busy,
        milliseconds: None,
        size: None,
    }
}

#[test]
fn faults_are_set_and_shown_with_what_became_of_them() {
    let machine = FakeMachine::new(|command, _| match command {
        Command::SetFaults(faults) => {
            let status = |fault: &Fault| FaultStatus { fault: fault.clone(), seen: 0, acted: 0 };
            Ok(Reply::Faults(faults.iter().map(status).collect()))
        }
        _ => Ok(Reply::Faults(vec![FaultStatus { fault: fault(), seen: 4, acted: 1 }])),
    });
    let body = r#"{"faults":[{"device":"vmem0","on":"plug","nth":3,"do":"busy"}]}"#;
    let response = request(&machine.socket, "PUT", "/faults", body);
    let shown = json!({"device": "vmem0", "on": "plug", "nth": 3, "times": 1, "do": "busy"});
    let expected = json!({"faults": [{"fault": shown, "seen": 0, "acted": 0}]});
    assert_eq!((response.status, response.json()), (200, expected));
    assert_eq!(machine.command(), Command::SetFaults(vec![fault()]));
    let response = request(&machine.socket, "GET", "/faults", "");
    let expected = json!({"faults": [{"fault": shown, "seen": 4, "acted": 1}]});
    assert_eq!((response.status, response.json()), (200, expected));
    assert_eq!(machine.command(), Command::Faults);
    let response = request(&machine.socket, "PUT", "/faults", r#"{"faults":[]}"#);
    assert_eq!((response.status, response.json()), (200, json!({"faults": []})));
}

#[test]
fn ost_reports_and_requests_are_lists() {
    let report = OstReport {
        number: 1,
        slot: Some(3),
        id: Some("d3".to_owned()),
        source: 1,
        status: 0,
        meaning: "device check: success".to_owned(),
    };
    let plug = RequestRecord {
        number: 1,
        request: "plug".to_owned(),
        range: Some(GuestRange::new(6 * GIB, GIB)),
        response: "ack".to_owned(),
    };
    let (report_json, plug_json) = (json!([report]), json!([plug]));
    let machine = FakeMachine::new(move |command, _| match command {
        Command::Ost(_) => Ok(Reply::Ost(vec![report.clone()])),
        _ => Ok(Reply::Requests(vec![plug.clone()])),
    });
    let response = request(&machine.socket, "GET", "/memory-devices/d3/ost", "");
    assert_eq!((response.status, response.json()), (200, report_json));
    assert_eq!(machine.command(), Command::Ost("d3".to_owned()));
    let response = request(&machine.socket, "GET", "/memory-devices/vmem0/requests", "");
    assert_eq!((response.status, response.json()), (200, plug_json));
    assert_eq!(machine.command(), Command::Requests("vmem0".to_owned()));
}

#[test]
fn an_audit_that_finds_something_is_an_answer_all_the_same() {
    let problems = vec!["vmem0: 2 MiB are in no KVM slot".to_owned()];
    let audit = Audit { ok: false, problems, devices: Vec::new(), areas: Vec::new() };
    let machine = FakeMachine::new(move |_, _| Ok(Reply::Audit(audit.clone())));
    let response = request(&machine.socket, "GET", "/vm.audit", "");
    assert_eq!((response.status, &response.json()["ok"]), (200, &json!(false)));
    assert_eq!(response.json()["problems"], json!(["vmem0: 2 MiB are in no KVM slot"]));
    assert_eq!(machine.command(), Command::Audit);
}

#[test]
fn memory_errors_are_injected_or_refused_with_the_reason() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Done));
    let body = r#"{"address":6442450944,"severity":"ao"}"#;
    assert_eq!(request(&machine.socket, "POST", "/vm.inject-mce", body).status, 204);
    let command = Command::InjectMce { address: 6 * GIB, severity: MceSeverity::Ao };
    assert_eq!(machine.command(), command);
    let machine = FakeMachine::new(|_, _| Err(Refusal::Conflict("CR4.MCE is clear".to_owned())));
    let response = request(&machine.socket, "POST", "/vm.inject-mce", body);
    assert_eq!((response.status, response.problem().as_str()), (409, "CR4.MCE is clear"));
}

#[test]
fn a_dimm_may_have_several_ranges_and_be_told_of_in_several_ways() {
    let machine = FakeMachine::new(|_, hub| accept(hub, "d1", State::Plugging));
    let body = r#"{"id":"d1","kind":"dimm","ranges":[{"size":1073741824,"gap":1048576},{"size":3145728}],
        "order":"descending","unaligned":true,"notify":"bus-check","node":2,"start":6442450944,"align":1073741824}"#;
    assert_eq!(request(&machine.socket, "POST", "/memory-devices", body).status, 202);
    let ranges = vec![DimmRange { size: GIB, gap: 1 << 20 }, DimmRange { size: 3 << 20, gap: 0 }];
    let placement = Placement { start: Some(6 << 30), align: Some(1 << 30) };
    let dimm = Dimm { descending: true, node: 2, unaligned: true, placement, ..Dimm::new("d1", ranges) };
    assert_eq!(machine.command(), Command::AddDimm(DimmSpec { dimm, notify: Notify::BusCheck }));
}
