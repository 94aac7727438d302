//! QEMU's machines `q35` and `microvm`, without what they need not have, and QMP.

use std::process::Command;

use serde_json::json;

use super::{Control, Error, Peer, until};
use crate::bench::Cannot;
use crate::bench::machine::{Files, Machine, RAM};
use crate::bench::qmp::Qmp;

/// Room behind the memory devices, since QEMU aligns them.
const SLACK: u64 = 4 << 30;

pub(super) struct Q35;
pub(super) struct Microvm;

impl Peer for Q35 {
    fn command(&self, mut program: Command, machine: &Machine, files: &Files) -> Result<Command, Error> {
        program.args(["-machine", "q35,accel=kvm,usb=off,vmport=off,smbus=off,sata=off,graphics=off"]);
        let more = machine.dimms + machine.window;
        let slots = machine.slots.min(256);
        let memory = match more {
            0 => format!("size={RAM}B"),
            more => format!("size={RAM}B,slots={},maxmem={}B", slots.max(1), RAM + more + SLACK),
        };
        program.args(["-m", &memory]);
        if machine.window > 0 {
            let backend = format!("memory-backend-ram,id=window,size={}B,reserve=off", machine.window);
            program.args(["-object", &backend]);
            program.args(["-device", "virtio-mem-pci,id=vmem0,memdev=window,requested-size=0"]);
        }
        common(&mut program, machine, files);
        let socket = format!("socket,id=agent,path={},server=on,wait=off", files.agent().display());
        program.args(["-chardev", &socket, "-device", "virtio-serial-pci"]);
        let port = dimmer_agent::protocol::PORT_NAME;
        program.args(["-device", &format!("virtserialport,chardev=agent,name={port}")]);
        Ok(program)
    }

    fn control(&self, files: &Files, number: usize) -> Result<Box<dyn Control>, Error> {
        Ok(Box::new(Monitor(Qmp::connect(&files.api(number))?)))
    }

    fn has_agent(&self) -> bool {
        true
    }
}

impl Peer for Microvm {
    fn command(&self, mut program: Command, machine: &Machine, files: &Files) -> Result<Command, Error> {
        if machine.dimms + machine.window > 0 {
            return Err(Cannot::without("memory devices"));
        }
        // With ACPI (seen with QEMU 11.1) its tables and the initramfs now and then lie over each other, and the guest stops
        // at them. Without it there is nothing that shows the guest a virtio port.
        program.args(["-machine", "microvm,accel=kvm,acpi=off,rtc=off,auto-kernel-cmdline=off"]);
        program.args(["-m", &format!("size={RAM}B")]);
        common(&mut program, machine, files);
        Ok(program)
    }

    fn control(&self, files: &Files, number: usize) -> Result<Box<dyn Control>, Error> {
        Q35.control(files, number)
    }
}

/// What both machines have: kernel, serial port and monitors.
fn common(program: &mut Command, machine: &Machine, files: &Files) {
    program.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
    program.args(["-cpu", "host", "-smp", "1"]);
    program.arg("-kernel").arg(&files.kernel).arg("-initrd").arg(&files.initramfs);
    program.args(["-append", &files.cmdline]);
    let socket = format!("socket,id=serial,path={},server=on,wait=off", files.serial().display());
    program.args(["-chardev", &socket, "-serial", "chardev:serial"]);
    for number in 0..machine.clients.max(1) {
        let socket = files.api(number);
        program.args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())]);
    }
}

struct Monitor(Qmp);

impl Control for Monitor {
    fn ask(&mut self) -> Result<(), Error> {
        self.0.tell("query-status", &json!({})).map(drop)
    }

    fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        let property = |name: &str| json!({"path": "/machine/peripheral/vmem0", "property": name});
        let mut set = property("requested-size");
        set["value"] = bytes.into();
        self.0.tell("qom-set", &set)?;
        let size = property("size");
        // The event of a change comes once a second at most, so it is asked.
        until(|| Ok(self.0.tell("qom-get", &size)? == bytes))
    }

    fn add_dimm(&mut self, id: &str, bytes: u64) -> Result<(), Error> {
        let memory = format!("mem-{id}");
        let backend =
            json!({"qom-type": "memory-backend-ram", "id": memory, "size": bytes, "reserve": false});
        self.0.tell("object-add", &backend)?;
        self.0.tell("device_add", &json!({"driver": "pc-dimm", "id": id, "memdev": memory}))?;
        self.0.event("ACPI_DEVICE_OST", |data| data["info"]["device"] == id)
    }

    fn remove_dimm(&mut self, id: &str) -> Result<(), Error> {
        self.0.tell("device_del", &json!({ "id": id }))?;
        self.0.event("DEVICE_DELETED", |data| data["device"] == id)?;
        self.0.tell("object-del", &json!({"id": format!("mem-{id}")})).map(drop)
    }
}
