//! The REST API and `dimmer ctl` on a machine that runs.

use std::process::Output;

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{self, Setup, TestVm};
use serde_json::{Value, json};

use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("api": events_are_in_order, resizing_as_other_monitors_do, the_ctl_command);

fn events_are_in_order(kernel: &Kernel) -> Outcome {
    let vm = Setup::new(kernel).arguments("--memory-hotplug method=acpi,slots=2,size=2G").boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    let expected =
        ["booting", "accepted", "ost", "finished", "accepted", "ost", "finished", "removed", "ost"];
    // The guest reports on an ejection after it has ejected.
    wait_until("the last report", || Ok(vm.rest.events()?.len() >= expected.len()))?;
    let events = vm.rest.events()?;
    let numbers: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap_or(0)).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "numbers have no gaps");
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap_or("")).collect();
    assert_eq!(names, expected, "{events:?}");
    assert_eq!(events[3]["device"]["last"]["outcome"], "done");
    assert_eq!(events[3]["device"]["plugged_size"], GIB);
    Ok(())
}

/// `vm.resize` and `vm.resize-zone` mean what they mean in cloud-hypervisor.
fn resizing_as_other_monitors_do(kernel: &Kernel) -> Outcome {
    let arguments = "--memory size=2G --memory-hotplug method=virtio-mem,id=zone,size=8G";
    let vm = Setup::new(kernel).arguments(arguments).boot()?;
    let steps = [
        ("/vm.resize", json!({"desired_ram": 3 * GIB}), GIB),
        ("/vm.resize-zone", json!({"id": "zone", "desired_ram": 2 * GIB}), 2 * GIB),
        ("/vm.resize", json!({"desired_ram": 2 * GIB}), 0),
    ];
    for (path, body, plugged) in steps {
        let answer = vm.rest.ask(Method::PUT, path, Some(&body))?;
        assert_eq!(answer.status, 204, "{path}: {}", answer.body);
        assert_eq!(vm.rest.resize("zone", plugged)?["plugged_size"], plugged);
    }
    let info = vm.rest.tell(Method::GET, "/vm.info", None)?;
    assert_eq!(info["memory_actual_size"], 2 * GIB);
    let refused = vm.rest.ask(Method::PUT, "/vm.resize", Some(&json!({"desired_ram": GIB})))?;
    assert_eq!(refused.status, 422, "{}", refused.body);
    Ok(())
}

fn ctl(vm: &TestVm, words: &str) -> Result<Output, Box<dyn std::error::Error>> {
    let mut command = vm::dimmer();
    command.arg("ctl").arg("--api-socket").arg(vm.api_socket()).args(words.split_whitespace());
    Ok(command.output()?)
}

fn the_ctl_command(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=acpi,slots=2,size=2G --memory-hotplug method=virtio-mem,size=4G";
    let mut vm = Setup::new(kernel).arguments(promised::MACHINE).arguments(arguments).boot()?;
    for (words, status) in [
        ("ping", 0),
        ("dimm add --id d0 --size 1G --wait 120", 0),
        ("resize --id vmem0 1G --wait 120", 0),
        ("resize 7G --wait 120", 0),
        ("dimm add --id d1 --size 4G", 2),
        ("resize --id vmem0 5G", 2),
        ("dimm remove d7", 2),
        ("dimm remove vmem0", 1),
        ("resize", 2),
        ("dimm add --id d1 --ranges 128M~128M+256M --descending --wait 120", 0),
        ("dimm add --id d2 --ranges 128M+1M", 2),
        ("dimm add --id d2 --size 128M", 1),
        ("faults set device=vmem0,on=plug,do=nack,nth=9 device=d1,on=eject,do=refuse", 0),
        ("faults set device=vmem0,on=plug,do=fail", 2),
        ("faults", 0),
        ("info", 0),
        ("faults clear", 0),
        ("ost d1", 0),
        ("ost d2", 2),
        ("ost vmem0", 1),
        ("requests vmem0", 0),
        ("requests d1", 1),
        ("audit", 0),
    ] {
        let output = ctl(&vm, words)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{words}: {said}");
        assert!(status == 0 || !said.is_empty(), "{words}: no word on what is wrong");
    }
    let devices: Value = serde_json::from_slice(&ctl(&vm, "--json devices")?.stdout)?;
    let sizes: Vec<_> =
        devices.as_array().into_iter().flatten().map(|device| &device["plugged_size"]).collect();
    assert_eq!(sizes, [&json!(GIB), &json!(384 * MIB), &json!(2 * GIB)]);
    assert_eq!(ctl(&vm, "power-button")?.status.code(), Some(0));
    assert_eq!(vm.wait()?.code(), Some(0));
    assert_eq!(ctl(&vm, "ping")?.status.code(), Some(2), "nobody is there any more");
    Ok(())
}
