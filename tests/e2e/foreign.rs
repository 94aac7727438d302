//! Clients of other monitors on a machine that runs: cloud-hypervisor's, Firecracker's and QEMU's.
//!
//! The real `ch-remote` is used where it is on `PATH`, or named by `DIMMER_CH_REMOTE`; otherwise the bytes that it writes.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("foreign": cloud_hypervisors_client, firecrackers_calls, qemus_protocol);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// Sends a request; the status and the body of the answer.
fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Result<(u16, String), Box<dyn Error>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n");
    write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    // cloud-hypervisor's client takes all of the line behind the version for the number.
    let status = head.lines().next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).ok_or("no status")?;
    Ok((status.trim().parse()?, body.to_owned()))
}

/// The real client, if there is one.
fn ch_remote() -> Option<OsString> {
    let name = env::var_os("DIMMER_CH_REMOTE").unwrap_or_else(|| "ch-remote".into());
    Command::new(&name).arg("--version").output().is_ok().then_some(name)
}

/// Has cloud-hypervisor's client say `words`, or says it as that does.
fn tell(socket: &Path, words: &str, call: &str, body: &str) -> Result<bool, Box<dyn Error>> {
    if let Some(client) = ch_remote() {
        let run = Command::new(client).arg("--api-socket").arg(socket).args(words.split(' ')).output()?;
        return Ok(run.status.success());
    }
    Ok(matches!(ask(socket, "PUT", &format!("/api/v1/{call}"), body)?.0, 200 | 204))
}

fn cloud_hypervisors_client(kernel: &Kernel) -> Outcome {
    let arguments = "--memory size=1G --memory-hotplug method=acpi,slots=2,size=2G --memory-hotplug \
        method=virtio-mem,id=zone,size=4G";
    let vm = Setup::new(kernel).arguments(arguments).boot()?;
    let socket = vm.api_socket();
    let total = r#"{"desired_vcpus":null,"desired_ram":2147483648,"desired_balloon":null}"#;
    assert!(tell(&socket, "resize --memory 2G", "vm.resize", total)?);
    assert_eq!(vm.rest.resize("zone", GIB)?["plugged_size"], GIB);
    let zone = r#"{"id":"zone","desired_ram":536870912}"#;
    assert!(tell(&socket, "resize-zone --id zone --size 512M", "vm.resize-zone", zone)?);
    assert_eq!(vm.rest.resize("zone", 512 * MIB)?["plugged_size"], 512 * MIB);
    let more = r#"{"desired_vcpus":9,"desired_ram":null,"desired_balloon":null}"#;
    assert!(!tell(&socket, "resize --cpus 9", "vm.resize", more)?, "the number of CPUs cannot change");
    vm.rest.add_dimm("d0", GIB)?;
    assert!(tell(&socket, "remove-device d0", "vm.remove-device", r#"{"id":"d0"}"#)?);
    wait_until("the DIMM is gone", || Ok(vm.rest.events()?.iter().any(|event| event["event"] == "removed")))?;
    assert!(tell(&socket, "pause", "vm.pause", "")? && tell(&socket, "resume", "vm.resume", "")?);
    let info: Value = serde_json::from_str(&ask(&socket, "GET", "/api/v1/vm.info", "")?.1)?;
    assert_eq!(info["config"]["memory"]["zones"][0]["hotplugged_size"], 512 * MIB, "{info}");
    assert_eq!(info["memory_actual_size"], GIB + 512 * MIB, "{info}");
    let counters: Value = serde_json::from_str(&ask(&socket, "GET", "/api/v1/vm.counters", "")?.1)?;
    assert!(counters["zone"]["plug_ack"].as_u64() > Some(0), "{counters}");
    Ok(())
}

fn firecrackers_calls(kernel: &Kernel) -> Outcome {
    let arguments = "--memory size=1G --memory-hotplug method=virtio-mem,size=4G \
        --memory-hotplug method=virtio-mem,size=2G,present=off";
    let vm = Setup::new(kernel).arguments(arguments).boot()?;
    let socket = vm.api_socket();
    let status = || -> Result<Value, Box<dyn Error>> {
        Ok(serde_json::from_str(&ask(&socket, "GET", "/hotplug/memory", "")?.1)?)
    };
    for size in [1024_u64, 256] {
        let body = json!({"requested_size_mib": size}).to_string();
        assert_eq!(ask(&socket, "PATCH", "/hotplug/memory", &body)?.0, 204);
        assert_eq!(status()?["requested_size_mib"], size);
        wait_until("the size", || Ok(status()?["plugged_size_mib"] == size))?;
    }
    assert_eq!(ask(&socket, "PATCH", "/vm", r#"{"state":"Paused"}"#)?.0, 204);
    assert!(ask(&socket, "GET", "/", "")?.1.contains(r#""state":"Paused""#));
    assert_eq!(ask(&socket, "PATCH", "/vm", r#"{"state":"Resumed"}"#)?.0, 204);
    let (status, fault) = ask(&socket, "PUT", "/actions", r#"{"action_type":"InstanceStart"}"#)?;
    assert!(status == 400 && fault.contains("fault_message"), "{fault}");
    let (status, metrics) = ask(&socket, "GET", "/metrics", "")?;
    let plugged = r#"dimmer_memory_device_plugged_bytes{id="vmem0",kind="virtio-mem"} 268435456"#;
    assert!(status == 200 && metrics.contains(plugged), "{metrics}");
    Ok(())
}

/// A client of QMP that has negotiated.
struct Qmp {
    stream: BufReader<UnixStream>,
    events: Vec<Value>,
}

impl Qmp {
    fn new(path: &Path) -> Result<Self, Box<dyn Error>> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut client = Self { stream: BufReader::new(stream), events: Vec::new() };
        assert!(client.next()?["QMP"]["version"].is_object());
        client.ask("qmp_capabilities", &json!({}))?;
        Ok(client)
    }

    fn next(&mut self) -> Result<Value, Box<dyn Error>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }

    fn ask(&mut self, name: &str, arguments: &Value) -> Result<Value, Box<dyn Error>> {
        let request = json!({"execute": name, "arguments": arguments});
        self.stream.get_mut().write_all(request.to_string().as_bytes())?;
        loop {
            let message = self.next()?;
            match message.get("return") {
                Some(value) => return Ok(value.clone()),
                None if message.get("event").is_some() => self.events.push(message),
                None => return Err(format!("{name}: {message}").into()),
            }
        }
    }

    /// Waits for an event; what it says.
    fn event(&mut self, name: &str) -> Result<Value, Box<dyn Error>> {
        loop {
            if let Some(at) = self.events.iter().position(|event| event["event"] == name) {
                return Ok(self.events.remove(at)["data"].clone());
            }
            let event = self.next()?;
            self.events.push(event);
        }
    }
}

fn qemus_protocol(kernel: &Kernel) -> Outcome {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("qmp");
    let windows = "--memory size=1G --memory-hotplug method=acpi,slots=2,size=2G --memory-hotplug method=virtio-mem,size=4G \
        --memory-hotplug method=virtio-mem,size=2G,present=off";
    let qmp = format!("--qmp {}", socket.display());
    let mut vm = Setup::new(kernel).arguments(windows).arguments(&qmp).boot()?;
    let mut qmp = Qmp::new(&socket)?;
    qmp.ask("object-add", &json!({"qom-type": "memory-backend-ram", "id": "m1", "size": GIB}))?;
    qmp.ask("device_add", &json!({"driver": "pc-dimm", "id": "d1", "memdev": "m1"}))?;
    let report = qmp.event("ACPI_DEVICE_OST")?;
    assert_eq!((&report["info"]["device"], &report["info"]["status"]), (&json!("d1"), &json!(0)), "{report}");
    let devices = qmp.ask("query-memory-devices", &json!({}))?;
    assert_eq!(
        (&devices[0]["data"]["memdev"], &devices[1]["data"]["id"]),
        (&json!("/objects/m1"), &json!("vmem0"))
    );
    qmp.ask("qom-set", &json!({"path": "vmem0", "property": "requested-size", "value": GIB}))?;
    while qmp.event("MEMORY_DEVICE_SIZE_CHANGE")?["size"] != GIB {}
    let summary = qmp.ask("query-memory-size-summary", &json!({}))?;
    assert_eq!(summary, json!({"base-memory": GIB, "plugged-memory": 2 * GIB}));
    qmp.ask("device_del", &json!({"id": "d1"}))?;
    assert_eq!(qmp.event("DEVICE_DELETED")?["device"], "d1");
    qmp.ask("object-del", &json!({"id": "m1"}))?;
    a_device_comes_by_qmp(&mut vm, &mut qmp)?;
    qmp.ask("system_powerdown", &json!({}))?;
    assert_eq!(qmp.event("SHUTDOWN")?, json!({"guest": true, "reason": "guest-shutdown"}));
    assert_eq!(vm.wait()?.code(), Some(0));
    Ok(())
}

/// A virtio-mem device comes with memory, gives it back, and goes.
fn a_device_comes_by_qmp(vm: &mut TestVm, qmp: &mut Qmp) -> Outcome {
    qmp.ask("object-add", &json!({"qom-type": "memory-backend-memfd", "id": "m2", "size": 2 * GIB}))?;
    let new = json!({"driver": "virtio-mem-pci", "id": "vm1", "memdev": "m2", "requested-size": GIB});
    qmp.ask("device_add", &new)?;
    let grown = |change: &Value, size: u64| change["id"] == "vm1" && change["size"] == size;
    while !grown(&qmp.event("MEMORY_DEVICE_SIZE_CHANGE")?, GIB) {}
    qmp.ask("qom-set", &json!({"path": "vm1", "property": "requested-size", "value": 0}))?;
    while !grown(&qmp.event("MEMORY_DEVICE_SIZE_CHANGE")?, 0) {}
    qmp.ask("device_del", &json!({"id": "vm1"}))?;
    vm.unbind_absent()?;
    assert_eq!(qmp.event("DEVICE_DELETED")?["device"], "vm1");
    qmp.ask("object-del", &json!({"id": "m2"}))?;
    Ok(())
}
