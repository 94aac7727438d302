//! Dimmer as its users have it: `dimmer run`, and its REST API with `?wait=`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::json;

use super::{Control, Error, Peer};
use crate::bench::http::Http;
use crate::bench::machine::{Files, Machine, RAM};

/// Seconds that a change may take.
const WAIT: u32 = 180;
const DEVICES: &str = "/api/v1/memory-devices";

pub(super) struct Dimmer;

impl Peer for Dimmer {
    fn command(&self, mut program: Command, machine: &Machine, files: &Files) -> Result<Command, Error> {
        program.arg0("dimmer").arg("run").arg("--kernel").arg(&files.kernel);
        program.arg("--initramfs").arg(&files.initramfs).args(["--cmdline", &files.cmdline]);
        program.args(["--memory", &format!("size={RAM}")]);
        if machine.slots > 0 {
            let window = format!("method=acpi,slots={},size={}", machine.slots, machine.dimms);
            program.args(["--memory-hotplug", &window]);
        }
        if machine.window > 0 {
            let window = format!("method=virtio-mem,size={}", machine.window);
            program.args(["--memory-hotplug", &window]);
        }
        program.arg("--api-socket").arg(files.api(0)).arg("--agent-socket").arg(files.agent());
        program.args(["--serial", &format!("socket={}", files.serial().display())]);
        Ok(program)
    }

    fn control(&self, files: &Files, _: usize) -> Result<Box<dyn Control>, Error> {
        Ok(Box::new(Api(Http::connect(&files.api(0))?)))
    }

    fn has_agent(&self) -> bool {
        true
    }
}

struct Api(Http);

impl Control for Api {
    fn ask(&mut self) -> Result<(), Error> {
        self.0.tell("GET", "/api/v1/vm.info", None).map(drop)
    }

    fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        let body = json!({ "requested_size": bytes });
        self.0.tell("PATCH", &format!("{DEVICES}/vmem0?wait={WAIT}"), Some(&body)).map(drop)
    }

    fn add_dimm(&mut self, id: &str, bytes: u64) -> Result<(), Error> {
        let body = json!({"id": id, "kind": "dimm", "size": bytes});
        self.0.tell("POST", &format!("{DEVICES}?wait={WAIT}"), Some(&body)).map(drop)
    }

    fn remove_dimm(&mut self, id: &str) -> Result<(), Error> {
        self.0.tell("DELETE", &format!("{DEVICES}/{id}?wait={WAIT}"), None).map(drop)
    }
}
