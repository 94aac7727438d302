//! A guest in ring 0 that misuses every device on two processors (`images/hostile`), while the host goes on asking for changes: the
//! API answers, the books agree, memory and log have bounds, and the machine ends as the guest asks for.

use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use dimmer::ctl::client::Method;
use dimmer_images::{HOSTILE, Kernel};
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::{GIB, MIB, Outcome};

crate::tests!("hostile": attacks, attacks_of_minutes);

const RAM: u64 = 256 * MIB;
/// Where DIMMs come.
const WINDOW: u64 = 4 * GIB;
/// Most memory of the process beside the guest's. The program itself and its libraries are in it.
const OWN: u64 = 64 * MIB;
/// A guest that takes longer than this has stopped.
const PATIENCE: Duration = Duration::from_secs(900);
/// Most lines that the process says of all that the guest does: one for each kind of thing and device.
const LINES: usize = 100;

fn attacks(kernel: &Kernel) -> Outcome {
    attacked(kernel, 1, 150)
}

fn attacks_of_minutes(kernel: &Kernel) -> Outcome {
    (2..=5).try_for_each(|seed| attacked(kernel, seed, 1500))
}

/// The guest misuses devices so many times with each of its processors.
fn attacked(kernel: &Kernel, seed: u64, rounds: u64) -> Outcome {
    let dir = tempfile::tempdir()?;
    let (image, disk) = (dir.path().join("guest"), dir.path().join("disk"));
    fs::write(&image, HOSTILE)?;
    File::create(&disk)?.set_len(16 * MIB)?;
    let mut vm = machine(kernel, &image, dir.path(), &format!("seed={seed} rounds={rounds} window={WINDOW}"))
        .start()?;
    let (mut steps, end) = (0_usize, Instant::now() + PATIENCE);
    while !vm.console().contains("hostile: done") {
        if let Err(error) = step(&vm, steps).and_then(|()| check(&vm)) {
            // It may have ended between the two looks.
            if vm.console().contains("hostile: done") {
                break;
            }
            return Err(format!("seed {seed}, step {steps}: {error}\n{}", vm.log()).into());
        }
        steps += 1;
        assert!(Instant::now() < end, "seed {seed}: the guest has stopped: {:?}", vm.rest.vcpus());
    }
    let ending = vm.wait()?;
    assert_eq!(ending.code(), Some(0), "seed {seed}: {}", vm.log());
    assert!(steps > 2, "the host was asked for nothing meanwhile");
    let lines = vm.log().lines().count();
    assert!(lines <= LINES, "seed {seed}: {lines} lines of log:\n{}", vm.log());
    Ok(())
}

fn machine<'a>(kernel: &'a Kernel, image: &'a Path, dir: &Path, cmdline: &str) -> Setup<'a> {
    let devices = "--cpus 2,max=4 --memory-hotplug method=acpi,slots=8,size=8G \
        --memory-hotplug method=virtio-mem,size=4G,id=vmem0,requested=1G \
        --memory-hotplug method=virtio-mem,size=2G,present=off --memory-hotplug method=virtio-mem,size=1G,present=off \
        --rng --balloon size=1M --watchdog none";
    Setup::new(kernel)
        .image(image)
        .unwatched()
        .whole_cmdline(cmdline)
        .arguments(&format!("--memory size={RAM} {devices}"))
        .flag("--disk", format!("path={}", dir.join("disk").display()))
        .flag("--vsock", format!("cid=3,path={}", dir.join("vsock").display()))
}

/// One of the changes that a host asks for. The guest lets go of what it likes: any answer will do that is no failure of the
/// machine's.
fn step(vm: &TestVm, number: usize) -> Outcome {
    let id = format!("d{}", number / 2 % 4);
    let came = format!("m{}", number / 8 % 3);
    let (method, path, body): (_, String, Option<Value>) = match number % 8 {
        0 => (
            Method::POST,
            "/memory-devices".into(),
            Some(json!({"kind": "dimm", "id": id, "size": 256 * MIB})),
        ),
        1 => (Method::DELETE, format!("/memory-devices/{id}"), None),
        2 => (Method::PUT, "/vm.resize".into(), Some(json!({"desired_vcpus": 2 + number / 8 % 3}))),
        3 => (
            Method::PATCH,
            "/memory-devices/vmem0".into(),
            Some(json!({"requested_size": number as u64 % 5 * GIB})),
        ),
        4 => (Method::GET, "/memory-devices/vmem0/requests".into(), None),
        5 => (
            Method::POST,
            "/memory-devices".into(),
            Some(json!({"kind": "virtio-mem", "id": came, "requested_size": number as u64 % 3 * 256 * MIB})),
        ),
        6 if number % 16 < 8 => {
            (Method::PATCH, format!("/memory-devices/{came}"), Some(json!({"requested_size": 0})))
        }
        6 => (Method::DELETE, format!("/memory-devices/{came}"), None),
        _ => (Method::GET, "/metrics".into(), None),
    };
    let answer = vm.rest.ask(method, &path, body.as_ref())?;
    assert!(answer.status < 500, "{path}: {} {}", answer.status, answer.body);
    Ok(())
}

/// The machine's books agree, and its process has no more memory than was granted.
fn check(vm: &TestVm) -> Outcome {
    let audit = vm.rest.audit()?;
    assert_eq!(audit.problems, Vec::<String>::new());
    let info = vm.rest.tell(Method::GET, "/vm.info", None)?;
    assert_eq!(info["state"], "running", "{info}");
    // What is plugged may change between two looks.
    let before = plugged(vm)?;
    let resident = vm.resident()?;
    let granted = RAM + before.max(plugged(vm)?);
    assert!(resident <= granted + OWN, "{} MiB are resident, of {}", resident / MIB, granted / MIB);
    Ok(())
}

/// Bytes that memory devices have plugged.
fn plugged(vm: &TestVm) -> Result<u64, Box<dyn Error>> {
    let all = vm.rest.tell(Method::GET, "/memory-devices", None)?;
    let sizes = all.as_array().into_iter().flatten().filter_map(|device| device["plugged_size"].as_u64());
    Ok(sizes.sum())
}
