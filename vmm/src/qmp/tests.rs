//! QMP over a real UNIX socket, with a fake machine that answers the mailbox.

mod changes;
mod events;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::{Kind, MemoryStatus, State};
use serde_json::{Value, json};

use super::input::LARGEST;
use crate::api::tests::fake::{Answer, DEADLINE, FakeMachine, accept, device, info};
use crate::control::{Command, Refusal, Reply, VmState};
use crate::events::Hub;
use crate::units::GIB;

/// A client; what it writes and reads are lines.
struct Client(BufReader<UnixStream>);

impl Client {
    /// One that has heard the greeting only.
    fn stranger(machine: &mut FakeMachine) -> Self {
        let stream = UnixStream::connect(machine.serve_qmp()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut client = Self(BufReader::new(stream));
        let greeting = client.next().expect("a greeting");
        assert_eq!(greeting["QMP"]["capabilities"], json!([]), "{greeting}");
        assert!(greeting["QMP"]["version"]["qemu"]["major"].is_u64(), "{greeting}");
        client
    }

    /// One that has negotiated.
    fn new(machine: &mut FakeMachine) -> Self {
        let mut client = Self::stranger(machine);
        assert_eq!(client.ask("qmp_capabilities", json!({})), Ok(json!({})));
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next message; nothing when the server has closed the connection.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap())
    }

    /// Carries out a command; the error's class and words.
    fn ask(&mut self, name: &str, arguments: Value) -> Result<Value, (String, String)> {
        self.send(json!({"execute": name, "arguments": arguments, "id": [name]}).to_string().as_bytes());
        // Events come when they come.
        let mut answers =
            std::iter::from_fn(|| self.next()).skip_while(|message| message.get("event").is_some());
        let answer = answers.next().expect("an answer");
        assert_eq!(answer["id"], json!([name]), "{answer}");
        let text = |key: &str| answer["error"][key].as_str().unwrap().to_owned();
        answer.get("return").cloned().ok_or_else(|| (text("class"), text("desc")))
    }
}

/// A DIMM `d0` of 1 GiB in slot 3.
fn dimm() -> MemoryStatus {
    let mut dimm = MemoryStatus { kind: Kind::Dimm, slot: Some(3), ..device("d0", State::Plugged) };
    dimm.ranges[0].size = GIB;
    dimm
}

fn answer(command: &Command, hub: &Hub) -> Answer {
    let devices = || vec![dimm(), device("vmem0", State::Plugged)];
    match command {
        Command::Info => Ok(Reply::Info(info(VmState::Paused, devices()).into())),
        Command::Devices => Ok(Reply::Devices(devices())),
        Command::Device(id) => {
            let found = devices().into_iter().find(|device| device.id == *id);
            found.map(Reply::Device).ok_or_else(|| Refusal::NotFound(format!("there is no {id}")))
        }
        Command::AllOst => {
            let report = |number, status| OstReport {
                number,
                slot: Some(3),
                id: Some("d0".to_owned()),
                source: 1,
                status,
                meaning: String::new(),
            };
            Ok(Reply::Ost(vec![report(1, 0x84), report(2, 0)]))
        }
        Command::AddDimm(spec) if spec.dimm.node == 7 => Err(Refusal::Invalid("node: 7".to_owned())),
        Command::AddDimm(spec) => accept(hub, &spec.dimm.id, State::Plugging),
        Command::Resize { id, .. } => accept(hub, id, State::Plugging),
        Command::Remove(id) if id == "vmem0" => Err(Refusal::Conflict("it stays".to_owned())),
        Command::Remove(id) => accept(hub, id, State::Unplugging),
        _ => Ok(Reply::Done),
    }
}

#[test]
fn a_client_has_to_negotiate_once() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::stranger(&mut machine);
    let class = |result: Result<Value, (String, String)>| result.unwrap_err().0;
    assert_eq!(class(client.ask("query-status", json!({}))), "CommandNotFound");
    assert_eq!(class(client.ask("qmp_capabilities", json!({"enable": ["oob"]}))), "GenericError");
    assert_eq!(client.ask("qmp_capabilities", json!({"enable": []})), Ok(json!({})));
    assert_eq!(class(client.ask("qmp_capabilities", json!({}))), "CommandNotFound");
}

#[test]
fn what_is_listed_is_there_and_what_is_not_is_not() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    let commands = client.ask("query-commands", json!({})).unwrap();
    let names: Vec<_> =
        commands.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"device_add") && names.is_sorted(), "{names:?}");
    for name in names.iter().filter(|name| **name != "qmp_capabilities") {
        let result = client.ask(name, json!({"x": 1}));
        let (class, words) = result.unwrap_err();
        // Which fields a new device has is a matter of its driver.
        let wrong = if **name == *"device_add" { "missing field `driver`" } else { "unknown field `x`" };
        assert!(class == "GenericError" && words.contains(wrong), "{name}: {class}: {words}");
    }
    for (name, arguments) in
        [("migrate", json!({})), ("human-monitor-command", json!({"command-line": "info"}))]
    {
        let (class, words) = client.ask(name, arguments).unwrap_err();
        assert!(class == "CommandNotFound" && words.contains(name), "{class}: {words}");
    }
}

#[test]
fn what_can_be_asked_has_its_shape() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    let dimm = json!({"type": "dimm", "data": {
        "id": "d0", "addr": 6 * GIB, "size": GIB, "node": 0, "slot": 3, "memdev": "/objects/d0",
        "hotplugged": true, "hotpluggable": true,
    }});
    let vmem = json!({"type": "virtio-mem", "data": {
        "id": "vmem0", "memaddr": 6 * GIB, "requested-size": GIB, "size": GIB, "max-size": 8 * GIB,
        "block-size": 2 << 20, "node": 0, "memdev": "/objects/vmem0",
    }});
    let table = [
        ("query-status", json!({"running": false, "status": "paused"})),
        ("query-name", json!({})),
        ("query-memory-devices", json!([dimm, vmem])),
        ("query-memory-size-summary", json!({"base-memory": 4 * GIB, "plugged-memory": 2 * GIB})),
    ];
    for (name, expected) in table {
        assert_eq!(client.ask(name, json!({})), Ok(expected), "{name}");
    }
    let slots = client.ask("query-acpi-ospm-status", json!({})).unwrap();
    assert_eq!(slots.as_array().map(Vec::len), Some(16));
    assert_eq!(slots[2], json!({"slot": "2", "slot-type": "DIMM", "source": 0, "status": 0}));
    assert_eq!(slots[3], json!({"device": "d0", "slot": "3", "slot-type": "DIMM", "source": 1, "status": 0}));
    assert!(client.ask("query-version", json!({})).unwrap()["qemu"]["minor"].is_u64());
}

#[test]
fn what_is_no_request_is_said_and_too_much_ends_the_session() {
    let mut machine = FakeMachine::new(answer);
    let mut client = Client::new(&mut machine);
    for (bytes, words) in [
        (&b"{execute}\n"[..], "this is not JSON: key must be a string"),
        (b"[1]\n", "must be a JSON object"),
        (b"{\"id\":5}", "missing field `execute`"),
        (b"{\"execute\":\"stop\",\"control\":{}}", "unknown field `control`"),
    ] {
        client.send(bytes);
        let answer = client.next().expect("an answer");
        assert_eq!(answer["error"]["class"], "GenericError", "{answer}");
        assert!(answer["error"]["desc"].as_str().unwrap().contains(words), "{answer}");
    }
    client.send(b"{\"execute\":\"query-status\"}{\"execute\":\"query-name\",\"id\":null}");
    assert_eq!(client.next().unwrap(), json!({"return": {"running": false, "status": "paused"}}));
    assert_eq!(client.next().unwrap(), json!({"return": {}}));
    client.send(&vec![b'['; LARGEST]);
    assert!(client.next().unwrap()["error"]["desc"].as_str().unwrap().contains("at most 65536 bytes"));
    assert_eq!(client.next(), None);
}
