//! Faults, reports, requests, the audit, and injected memory errors.

use dimmer_devices::fault::{ActionName, Fault, FaultStatus, Point};
use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::GuestRange;
use dimmer_devices::virtio_mem::RequestRecord;

use super::{complaint, ctl, done};
use crate::api::tests::fake::{FakeMachine, info, with_balloon};
use crate::api::tests::records::fault;
use crate::audit::{AreaAudit, AreaKind, Audit, DeviceAudit};
use crate::control::{
    Activity, Command, MceSeverity, Refusal, Registers, Reply, VcpuStatus, VmInfo, VmState,
};
use crate::units::{GIB, MIB};

const FAULTS: &str = "\
DEVICE  ON    DO    NTH  TIMES  SEEN  ACTED
vmem0   plug  busy  3    1      4     1
";

#[test]
fn faults_are_listed_set_and_cleared() {
    let machine = FakeMachine::new(|command, _| {
        let status = |fault: &Fault| FaultStatus { fault: fault.clone(), seen: 4, acted: 1 };
        Ok(Reply::Faults(match command {
            Command::SetFaults(faults) => faults.iter().map(status).collect(),
            _ => vec![status(&fault())],
        }))
    });
    for words in ["faults", "faults list"] {
        assert_eq!(ctl(&machine.socket, words), done(FAULTS), "{words}");
        assert_eq!(machine.command(), Command::Faults);
    }
    let words = "faults set device=vmem0,on=plug,do=busy,nth=3 device=d0,on=eject,do=delay,ms=500";
    let delay = Fault {
        device: "d0".to_owned(),
        on: Point::Eject,
        nth: 1,
        action: ActionName::Delay,
        milliseconds: Some(500),
        ..fault()
    };
    let (status, out, _) = ctl(&machine.socket, words);
    assert_eq!(machine.command(), Command::SetFaults(vec![fault(), delay]));
    assert_eq!(status, 0);
    assert!(out.ends_with("d0      eject  delay 500 ms  1    1      4     1\n"), "{out}");
    assert_eq!(ctl(&machine.socket, "faults clear"), done("No faults are set.\n"));
    assert_eq!(machine.command(), Command::SetFaults(Vec::new()));
}

#[test]
fn a_fault_that_is_not_possible_is_bad_usage() {
    let machine = FakeMachine::silent();
    let (status, _, complaint) = ctl(&machine.socket, "faults set device=d0,on=map,do=busy");
    assert_eq!(status, 2);
    let what = "faults[0].do: busy is not possible on map; there it is one of: fail, skip";
    assert_eq!(complaint, format!("dimmer ctl: {what}\n"));
}

#[test]
fn faults_that_are_set_show_in_info() {
    let machine = FakeMachine::new(|_, _| {
        let faults = vec![FaultStatus { fault: fault(), seen: 4, acted: 1 }];
        Ok(Reply::Info(VmInfo { faults, ..info(VmState::Running, Vec::new()) }.into()))
    });
    let (_, out, _) = ctl(&machine.socket, "info");
    assert!(out.ends_with(&format!("Resets      1\n\n{FAULTS}")), "{out}");
}

#[test]
fn reports_and_requests_are_tables() {
    let report = |slot, source, status, meaning: &str| OstReport {
        number: 1,
        slot,
        id: None,
        source,
        status,
        meaning: meaning.to_owned(),
    };
    let plug = |range, request: &str| RequestRecord {
        number: 2,
        request: request.to_owned(),
        range,
        response: "ack".to_owned(),
    };
    let reports = vec![report(Some(3), 3, 0x84, "eject: in progress"), report(None, 0, 0, "bus check")];
    let requests = vec![plug(Some(GuestRange::new(6 * GIB, GIB)), "plug"), plug(None, "unplug-all")];
    let machine = FakeMachine::new(move |command, _| match command {
        Command::Ost(_) => Ok(Reply::Ost(reports.clone())),
        _ => Ok(Reply::Requests(requests.clone())),
    });
    let table = "\
NUMBER  SLOT  SOURCE  STATUS  MEANING
1       3     0x3     0x84    eject: in progress
1       all   0x0     0x0     bus check
";
    assert_eq!(ctl(&machine.socket, "ost d3"), done(table));
    assert_eq!(machine.command(), Command::Ost("d3".to_owned()));
    let table = "\
NUMBER  REQUEST     ADDRESS      SIZE   RESPONSE
2       plug        0x180000000  1 GiB  ack
2       unplug-all  -            -      ack
";
    assert_eq!(ctl(&machine.socket, "requests vmem0"), done(table));
    assert_eq!(machine.command(), Command::Requests("vmem0".to_owned()));
}

fn audit(problems: &[&str]) -> Audit {
    let range = GuestRange::new(6 * GIB, 2 * MIB);
    let device = DeviceAudit {
        id: "vmem0".to_owned(),
        held: 2 * MIB,
        ranges: vec![range],
        slots: vec![range],
        slot_count: 1,
        mapped: vec![range],
        stray_accesses: 5,
    };
    let area = AreaAudit {
        range: GuestRange::new(6 * GIB, 8 * GIB),
        kind: AreaKind::VirtioMem,
        device: Some("vmem0".to_owned()),
        mapped: 2 * MIB,
        stray_accesses: 5,
    };
    let problems: Vec<_> = problems.iter().map(|text| (*text).to_owned()).collect();
    Audit { ok: problems.is_empty(), problems, devices: vec![device], areas: vec![area] }
}

#[test]
fn an_audit_without_problems_is_a_success() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Audit(audit(&[]))));
    let text = "\
ID     HELD   IN KVM SLOTS  SLOTS  MAPPED
vmem0  2 MiB  2 MiB         1      2 MiB

ADDRESSES                SIZE   FOR    MAPPED  STRAY ACCESSES
0x180000000-0x37fffffff  8 GiB  vmem0  2 MiB   5

All books agree.
";
    assert_eq!(ctl(&machine.socket, "audit"), done(text));
}

#[test]
fn an_audit_with_problems_says_them_and_exits_with_1() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Audit(audit(&["one thing", "another"]))));
    let (status, out, complaints) = ctl(&machine.socket, "audit");
    assert_eq!((status, complaints.as_str()), (1, ""));
    assert!(out.ends_with("\nThe books do not agree:\n- one thing\n- another\n"), "{out}");
    let (status, out, _) = ctl(&machine.socket, "--json audit");
    let said: Audit = serde_json::from_str(&out).unwrap();
    assert_eq!((status, said), (1, audit(&["one thing", "another"])));
}

#[test]
fn memory_errors_are_injected_by_address_and_severity() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Done));
    assert_eq!(ctl(&machine.socket, "inject-mce 0x180000000 --severity ucna"), done(""));
    let command = Command::InjectMce { address: 6 * GIB, severity: MceSeverity::Ucna };
    assert_eq!(machine.command(), command);
    let machine = FakeMachine::new(|_, _| Err(Refusal::Conflict("CR4.MCE is clear".to_owned())));
    assert_eq!(ctl(&machine.socket, "inject-mce 6G --severity ao"), complaint(1, "CR4.MCE is clear"));
}

#[test]
fn a_balloon_is_shown_and_asked_for() {
    let machine = FakeMachine::new(|command, _| match command {
        Command::Info => Ok(Reply::Info(with_balloon().into())),
        _ => Ok(Reply::Done),
    });
    let text = "\
Balloon             768 MiB, 1 GiB requested
Inflated            1 GiB given back to the host
Reported            0 bytes given back to the host
free_memory         4096
swap_in             3
";
    assert_eq!(ctl(&machine.socket, "balloon"), done(text));
    assert_eq!(machine.command(), Command::Info);
    assert!(ctl(&machine.socket, "info").1.contains("Balloon     768 MiB, 1 GiB requested\n"));
    assert_eq!(machine.command(), Command::Info);
    assert_eq!(ctl(&machine.socket, "balloon 512M"), done("Accepted.\n"));
    assert_eq!(machine.command(), Command::SetBalloon(GIB / 2));
}

const VCPUS: &str = "\
VCPU  ACTIVITY     RIP                 MODE    INTERRUPTS  CR3
0     halted       0xffffffff81e0b00f  kernel  on          0x10b8001
1     not started  0x000000000000fff0  kernel  off         0x0

vCPU 0 is to return to, as far as its stack tells:
  0xffffffff81e0b0aa
  0xffffffff8110b2c0
";

#[test]
fn vcpus_are_shown_where_they_are() {
    let first = VcpuStatus {
        id: 0,
        activity: Activity::Halted,
        rip: 0xffff_ffff_81e0_b00f,
        user: false,
        interrupts: true,
        cr3: 0x10b_8001,
        callers: vec![0xffff_ffff_81e0_b0aa, 0xffff_ffff_8110_b2c0],
        registers: Registers { rsp: 0xffff_ffff_8280_3e90, ..Registers::default() },
    };
    let second = VcpuStatus {
        id: 1,
        activity: Activity::NotStarted,
        rip: 0xfff0,
        interrupts: false,
        cr3: 0,
        callers: Vec::new(),
        ..first.clone()
    };
    let all = vec![first, second];
    let sent = serde_json::to_value(&all).unwrap();
    let machine = FakeMachine::new(move |_, _| Ok(Reply::Vcpus(all.clone())));
    assert_eq!(ctl(&machine.socket, "vcpus"), done(VCPUS));
    assert_eq!(machine.command(), Command::Vcpus);
    let (_, json, _) = ctl(&machine.socket, "--json vcpus");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), sent);
    assert_eq!(sent[1]["activity"], "not-started");
}
