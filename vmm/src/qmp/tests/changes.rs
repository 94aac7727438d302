//! Commands that change something.

use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::placement::Placement;
use dimmer_devices::places::NewVirtioMem;
use serde_json::{Value, json};

use super::{Client, answer};
use crate::api::tests::fake::{FakeMachine, new_dimm, with_balloon};
use crate::control::{Command, Reply};
use crate::spec::DimmSpec;
use crate::units::GIB;

/// The next command that is no question of the monitor's own.
fn command(machine: &FakeMachine) -> Command {
    loop {
        match machine.command() {
            Command::Devices | Command::Device(_) | Command::Info => {}
            command => return command,
        }
    }
}

#[test]
fn a_dimm_is_made_of_an_object_and_goes_again() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    let object =
        |id: &str, kind: &str| json!({"qom-type": format!("memory-backend-{kind}"), "id": id, "size": GIB});
    assert_eq!(client.ask("object-add", object("m1", "ram")), Ok(json!({})));
    assert_eq!(client.ask("object-add", object("m2", "memfd")), Ok(json!({})));
    let plug = json!({"driver": "pc-dimm", "id": "d1", "memdev": "m1", "node": 1});
    assert_eq!(client.ask("device_add", plug), Ok(json!({})));
    assert_eq!(command(&machine), Command::AddDimm(new_dimm("d1", GIB, 1)));
    let placed = json!({"driver": "pc-dimm", "id": "d2", "memdev": "m2", "addr": 8 * GIB});
    assert_eq!(client.ask("device_add", placed), Ok(json!({})));
    let dimm = Dimm::new("d2", vec![DimmRange { size: GIB, gap: 0 }]);
    let dimm = Dimm { placement: Placement { start: Some(8 * GIB), align: None }, ..dimm };
    assert_eq!(command(&machine), Command::AddDimm(DimmSpec { dimm, notify: Notify::DeviceCheck }));
    for name in ["d0", "/machine/peripheral/d0"] {
        assert_eq!(client.ask("device_del", json!({"id": name})), Ok(json!({})));
        assert_eq!(command(&machine), Command::Remove("d0".to_owned()));
    }
    assert_eq!(client.ask("object-del", json!({"id": "m1"})), Ok(json!({})));
}

#[test]
fn a_dimm_that_cannot_be_leaves_its_object_free() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    let object = json!({"qom-type": "memory-backend-ram", "id": "m1", "size": GIB});
    assert_eq!(client.ask("object-add", object), Ok(json!({})));
    let with = |key: &str, value: Value| {
        let mut plug = json!({"driver": "pc-dimm", "id": "d1", "memdev": "m1"});
        plug[key] = value;
        plug
    };
    for (arguments, words) in [
        (with("driver", json!("e1000")), "unknown variant `e1000`, expected"),
        (with("memdev", json!("m9")), "there is no object \"m9\""),
        (with("id", json!("d0")), "the name of another memory device"),
        (with("id", json!("a/b")), "id=\"a/b\""),
        (with("node", json!(7)), "node: 7"),
        (with("slot", json!(1)), "unknown field `slot`"),
        (json!({"driver": "pc-dimm", "id": "d1"}), "missing field `memdev`"),
    ] {
        let (class, said) = client.ask("device_add", arguments).unwrap_err();
        assert!(class == "GenericError" && said.contains(words), "{said}");
    }
    assert_eq!(client.ask("device_add", with("node", json!(0))), Ok(json!({})), "the object is free");
    let (class, _) = client.ask("device_del", json!({"id": "vmem0"})).unwrap_err();
    assert_eq!(class, "GenericError");
    assert!(
        client
            .ask("object-add", json!({"qom-type": "memory-backend-ram", "id": "m", "size": 5, "share": true}))
            .is_err()
    );
}

#[test]
fn a_virtio_mem_device_comes_as_large_as_its_object() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    let object = json!({"qom-type": "memory-backend-memfd", "id": "m1", "size": 4 * GIB});
    assert_eq!(client.ask("object-add", object), Ok(json!({})));
    let mut add = json!({"driver": "virtio-mem-pci", "id": "vm1", "memdev": "m1", "node": 1});
    (add["requested-size"], add["block-size"]) = (json!(GIB), json!(4 << 20));
    assert_eq!(client.ask("device_add", add.clone()), Ok(json!({})));
    let new = NewVirtioMem {
        id: "vm1".to_owned(),
        size: Some(4 * GIB),
        block_size: Some(4 << 20),
        requested_size: GIB,
        node: Some(1),
    };
    assert_eq!(command(&machine), Command::AddVirtioMem(new));
    add["dynamic-memslots"] = json!(true);
    let (_, said) = client.ask("device_add", add).unwrap_err();
    assert!(said.contains("unknown field `dynamic-memslots`"), "{said}");
}

#[test]
fn a_virtio_mem_device_has_properties() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    for path in ["vmem0", "/machine/peripheral/vmem0"] {
        let resize = json!({"path": path, "property": "requested-size", "value": 2 * GIB});
        assert_eq!(client.ask("qom-set", resize), Ok(json!({})));
        assert_eq!(command(&machine), Command::Resize { id: "vmem0".to_owned(), size: 2 * GIB });
    }
    let mut get =
        |path: &str, property: &str| client.ask("qom-get", json!({"path": path, "property": property}));
    let read =
        ["requested-size", "size", "block-size", "memaddr", "node"].map(|name| get("vmem0", name).unwrap());
    assert_eq!(read, [json!(GIB), json!(GIB), json!(2 << 20), json!(6 * GIB), json!(0)]);
    assert!(get("vmem0", "color").unwrap_err().1.contains("must be requested-size, size"));
    assert_eq!(get("nobody", "size").unwrap_err().0, "DeviceNotFound");
    assert!(get("d0", "size").unwrap_err().1.contains("no virtio-mem device"));
    let fixed = json!({"path": "vmem0", "property": "size", "value": 0});
    assert!(client.ask("qom-set", fixed).unwrap_err().1.contains("must be requested-size"));
}

#[test]
fn orders_are_carried_out() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    for (name, expected) in [
        ("stop", Command::Pause),
        ("cont", Command::Resume),
        ("system_powerdown", Command::PowerButton),
        ("inject-nmi", Command::InjectNmi),
        ("system_reset", Command::Reboot),
        ("quit", Command::Shutdown),
    ] {
        assert_eq!(client.ask(name, json!({})), Ok(json!({})));
        assert_eq!(command(&machine), expected);
    }
}

#[test]
fn a_balloon_is_what_it_leaves_to_the_guest() {
    let mut machine = FakeMachine::new(|command, machine| match command {
        Command::Info => Ok(Reply::Info(with_balloon().into())),
        Command::SetBalloon(_) => Ok(Reply::Done),
        command => answer(command, machine),
    });
    let mut client = Client::new(&mut machine);
    assert_eq!(client.ask("query-balloon", json!({})), Ok(json!({"actual": 5 * GIB - 3 * GIB / 4})));
    assert_eq!(client.ask("balloon", json!({"value": 3 * GIB + 1})), Ok(json!({})));
    assert_eq!(client.ask("balloon", json!({"value": 9 * GIB})), Ok(json!({})));
    assert!(client.ask("balloon", json!({"value": 0})).unwrap_err().1.starts_with("value=0"));
    let asked = std::iter::from_fn(|| Some(machine.command()));
    let sizes = asked.filter(|command| matches!(command, Command::SetBalloon(_))).take(2).collect::<Vec<_>>();
    assert_eq!(sizes, [Command::SetBalloon(2 * GIB - 4096), Command::SetBalloon(0)]);
    let mut none = FakeMachine::new(answer);
    let mut client = Client::new(&mut none);
    assert_eq!(client.ask("query-balloon", json!({})).unwrap_err().0, "DeviceNotActive");
}
