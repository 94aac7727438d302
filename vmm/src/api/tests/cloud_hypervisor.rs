//! cloud-hypervisor's remote client: what it writes, and what it takes for an answer. The client itself is run as well where
//! it is on `PATH` as `ch-remote`, or named by `DIMMER_CH_REMOTE`.

use std::env;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command as Process;

use dimmer_devices::memory::State;
use serde_json::{Value, json};

use super::fake::{DEADLINE, FakeMachine, accept, accept_cpus, device, disk, info, net, pmem};
use super::raw::request;
use crate::api::types::Resize;
use crate::control::{Command, Counts, Reply, VmInfo, VmState};
use crate::spec::{SnapshotSpec, sample};
use crate::units::{GIB, MIB};

/// Sends what the client sends, in its pieces, and reads as it does: a number behind the version to the end of the line, a
/// header by its exact name, a body of just that length.
fn exchange(socket: &Path, method: &str, call: &str, body: Option<&str>) -> Result<Option<String>, String> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = format!("{method} /api/v1/{call} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    if let Some(body) = body {
        stream.write_all(format!("Content-Length: {}\r\n", body.len()).as_bytes()).unwrap();
    }
    stream.write_all(b"\r\n").unwrap();
    stream.write_all(body.unwrap_or_default().as_bytes()).unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    let head = String::from_utf8(text).unwrap();
    let line = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).expect("the version");
    let status: u16 = line.trim().parse().map_err(|error| format!("{line:?}: {error}"))?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let body = length.map(|length| {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    });
    if matches!(status, 200 | 204) { Ok(body) } else { Err(body.unwrap_or_default()) }
}

/// The real client, if there is one.
fn client() -> Option<OsString> {
    let name = env::var_os("DIMMER_CH_REMOTE").unwrap_or_else(|| "ch-remote".into());
    Process::new(&name).arg("--version").output().is_ok().then_some(name)
}

/// Tells the machine the same as bytes and, where it is there, through the real client.
fn tell(
    socket: &Path,
    words: &str,
    (method, call, body): (&str, &str, Option<&str>),
) -> Vec<Result<(), String>> {
    let mut told = vec![exchange(socket, method, call, body).map(drop)];
    if let Some(client) = client() {
        let run =
            Process::new(client).arg("--api-socket").arg(socket).args(words.split(' ')).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        told.push(if run.status.success() { Ok(()) } else { Err(said) });
    }
    told
}

#[test]
fn every_command_of_its_that_has_something_behind_it_reaches_the_machine() {
    let machine = FakeMachine::new(|command, hub| match command {
        Command::ResizeTotal(_) | Command::Resize { .. } | Command::Remove(_) => {
            accept(hub, "d1", State::Plugging)
        }
        Command::ResizeCpus(_) => accept_cpus(hub, 3),
        _ => Ok(Reply::Done),
    });
    let snapshot = SnapshotSpec { destination: "/srv/snap".into(), ..SnapshotSpec::default() };
    let table = [
        ("pause", "vm.pause", None, Some(Command::Pause)),
        ("resume", "vm.resume", None, Some(Command::Resume)),
        ("reboot", "vm.reboot", None, Some(Command::Reboot)),
        ("power-button", "vm.power-button", None, Some(Command::PowerButton)),
        ("nmi", "vm.nmi", None, Some(Command::InjectNmi)),
        ("shutdown", "vm.shutdown", None, Some(Command::Shutdown)),
        ("shutdown-vmm", "vmm.shutdown", None, Some(Command::Shutdown)),
        (
            "resize --memory 3G",
            "vm.resize",
            Some(r#"{"desired_vcpus":null,"desired_ram":3221225472,"desired_balloon":null}"#),
            Some(Command::ResizeTotal(3 * GIB)),
        ),
        (
            "resize --cpus 3",
            "vm.resize",
            Some(r#"{"desired_vcpus":3,"desired_ram":null,"desired_balloon":null}"#),
            Some(Command::ResizeCpus(3)),
        ),
        (
            "resize --balloon 1G",
            "vm.resize",
            Some(r#"{"desired_vcpus":null,"desired_ram":null,"desired_balloon":1073741824}"#),
            Some(Command::SetBalloon(GIB)),
        ),
        (
            "resize-zone --id vmem0 --size 128M",
            "vm.resize-zone",
            Some(r#"{"id":"vmem0","desired_ram":134217728}"#),
            Some(Command::Resize { id: "vmem0".to_owned(), size: 128 * MIB }),
        ),
        (
            "remove-device d1",
            "vm.remove-device",
            Some(r#"{"id":"d1"}"#),
            Some(Command::Remove("d1".to_owned())),
        ),
        (
            "snapshot file:///srv/snap",
            "vm.snapshot",
            Some(r#"{"destination_url":"file:///srv/snap"}"#),
            Some(Command::Snapshot(snapshot)),
        ),
    ];
    for (words, call, body, command) in table {
        for told in tell(&machine.socket, words, ("PUT", call, body)) {
            assert_eq!(told, Ok(()), "{words}");
            if let Some(command) = &command {
                assert_eq!(machine.command(), *command, "{words}");
            }
        }
    }
}

#[test]
fn what_it_asks_for_has_its_shape() {
    let counts = [(("plug", "ack"), 7), (("unplug-all", "none"), 1)];
    let machine = FakeMachine::new(move |command, _| match command {
        Command::Counts => Ok(Reply::Counts(Counts {
            requests: vec![("vmem0".to_owned(), counts.into())],
            exits: Vec::new(),
        })),
        _ => {
            let info = info(VmState::Running, vec![device("vmem0", State::Plugged)]);
            let (disks, pmems, nets) = (vec![disk()], vec![pmem()], vec![net()]);
            Ok(Reply::Info(VmInfo { disks, pmems, nets, ..info }.into()))
        }
    });
    let ask = |call| -> Value {
        serde_json::from_str(&exchange(&machine.socket, "GET", call, None).unwrap().unwrap()).unwrap()
    };
    let ping = ask("vmm.ping");
    assert_eq!((&ping["version"], &ping["features"]), (&ping["build_version"], &json!([])));
    let disk = json!({"read_ops": 1, "write_ops": 2, "read_bytes": 4, "write_bytes": 5});
    let net = json!({"tx_frames": 7, "rx_frames": 8});
    let vmem0 = json!({"plug_ack": 7, "unplug-all_none": 1});
    let pmem = json!({"flush_ops": 12, "flush_errors": 13, "dropped_writes": 14});
    let counters = json!({"vmem0": vmem0, "disk0": disk, "pmem0": pmem, "net0": net});
    assert_eq!(ask("vm.counters"), counters);
    let info = ask("vm.info");
    assert_eq!((&info["memory_actual_size"], &info["state"]), (&json!(5 * GIB), &json!("running")));
    let config = &info["config"];
    assert_eq!(config["cpus"], json!({"boot_vcpus": 2, "max_vcpus": 4, "nested": false}));
    let pmem = json!({"id": "pmem0", "file": "/pmem", "size": 64 * MIB, "discard_writes": true});
    assert_eq!(config["pmem"], json!([pmem]));
    let memory = &config["memory"];
    assert_eq!((&memory["size"], &memory["hotplug_method"]), (&json!(4 * GIB), &json!("VirtioMem")));
    assert_eq!((&memory["hotplug_size"], &memory["hotplugged_size"]), (&json!(8 * GIB), &json!(GIB)));
    assert_eq!(memory["zones"][0]["id"], "vmem0");
    assert_eq!(
        (&config["payload"]["kernel"], &config["serial"]["mode"]),
        (&json!("bzImage"), &json!("Null"))
    );
    let place = json!({"MmioAddressRange": {"base": 6 * GIB, "size": 8 * GIB}});
    let node = json!({"id": "vmem0", "resources": [place], "children": []});
    assert_eq!(info["device_tree"]["vmem0"], node);
    for words in client()
        .map(|_| ["ping", "info", "counters"])
        .unwrap_or_default()
        .iter()
        .filter(|words| !words.is_empty())
    {
        assert_eq!(tell(&machine.socket, words, ("GET", "vmm.ping", None)), [Ok(()), Ok(())], "{words}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_the_reason() {
    let machine = FakeMachine::silent();
    let table = [
        (r#"{"desired_vcpus":5,"desired_ram":5}"#, "desired_vcpus=5: must be 1 to 4"),
        (r#"{"desired_ram":null}"#, "desired_ram: missing field `desired_ram`, bytes wanted"),
    ];
    for (body, detail) in table {
        let response = request(&machine.socket, "PUT", "/vm.resize", body);
        assert_eq!(response.status, 422);
        assert!(response.problem().starts_with(detail), "{response:?}");
    }
    let cpus = Resize { desired_vcpus: Some(3), ..Resize::default() };
    let problem = cpus.check(&sample::machine()).unwrap_err();
    let fixed = "desired_vcpus=3: must be 1: the number of CPUs can only change where --cpus says so, as in --cpus 1,max=8";
    assert_eq!(problem.detail, fixed);
    let balloon = Resize { desired_balloon: Some(4096), ..Resize::default() };
    let problem = balloon.check(&sample::machine()).unwrap_err();
    assert_eq!(problem.detail, "desired_balloon=4096: must be 0: there is no balloon");
    let balloon = Resize { desired_balloon: Some(0), ..Resize::default() };
    assert!(balloon.check(&sample::machine()).is_ok(), "none is as good as an empty one");
    for (call, why) in [
        ("vm.create", "a process of Dimmer has the one machine"),
        ("vm.restore", "dimmer run --restore DIR"),
        ("vm.add-disk", "only memory devices are added to a running machine"),
    ] {
        let response = request(&machine.socket, "PUT", &format!("/{call}"), "{}");
        assert_eq!(response.status, 501);
        assert!(response.problem().contains(why), "{response:?}");
    }
    for told in tell(&machine.socket, "resize --cpus 5", ("PUT", "vm.resize", Some(r#"{"desired_vcpus":5}"#)))
    {
        assert!(told.unwrap_err().contains("must be 1 to 4"));
    }
}
