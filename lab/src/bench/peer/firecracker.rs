//! Firecracker: its machine is a file, its console the standard streams, its API HTTP.

use std::fs;
use std::process::Command;

use serde_json::json;

use super::{Control, Error, Peer, until};
use crate::bench::Cannot;
use crate::bench::http::Http;
use crate::bench::machine::{Files, Machine, RAM};

const MIB: u64 = 1 << 20;

pub(super) struct Firecracker;

impl Peer for Firecracker {
    fn command(&self, mut program: Command, machine: &Machine, files: &Files) -> Result<Command, Error> {
        if machine.slots > 0 && machine.window == 0 {
            return Err(Cannot::without("DIMMs"));
        }
        let mut config = json!({
            "boot-source": {
                "kernel_image_path": files.kernel,
                "initrd_path": files.initramfs,
                "boot_args": files.cmdline,
            },
            "drives": [],
            "machine-config": { "vcpu_count": 1, "mem_size_mib": RAM / MIB },
        });
        if machine.window > 0 {
            config["memory-hotplug"] = json!({ "total_size_mib": machine.window / MIB });
        }
        let path = files.dir.join("config.json");
        fs::write(&path, config.to_string())?;
        program.arg("--api-sock").arg(files.api(0)).arg("--config-file").arg(path);
        Ok(program)
    }

    fn control(&self, files: &Files, _: usize) -> Result<Box<dyn Control>, Error> {
        Ok(Box::new(Api(Http::connect(&files.api(0))?)))
    }

    fn console_is_stdio(&self) -> bool {
        true
    }
}

struct Api(Http);

impl Control for Api {
    fn ask(&mut self) -> Result<(), Error> {
        self.0.tell("GET", "/", None).map(drop)
    }

    fn resize(&mut self, bytes: u64) -> Result<(), Error> {
        let size = bytes / MIB;
        self.0.tell("PATCH", "/hotplug/memory", Some(&json!({ "requested_size_mib": size })))?;
        until(|| {
            let memory = self.0.tell("GET", "/hotplug/memory", None)?;
            Ok(memory["plugged_size_mib"] == size)
        })
    }

    fn add_dimm(&mut self, _: &str, _: u64) -> Result<(), Error> {
        Err(Cannot::without("DIMMs"))
    }

    fn remove_dimm(&mut self, _: &str) -> Result<(), Error> {
        Err(Cannot::without("DIMMs"))
    }
}
