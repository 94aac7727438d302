//! cloud-hypervisor and its HTTP API.

use std::process::Command;

use serde_json::json;

use super::{Control, Error, Peer, until};
use crate::bench::Cannot;
use crate::bench::http::Http;
use crate::bench::machine::{Files, Machine, RAM};

pub(super) struct CloudHypervisor;

impl Peer for CloudHypervisor {
    fn command(&self, mut program: Command, machine: &Machine, files: &Files) -> Result<Command, Error> {
        if machine.slots > 0 && machine.window == 0 {
            return Err(Cannot::without("DIMMs that end with _OST, or that can be unplugged"));
        }
        let memory = match machine.window {
            0 => format!("size={RAM}"),
            window => format!("size={RAM},hotplug_method=virtio-mem,hotplug_size={window}"),
        };
        program.args(["--cpus", "boot=1", "--memory", &memory]);
        program.arg("--kernel").arg(&files.kernel).arg("--initramfs").arg(&files.initramfs);
        program.args(["--cmdline", &files.cmdline, "--console", "off"]);
        program.args(["--serial", &format!("socket={}", files.serial().display())]);
        program.args(["--api-socket", &format!("path={}", files.api(0).display())]);
        Ok(program)
    }

    fn control(&self, files: &Files, _: usize) -> Result<Box<dyn Control>, Error> {
        Ok(Box::new(Api(Http::connect(&files.api(0))?)))
    }
}

struct Api(Http);

impl Control for Api {
    fn ask(&mut self) -> Result<(), Error> {
        self.0.tell("GET", "/api/v1/vm.info", None).map(drop)
    }

    fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        let all = RAM + bytes;
        self.0.tell("PUT", "/api/v1/vm.resize", Some(&json!({ "desired_ram": all })))?;
        until(|| {
            let info = self.0.tell("GET", "/api/v1/vm.info", None)?;
            Ok(info["memory_actual_size"] == all)
        })
    }

    fn add_dimm(&mut self, _: &str, _: u64) -> Result<(), Error> {
        Err(Cannot::without("DIMMs beside virtio-mem"))
    }

    fn remove_dimm(&mut self, _: &str) -> Result<(), Error> {
        Err(Cannot::without("DIMMs that can be unplugged"))
    }
}
