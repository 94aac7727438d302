//! How a guest comes to know of ACPI memory devices: one by one, by a bus check of their container, or
//! because they are there when it starts.

use std::error::Error;

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::dimm::{ONE_DIMM, assert_reported};
use crate::layouts::assert_layout;
use crate::standard::with_dimms;
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("dimm_announced":
    a_bus_check_brings_all_that_wait,
    no_slot_comes_by_accident,
    unseen_devices_go_without_the_guest,
    devices_at_boot_are_found_by_the_scan,
    a_reboot_finds_the_devices_again,
);

fn layout(blocks: &str) -> String {
    format!("{}, {blocks}", promised::BOOT)
}

/// Adds a device of 1 GiB that the guest is not told of.
fn add_unseen(vm: &TestVm, id: &str) -> Outcome {
    let body = json!({"id": id, "kind": "dimm", "size": GIB, "notify": "none"});
    let device = vm.rest.tell(Method::POST, "/memory-devices", Some(&body))?;
    assert_eq!((&device["state"], &device["plugged_size"]), (&json!("plugging"), &json!(0)));
    Ok(())
}

/// Adds a device of 1 GiB and has the guest check the container; waits for its answer.
fn add_with_bus_check(vm: &TestVm, id: &str) -> Result<Value, Box<dyn Error>> {
    Ok(vm.rest.add_dimm_with(json!({"id": id, "size": GIB, "notify": "bus-check"}))?)
}

fn a_bus_check_brings_all_that_wait(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    for id in ["a", "b", "c"] {
        add_unseen(&vm, id)?;
    }
    assert_layout(&mut vm, promised::BOOT)?;
    let device = add_with_bus_check(&vm, "d")?;
    assert_eq!((&device["state"], &device["slot"]), (&json!("plugged"), &json!(3)));
    assert_layout(&mut vm, &layout("48-79 Movable"))?;
    for id in ["a", "b", "c", "d"] {
        assert_eq!(vm.rest.device(id)?["state"], "plugged");
        let reports = vm.rest.ost(id)?;
        assert_eq!((reports.len(), &reports[0]["slot"]), (1, &Value::Null), "{id}: {reports:?}");
        assert_eq!(reports[0]["meaning"], "bus check: success");
    }
    // They were attached from the lowest slot on.
    let nodes = vm.shell("ls -d /sys/bus/acpi/devices/PNP0C80:*/physical_node | wc -l")?;
    assert_eq!(nodes.trim(), "4");
    // Each can go alone, and another bus check brings back what is missing.
    assert_eq!(vm.rest.remove_dimm("b")?.status, 200);
    assert_layout(&mut vm, &layout("48-55 Movable, 64-79 Movable"))?;
    add_with_bus_check(&vm, "again")?;
    assert_layout(&mut vm, &layout("48-79 Movable"))
}

/// Told of one device, Linux 6.12 looks at everything below its parent, and attaches what it finds
/// there; 6.1 looks at the device alone. Here both leave the other slots alone: one with a device that
/// Linux could not attach at first, but could now, and one with a device that it was not told of.
fn no_slot_comes_by_accident(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.rest.set_faults(&json!([{"device": "failed", "on": "resources", "do": "empty"}]))?;
    vm.rest.add_dimm("failed", GIB)?;
    add_unseen(&vm, "unseen")?;
    vm.rest.add_dimm("told", GIB)?;
    assert_layout(&mut vm, &layout("64-71 Movable"))?;
    assert_eq!(vm.rest.device("unseen")?["state"], "plugging");
    // A bus check is about all of them.
    add_with_bus_check(&vm, "last")?;
    assert_layout(&mut vm, &layout("48-79 Movable"))
}

fn unseen_devices_go_without_the_guest(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    add_unseen(&vm, "a")?;
    assert_eq!(vm.rest.remove_dimm("a")?.status, 200);
    assert_eq!(vm.rest.tell(Method::GET, "/memory-devices", None)?, json!([]));
    add_with_bus_check(&vm, "b")?;
    assert_layout(&mut vm, ONE_DIMM)?;
    assert_reported(&vm, "b", &[(0, 0)])?;
    Ok(())
}

/// They are no part of the firmware's memory map: each memory block belongs to an ACPI device.
fn devices_at_boot_are_found_by_the_scan(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments(promised::MACHINE)
        .arguments("--memory-hotplug method=acpi,slots=4,size=8G")
        .arguments("--dimm id=d0,size=1G --dimm id=d1,ranges=128M~128M+256M")
        .boot()?;
    assert_layout(&mut vm, &layout("48-56 Movable, 58-59 Movable"))?;
    let nodes = vm.shell("ls -d /sys/bus/acpi/devices/PNP0C80:0[01]/physical_node* | wc -l")?;
    assert_eq!(nodes.trim(), "11");
    for (id, size) in [("d0", GIB), ("d1", 384 * MIB)] {
        let device = vm.rest.device(id)?;
        assert_eq!((&device["state"], &device["plugged_size"]), (&json!("plugged"), &json!(size)));
        assert_eq!(device["last"], Value::Null, "nobody asked for anything");
        assert_reported(&vm, id, &[])?;
    }
    vm.rest.add_dimm("d2", GIB)?;
    assert_layout(&mut vm, &layout("48-56 Movable, 58-59 Movable, 64-71 Movable"))?;
    for id in ["d0", "d1"] {
        assert_eq!(vm.rest.remove_dimm(id)?.status, 200);
        assert_reported(&vm, id, &[(3, 0x84), (3, 0)])?;
    }
    assert_layout(&mut vm, &layout("64-71 Movable"))
}

fn a_reboot_finds_the_devices_again(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.rest.add_dimm("plugged", GIB)?;
    add_unseen(&vm, "unseen")?;
    vm.guest().reboot()?;
    vm.rebooted()?;
    assert_layout(&mut vm, ONE_DIMM)?;
    assert_eq!(vm.rest.device("unseen")?["state"], "plugging");
    add_with_bus_check(&vm, "last")?;
    assert_layout(&mut vm, &layout("48-71 Movable"))
}
