//! `GET /metrics`.

use dimmer_devices::memory::{EventSink, MemoryEvent, State};

use super::fake::{FakeMachine, device, disk, info, net, pmem, vsock, with_balloon};
use super::raw::{exchange, request};
use crate::control::{Command, Counts, Reply, VmInfo, VmState};
use crate::units::GIB;

fn machine() -> FakeMachine {
    FakeMachine::new(|command, _| match command {
        Command::Counts => {
            let asked = [(("plug", "ack"), 7), (("unplug", "busy"), 2)].into();
            let exits = vec![("port-read", 3)];
            Ok(Reply::Counts(Counts { requests: vec![("vmem0".to_owned(), asked)], exits }))
        }
        _ => {
            let info = info(VmState::Running, vec![device("vmem0", State::Unplugging)]);
            let (disks, pmems) = (vec![disk()], vec![pmem()]);
            Ok(Reply::Info(VmInfo { disks, pmems, nets: vec![net()], vsock: Some(vsock()), ..info }.into()))
        }
    })
}

#[test]
fn every_number_is_there_by_name() {
    let machine = machine();
    for (source, status) in [(3, 0x84), (3, 0x84), (0x9999, 0)] {
        machine.hub.memory(MemoryEvent::Ost { id: None, slot: None, source, status });
    }
    machine.hub.memory(MemoryEvent::Accepted { device: device("vmem0", State::Plugging) });
    machine.hub.memory(MemoryEvent::Finished { device: device("vmem0", State::Plugged) });
    let response =
        exchange(&machine.socket, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(response.status, 200);
    assert!(
        response.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0")
    );
    let lines: Vec<_> = response.body.lines().collect();
    for line in [
        r#"dimmer_memory_device_requested_bytes{id="vmem0",kind="virtio-mem"} 0"#.to_owned(),
        format!(r#"dimmer_memory_device_plugged_bytes{{id="vmem0",kind="virtio-mem"}} {GIB}"#),
        format!(r#"dimmer_memory_device_usable_bytes{{id="vmem0",kind="virtio-mem"}} {}"#, 8 * GIB),
        format!("dimmer_boot_memory_bytes {}", 4 * GIB),
        "dimmer_resets_total 1".to_owned(),
        r#"dimmer_cpus{what="plugged"} 2"#.to_owned(),
        r#"dimmer_cpus{what="max"} 4"#.to_owned(),
        r#"dimmer_virtio_mem_requests_total{id="vmem0",request="plug",response="ack"} 7"#.to_owned(),
        r#"dimmer_virtio_mem_requests_total{id="vmem0",request="unplug",response="busy"} 2"#.to_owned(),
        r#"dimmer_disk_requests_total{id="disk0",what="write"} 2"#.to_owned(),
        r#"dimmer_disk_requests_total{id="disk0",what="failed"} 6"#.to_owned(),
        r#"dimmer_disk_transferred_bytes_total{id="disk0",what="read"} 4"#.to_owned(),
        r#"dimmer_pmem_requests_total{id="pmem0",what="flush"} 12"#.to_owned(),
        r#"dimmer_pmem_requests_total{id="pmem0",what="failed"} 13"#.to_owned(),
        r#"dimmer_pmem_dropped_writes_total{id="pmem0",what="write"} 14"#.to_owned(),
        r#"dimmer_net_frames_total{id="net0",what="received"} 8"#.to_owned(),
        r#"dimmer_memory_change_duration_seconds_count{kind="virtio-mem",change="plug",outcome="done"} 1"#
            .to_owned(),
        "dimmer_vsock_connections 2".to_owned(),
        r#"dimmer_vsock_transferred_bytes_total{id="vsock",what="received"} 11"#.to_owned(),
        r#"dimmer_vcpu_exits_total{reason="port-read"} 3"#.to_owned(),
        r#"dimmer_ost_reports_total{source="0x3",status="0x84"} 2"#.to_owned(),
        r#"dimmer_ost_reports_total{source="other",status="0x0"} 1"#.to_owned(),
        r#"dimmer_events_total{event="ost"} 3"#.to_owned(),
        "dimmer_events_dropped_total 0".to_owned(),
    ] {
        assert!(lines.contains(&line.as_str()), "{line}\n{}", response.body);
    }
    assert_eq!(lines.last(), Some(&"# EOF"));
    let resident =
        lines.iter().find_map(|line| line.strip_prefix(r#"dimmer_resident_memory_bytes{kind="anonymous"} "#));
    assert!(resident.unwrap().parse::<u64>().unwrap() > 0);
    assert!(!response.body.contains("balloon"), "there is none");
    let below = request(&machine.socket, "GET", "/metrics", "");
    assert_eq!((below.status, below.body.lines().count()), (200, lines.len()));
}

#[test]
fn a_balloon_has_its_numbers() {
    let machine = FakeMachine::new(|command, _| match command {
        Command::Counts => Ok(Reply::Counts(Counts::default())),
        _ => Ok(Reply::Info(with_balloon().into())),
    });
    let body = request(&machine.socket, "GET", "/metrics", "").body;
    for line in [
        format!("dimmer_balloon_target_bytes {GIB}"),
        format!("dimmer_balloon_actual_bytes {}", 3 * GIB / 4),
        format!(r#"dimmer_balloon_given_back_bytes_total{{reason="inflated"}} {GIB}"#),
        r#"dimmer_balloon_given_back_bytes_total{reason="free"} 0"#.to_owned(),
        r#"dimmer_balloon_statistics{statistic="free_memory"} 4096"#.to_owned(),
    ] {
        assert!(body.lines().any(|seen| seen == line), "{line}\n{body}");
    }
}
