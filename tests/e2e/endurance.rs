//! Machines that go through a great deal: thousands of changes in one process, which needs no more for it than before, and ends at any
//! moment, of which nothing is left.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use dimmer::ctl::client::Method;
use dimmer_images::{HOSTILE, Kernel};
use dimmer_lab::rest::Rest;
use dimmer_lab::vm::{self, Setup, TestVm};
use serde_json::json;

use crate::bare;
use crate::patience::wait_until;
use crate::{MIB, Outcome};

crate::tests!("endurance":
    a_thousand_changes,
    a_hundred_thousand_changes,
    killed_at_any_moment,
    killed_at_a_thousand_moments,
);

/// A guest that sleeps for ever.
const ASLEEP: &[u8] = &[
    0xf4, // hlt
    0xeb, 0xfd, // jmp to it
];
/// Changes before the first look: lists of what was have their full length by then.
const BEFORE: usize = 3000;
/// Resident memory may grow by so much: what the allocator keeps differs from time to time.
const SLACK: u64 = 2 * MIB;

fn a_thousand_changes(kernel: &Kernel) -> Outcome {
    changed(kernel, 1000)
}

fn a_hundred_thousand_changes(kernel: &Kernel) -> Outcome {
    changed(kernel, 100_000)
}

/// What a process has.
#[derive(Debug, Clone, Copy)]
struct Has {
    threads: usize,
    descriptors: usize,
    resident: u64,
}

impl Has {
    fn of(vm: &TestVm) -> Result<Self, Box<dyn Error>> {
        let count =
            |what: &str| Ok::<_, std::io::Error>(fs::read_dir(format!("/proc/{}/{what}", vm.pid()))?.count());
        Ok(Self { threads: count("task")?, descriptors: count("fd")?, resident: vm.resident()? })
    }
}

/// DIMMs come and go so many times; each hundredth time the machine is reset.
fn changed(kernel: &Kernel, changes: usize) -> Outcome {
    let dir = tempfile::tempdir()?;
    let image = dir.path().join("guest");
    fs::write(&image, bare::elf(ASLEEP))?;
    let arguments = "--memory size=256M --memory-hotplug method=acpi,slots=4,size=4G";
    let vm = Setup::new(kernel).image(&image).arguments(arguments).start()?;
    let mut done = 0;
    let mut go_on = |until: usize| -> Outcome {
        while done < until {
            change(&vm, done)?;
            done += 2;
        }
        Ok(())
    };
    go_on(BEFORE)?;
    let before = Has::of(&vm)?;
    go_on(BEFORE + changes)?;
    let after = Has::of(&vm)?;
    assert_eq!(
        (after.threads, after.descriptors),
        (before.threads, before.descriptors),
        "{before:?} {after:?}"
    );
    assert!(after.resident <= before.resident + SLACK, "{before:?} {after:?}");
    Ok(())
}

/// A DIMM of which the guest is not told comes, and goes at once.
fn change(vm: &TestVm, number: usize) -> Outcome {
    let id = format!("d{}", number % 8);
    let body = json!({"kind": "dimm", "id": id, "size": 128 * MIB, "notify": "none"});
    vm.rest.tell(Method::POST, "/memory-devices", Some(&body))?;
    vm.rest.tell(Method::DELETE, &format!("/memory-devices/{id}"), None)?;
    if number.is_multiple_of(100) {
        vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    }
    Ok(())
}

fn killed_at_any_moment(_: &Kernel) -> Outcome {
    killed(20)
}

fn killed_at_a_thousand_moments(_: &Kernel) -> Outcome {
    killed(1000)
}

/// A busy machine is killed so many times, each time a little later in its life, and the next one takes its sockets over.
fn killed(times: u64) -> Outcome {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("guest"), HOSTILE)?;
    for time in 0..times {
        let mut machine = busy(dir.path())?;
        // Not to wait for something: this is the moment.
        sleep(Duration::from_millis(time * 1200 / times));
        let others = children(machine.id());
        machine.kill()?;
        machine.wait()?;
        wait_until("the end of its other process", || {
            Ok(others.iter().all(|pid| !fs::exists(format!("/proc/{pid}")).unwrap_or(true)))
        })?;
    }
    let mut last = busy(dir.path())?;
    let rest = Rest::new(&dir.path().join("api"))?;
    wait_until("an answer of the last machine", || Ok(rest.tell(Method::GET, "/vm.info", None).is_ok()))?;
    last.kill()?;
    last.wait()?;
    Ok(())
}

/// A machine whose guest misuses its devices, with a socket of each kind in `dir`.
fn busy(dir: &Path) -> Result<Child, Box<dyn Error>> {
    let path = |name: &str| dir.join(name).display().to_string();
    let vsock = format!("cid=3,path={}", path("vsock"));
    let mut command = vm::dimmer();
    command.args([
        "run",
        "--kernel",
        &path("guest"),
        "--cmdline",
        "rounds=100000 window=4294967296",
        "--cpus",
        "2",
    ]);
    command.args(["--memory", "size=256M", "--memory-hotplug", "method=acpi,slots=4,size=4G"]);
    command.args(["--memory-hotplug", "method=virtio-mem,size=4G,requested=1G", "--serial", "null"]);
    command.args(["--api-socket", &path("api"), "--agent-socket", &path("agent"), "--qmp", &path("qmp")]);
    command.args(["--vsock", &vsock]).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command.stderr(fs::File::create(dir.join("log"))?).spawn()?)
}

/// The processes that this one has started.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
