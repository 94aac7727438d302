//! What a client hears without asking.

use dimmer_devices::memory::{EventSink, Last, MemoryEvent, MemoryStatus, State};
use serde_json::{Value, json};

use super::{Client, answer, dimm};
use crate::api::tests::fake::{FakeMachine, device};
use crate::events::{Cause, Hub, MachineEvent};
use crate::qmp::events::Teller;
use crate::units::MIB;

/// The next event's name and what it says.
fn heard(client: &mut Client) -> (String, Value) {
    let event = client.next().expect("an event");
    assert!(event["timestamp"]["seconds"].is_u64() && event["timestamp"]["microseconds"].is_u64(), "{event}");
    (event["event"].as_str().expect("a name").to_owned(), event["data"].clone())
}

fn sized(size: u64) -> MemoryStatus {
    MemoryStatus { plugged_size: size, ..device("vmem0", State::Plugging) }
}

#[test]
fn what_happens_to_the_machine_is_told_to_its_end() {
    let mut machine = FakeMachine::new(answer);
    machine.hub.machine(MachineEvent::Paused);
    let mut client = Client::new(&mut machine);
    for event in [
        MachineEvent::Booting,
        MachineEvent::Paused,
        MachineEvent::Resumed,
        MachineEvent::PowerButton,
        MachineEvent::Resetting { by_guest: true },
        MachineEvent::Resetting { by_guest: false },
        MachineEvent::CrashLoaded,
        MachineEvent::Panicked { console: Vec::new() },
        MachineEvent::Ended { reason: "it panicked".to_owned(), cause: Cause::Panic },
    ] {
        machine.hub.machine(event);
    }
    let expected = [
        ("STOP", Value::Null),
        ("RESUME", Value::Null),
        ("POWERDOWN", Value::Null),
        ("RESET", json!({"guest": true, "reason": "guest-reset"})),
        ("RESET", json!({"guest": false, "reason": "host-qmp-system-reset"})),
        ("GUEST_CRASHLOADED", json!({"action": "run"})),
        ("GUEST_PANICKED", json!({"action": "poweroff"})),
        ("SHUTDOWN", json!({"guest": true, "reason": "guest-panic"})),
    ];
    for (name, data) in expected {
        assert_eq!(heard(&mut client), (name.to_owned(), data));
    }
    assert_eq!(client.next(), None);
}

#[test]
fn a_device_that_changes_its_size_says_so_once() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    machine.hub.memory(MemoryEvent::Progress { device: sized(256 * MIB) });
    let change = |size: u64| {
        let data = json!({"id": "vmem0", "size": size, "qom-path": "/machine/peripheral/vmem0"});
        ("MEMORY_DEVICE_SIZE_CHANGE".to_owned(), data)
    };
    assert_eq!(heard(&mut client), change(256 * MIB));
    machine.hub.memory(MemoryEvent::Finished { device: sized(256 * MIB) });
    for size in 1..=100 {
        machine.hub.memory(MemoryEvent::Progress { device: sized(size * MIB) });
    }
    let mut sizes = Vec::new();
    while sizes.last() != Some(&(100 * MIB)) {
        let (name, data) = heard(&mut client);
        assert_eq!(name, "MEMORY_DEVICE_SIZE_CHANGE");
        sizes.push(data["size"].as_u64().unwrap());
    }
    assert!(sizes.is_sorted(), "{sizes:?}");
}

#[test]
fn a_size_that_is_heard_of_together_with_the_changes_end_is_told() {
    let hub = Hub::default();
    let mut teller = Teller::new(0, &[sized(0)]);
    for event in [
        MemoryEvent::Progress { device: sized(128 * MIB) },
        MemoryEvent::Progress { device: sized(256 * MIB) },
        MemoryEvent::Finished { device: sized(256 * MIB) },
    ] {
        hub.memory(event);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (messages, over) = teller.tell(&runtime.block_on(hub.after(0)), &hub);
    assert!(!over);
    let sizes: Vec<_> = messages.iter().map(|message| &message["data"]["size"]).collect();
    assert_eq!(sizes, [&json!(256 * MIB)]);
}

#[test]
fn a_dimm_that_goes_and_one_that_stays_are_told_apart() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    let with = |state, last| MemoryStatus { state, last, ..dimm() };
    let (leaving, refused) =
        (with(State::Unplugging, None), with(State::Plugged, Some(Last::refused("busy"))));
    // A refused insertion is no refused removal.
    machine.hub.memory(MemoryEvent::Finished { device: refused.clone() });
    machine.hub.memory(MemoryEvent::Accepted { device: leaving.clone() });
    machine.hub.memory(MemoryEvent::Ost {
        id: Some("d0".to_owned()),
        slot: Some(3),
        source: 3,
        status: 0x82,
    });
    machine.hub.memory(MemoryEvent::Ost { id: None, slot: None, source: 0, status: 0 });
    machine.hub.memory(MemoryEvent::Finished { device: refused });
    machine.hub.memory(MemoryEvent::Accepted { device: leaving.clone() });
    machine.hub.memory(MemoryEvent::Finished { device: with(State::Idle, Some(Last::done())) });
    machine.hub.memory(MemoryEvent::Removed { device: leaving });
    let gone = json!({"device": "d0", "path": "/machine/peripheral/d0"});
    let ost =
        json!({"info": {"device": "d0", "slot": "3", "slot-type": "DIMM", "source": 3, "status": 0x82}});
    for (name, data) in
        [("ACPI_DEVICE_OST", ost), ("DEVICE_UNPLUG_GUEST_ERROR", gone.clone()), ("DEVICE_DELETED", gone)]
    {
        assert_eq!(heard(&mut client), (name.to_owned(), data));
    }
}

#[test]
fn the_end_of_the_server_is_the_end_of_its_sessions() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    machine.hub.machine(MachineEvent::Paused);
    machine.stop();
    assert_eq!(heard(&mut client).0, "STOP");
    assert_eq!(client.next(), None);
}
