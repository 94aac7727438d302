//! What `dimmer ctl` sends, prints and exits with.

mod copies;
mod records;

use std::path::Path;

use clap::Parser;
use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::memory::{EventSink, Last, MemoryEvent, MemoryStatus, Outcome, State};
use dimmer_devices::placement::Placement;
use dimmer_devices::places::NewVirtioMem;
use dimmer_devices::processors::ProcessorsStatus;

use super::client::segment;
use super::run;
use crate::api::tests::fake::{
    Answer, FakeMachine, accept, accept_cpus, device, ended, info, new_dimm, processors,
};
use crate::cli::{Cli, Command as Job};
use crate::control::{Command, Refusal, Reply, VmState};
use crate::events::{Cause, Hub, MachineEvent};
use crate::spec::DimmSpec;
use crate::units::GIB;

/// Exit status, output and complaints of `dimmer ctl` with `words`.
fn ctl(socket: &Path, words: &str) -> (u8, String, String) {
    let socket = socket.to_str().expect("text");
    let words = ["dimmer", "ctl", "--api-socket", socket].into_iter().chain(words.split(' '));
    let Job::Ctl(arguments) = Cli::try_parse_from(words).unwrap().command else { panic!("not ctl") };
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let status = run(&arguments, &mut out, &mut complaints);
    (status, String::from_utf8(out).unwrap(), String::from_utf8(complaints).unwrap())
}

fn done(output: &str) -> (u8, String, String) {
    (0, output.to_owned(), String::new())
}

fn complaint(status: u8, text: &str) -> (u8, String, String) {
    (status, String::new(), format!("dimmer ctl: {text}\n"))
}

/// Accepts a change of `id` that ends at once.
fn finish(hub: &Hub, id: &str, outcome: Outcome, reason: Option<&str>) -> Answer {
    let reply = accept(hub, id, State::Plugging);
    hub.memory(MemoryEvent::Finished { device: ended(id, State::Plugged, outcome, reason) });
    reply
}

#[test]
fn ping_names_version_and_process() {
    let machine = FakeMachine::silent();
    let text = format!("dimmer {} is there, process {}\n", env!("CARGO_PKG_VERSION"), std::process::id());
    assert_eq!(ctl(&machine.socket, "ping"), done(&text));
}

#[test]
fn info_and_devices_are_tables() {
    let machine = FakeMachine::new(|command, _| {
        let devices = vec![
            device("vmem0", State::Plugging),
            ended("d10", State::Plugged, Outcome::Refused, Some("busy")),
        ];
        Ok(match command {
            Command::Devices => Reply::Devices(devices),
            _ => Reply::Info(info(VmState::Paused, devices).into()),
        })
    });
    let table = "\
ID     KIND        NODE  STATE     PLUGGED  REQUESTED  ADDRESS      LAST CHANGE
vmem0  virtio-mem  0     plugging  0 bytes  1 GiB      0x180000000  -
d10    virtio-mem  0     plugged   1 GiB    1 GiB      0x180000000  refused: busy
";
    assert_eq!(ctl(&machine.socket, "devices"), done(table));
    let info = "\
State       paused
CPUs        2 of at most 4
Boot RAM    4 GiB
RAM now     5 GiB
Generation  00112233-4455-6677-8899-aabbccddeeff
Resets      1
";
    assert_eq!(ctl(&machine.socket, "info"), done(&format!("{info}\n{table}")));
}

#[test]
fn a_change_that_waits_for_another_one_says_so() {
    let waiting = |hub: &Hub| {
        let device = MemoryStatus { waits_for: Some("d0".to_owned()), ..device("d1", State::Unplugging) };
        (Reply::Accepted { device: device.clone(), end: hub.follow("d1") }, vec![device])
    };
    let machine = FakeMachine::new(move |command, hub| {
        let (accepted, devices) = waiting(hub);
        Ok(if *command == Command::Devices { Reply::Devices(devices) } else { accepted })
    });
    let text = "Accepted: d1: unplugging (waits for d0), 1 GiB plugged, 0 bytes requested\n";
    assert_eq!(ctl(&machine.socket, "dimm remove d1"), done(text));
    let (_, table, _) = ctl(&machine.socket, "devices");
    assert!(table.contains("unplugging (waits for d0)"), "{table}");
}

#[test]
fn processors_are_shown_and_asked_for() {
    let machine = FakeMachine::new(|command, hub| match command {
        Command::Cpus => {
            let last = Some(Last::refused("busy"));
            Ok(Reply::Cpus(ProcessorsStatus { last, ..processors(2, 3) }))
        }
        Command::ResizeCpus(count) => accept_cpus(hub, u16::try_from(*count).unwrap()),
        other => panic!("unexpected {other:?}"),
    });
    let shown = "2 of at most 4, 3 requested, plugging; last change refused: busy\n";
    assert_eq!(ctl(&machine.socket, "cpus"), done(shown));
    assert_eq!(ctl(&machine.socket, "cpus 3"), done("Accepted.\n"));
    assert_eq!(ctl(&machine.socket, "cpus 2 --wait 5"), done("Done: 2 of at most 4\n"));
    let (status, _, said) = ctl(&machine.socket, "cpus 9");
    assert_eq!((status, said.as_str()), (2, "dimmer ctl: desired_vcpus=9: must be 1 to 4\n"));
}

#[test]
fn no_devices_are_said_to_be_none() {
    let machine = FakeMachine::new(|_, _| Ok(Reply::Devices(Vec::new())));
    assert_eq!(ctl(&machine.socket, "devices"), done("There are no memory devices.\n"));
    assert_eq!(ctl(&machine.socket, "--json devices"), done("[]\n"));
}

#[test]
fn orders_reach_the_machine_and_say_nothing() {
    let table = [
        ("pause", Command::Pause),
        ("resume", Command::Resume),
        ("reboot", Command::Reboot),
        ("power-button", Command::PowerButton),
        ("nmi", Command::InjectNmi),
        ("shutdown", Command::Shutdown),
    ];
    let machine = FakeMachine::new(|_, _| Ok(Reply::Done));
    for (word, command) in table {
        assert_eq!(ctl(&machine.socket, word), done(""), "{word}");
        assert_eq!(machine.command(), command);
    }
}

#[test]
fn changes_are_accepted_or_done() {
    let resize = |id: &str| Command::Resize { id: id.to_owned(), size: 2 * GIB };
    let add = Command::AddDimm(new_dimm("d1", GIB, 1));
    let ranges = vec![DimmRange { size: GIB, gap: 128 << 20 }, DimmRange { size: 2 * GIB, gap: 0 }];
    let placement = Placement { start: Some(6 * GIB), align: Some(2 * GIB) };
    let dimm = Dimm { descending: true, unaligned: true, placement, ..Dimm::new("d1", ranges) };
    let ranges = Command::AddDimm(DimmSpec { dimm, notify: Notify::None });
    let plain = NewVirtioMem { id: "d1".to_owned(), ..NewVirtioMem::default() };
    let full = NewVirtioMem {
        size: Some(8 * GIB),
        block_size: Some(4 << 20),
        requested_size: GIB,
        node: Some(1),
        ..plain.clone()
    };
    let table = [
        ("resize --id d1 2G", resize("d1"), "Accepted: d1: plugging, 0 bytes plugged, 1 GiB requested\n"),
        ("resize --id d1 2G --wait 20", resize("d1"), "Done: d1: 1 GiB plugged\n"),
        ("resize 2G", Command::ResizeTotal(2 * GIB), "Accepted.\n"),
        ("resize 2G --wait 20", Command::ResizeTotal(2 * GIB), "Done: d1: 1 GiB plugged\n"),
        ("dimm add --id d1 --size 1G --node 1 --wait 20", add, "Done: d1: 1 GiB plugged\n"),
        (
            "dimm add --id d1 --ranges 1G~128M+2G --descending --unaligned --notify none --start 0x180000000 --align 2G",
            ranges,
            "Accepted: d1: plugging, 0 bytes plugged, 1 GiB requested\n",
        ),
        (
            "vmem add --id d1",
            Command::AddVirtioMem(plain),
            "Accepted: d1: plugging, 0 bytes plugged, 1 GiB requested\n",
        ),
        (
            "vmem add --id d1 --size 8G --block 4M --requested 1G --node 1 --wait 20",
            Command::AddVirtioMem(full),
            "Done: d1: 1 GiB plugged\n",
        ),
        ("vmem remove d1 --wait 20", Command::Remove("d1".to_owned()), "Done: d1: 1 GiB plugged\n"),
        ("dimm remove a/b --wait 20", Command::Remove("a/b".to_owned()), "Done: d1: 1 GiB plugged\n"),
    ];
    let machine = FakeMachine::new(|_, hub| finish(hub, "d1", Outcome::Done, None));
    for (words, command, text) in table {
        assert_eq!(ctl(&machine.socket, words), done(text), "{words}");
        assert_eq!(machine.command(), command);
    }
}

#[test]
fn what_the_guest_refused_exits_with_1() {
    let machine = FakeMachine::new(|_, hub| finish(hub, "d1", Outcome::Refused, Some("busy")));
    let expected = complaint(1, "d1: refused: busy; 1 GiB plugged");
    assert_eq!(ctl(&machine.socket, "dimm remove d1 --wait 20"), expected);
    let machine = FakeMachine::new(|_, hub| finish(hub, "d1", Outcome::Partial, Some("busy")));
    let expected = complaint(1, "d1: done in part: busy; 1 GiB plugged");
    assert_eq!(ctl(&machine.socket, "resize --id d1 0 --wait 20"), expected);
}

#[test]
fn what_is_still_in_progress_exits_with_1_and_says_so() {
    let machine = FakeMachine::new(|command, hub| match command {
        Command::Device(id) => Ok(Reply::Device(device(id, State::Plugging))),
        _ => accept(hub, "d1", State::Plugging),
    });
    let expected = complaint(1, "d1: still in progress (waited 0.01 s); 0 bytes plugged, 1 GiB requested");
    assert_eq!(ctl(&machine.socket, "resize --id d1 1G --wait 0.01"), expected);
}

#[test]
fn conflicts_exit_with_1_and_bad_requests_with_2() {
    let table = [
        (Refusal::Conflict("it is paused".to_owned()), 1),
        (Refusal::NotFound("there is no d1".to_owned()), 2),
        (Refusal::Invalid("size is odd".to_owned()), 2),
        (Refusal::Host("no memory".to_owned()), 2),
    ];
    for (refusal, status) in table {
        let text = refusal.to_string();
        let machine = FakeMachine::new(move |_, _| Err(refusal.clone()));
        assert_eq!(ctl(&machine.socket, "dimm remove d1"), complaint(status, &text));
    }
}

#[test]
fn with_json_everything_is_the_apis_own_words() {
    let machine = FakeMachine::new(|_, _| Err(Refusal::NotFound("there is no d1".to_owned())));
    let (status, out, complaints) = ctl(&machine.socket, "--json dimm remove d1");
    assert_eq!((status, complaints.as_str()), (2, ""));
    assert_eq!(out, "{\"title\":\"Not Found\",\"status\":404,\"detail\":\"there is no d1\"}\n");
    let machine = FakeMachine::new(|_, _| Ok(Reply::Devices(vec![device("v", State::Idle)])));
    let (_, out, _) = ctl(&machine.socket, "devices --json");
    let devices: Vec<dimmer_devices::memory::MemoryStatus> = serde_json::from_str(&out).unwrap();
    assert_eq!(devices, [device("v", State::Idle)]);
}

#[test]
fn events_are_printed_until_the_machine_ends() {
    let machine = FakeMachine::silent();
    let reason = || MachineEvent::Ended { reason: "it powered off".to_owned(), cause: Cause::PowerOff };
    machine.hub.machine(MachineEvent::Booting);
    machine.hub.memory(MemoryEvent::Accepted { device: device("d1", State::Plugging) });
    machine.hub.memory(MemoryEvent::Ost { id: None, slot: Some(2), source: 0x103, status: 0x84 });
    let last = ended("d1", State::Plugged, Outcome::Refused, Some("busy"));
    machine.hub.memory(MemoryEvent::Finished { device: last });
    let waits_for = Some("d0".to_owned());
    let waiting = MemoryStatus { waits_for, ..device("d1", State::Unplugging) };
    machine.hub.memory(MemoryEvent::Accepted { device: waiting });
    machine.hub.memory(MemoryEvent::Removed { device: device("d1", State::Idle) });
    machine.hub.machine(MachineEvent::Restored);
    machine.hub.machine(MachineEvent::Forked { id: "child".to_owned(), pid: 4711 });
    for base in [None, Some("/srv/snap".into())] {
        let destination = if base.is_none() { "/srv/snap" } else { "/srv/next" }.into();
        machine.hub.machine(MachineEvent::SnapshotTaken { destination, base });
    }
    machine.hub.machine(reason());
    let (status, out, complaints) = ctl(&machine.socket, "events --since 0");
    assert_eq!((status, complaints.as_str()), (0, ""));
    let texts: Vec<_> = out.lines().map(|line| &line[21..]).collect();
    let expected = [
        "machine: booting",
        "d1: accepted, 0 bytes plugged, 1 GiB requested",
        "empty: slot 2: the guest reports _OST(0x103, 0x84)",
        "d1: refused: busy, 1 GiB plugged",
        "d1: accepted (waits for d0), 1 GiB plugged, 0 bytes requested",
        "d1: removed",
        "machine: goes on from a snapshot",
        "machine: forked child, process 4711",
        "machine: a snapshot of it is in /srv/snap",
        "machine: a snapshot of it is in /srv/next, a difference to /srv/snap",
        "machine: ended: it powered off",
    ];
    assert_eq!(texts, expected, "{out}");
    let (status, json, _) = ctl(&machine.socket, "--json events --since 10");
    let event: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((status, &event["sequence"], &event["event"]), (0, &11.into(), &"ended".into()));
}

#[test]
fn no_machine_at_the_socket_exits_with_2_and_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nobody");
    let (status, out, complaints) = ctl(&path, "ping");
    assert_eq!((status, out.as_str()), (2, ""));
    let begin = format!("dimmer ctl: cannot connect to --api-socket {}: No such file", path.display());
    assert!(complaints.starts_with(&begin), "{complaints}");
}

#[test]
fn something_else_at_the_socket_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let other = std::thread::spawn(move || drop(listener.accept().unwrap()));
    let (status, _, complaints) = ctl(&path, "ping");
    other.join().unwrap();
    assert_eq!(status, 2);
    assert!(complaints.contains(&format!("--api-socket {} broke", path.display())), "{complaints}");
}

#[test]
fn ids_become_one_segment_of_a_path() {
    assert_eq!(segment("dimm-0_a.b~"), "dimm-0_a.b~");
    assert_eq!(segment("a/b?c#d e%ä"), "a%2Fb%3Fc%23d%20e%25%C3%A4");
}
