//! ACPI memory devices and everything that can go wrong between guest and machine: what the guest then
//! does, and that machine and guest can go on.

use std::error::Error;

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::TestVm;
use serde_json::{Value, json};

use crate::dimm::{ONE_DIMM, assert_reported, reports_of};
use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::standard::with_dimms;
use crate::virtio_mem::assert_said;
use crate::{GIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("dimm_faults":
    a_status_cleared_late,
    a_refused_eject_after_the_guest_let_go,
    a_delayed_eject,
    a_lost_interrupt,
    an_empty_crs,
    a_surprise_removal,
);

/// A machine in which one thing goes wrong with "d0", which is plugged.
fn boot(kernel: &Kernel, mut fault: Value) -> Result<TestVm, Box<dyn Error>> {
    let vm = with_dimms(kernel)?;
    fault["device"] = json!("d0");
    vm.rest.set_faults(&json!([fault]))?;
    Ok(vm)
}

/// What remains of an ejection after which Linux found `_STA` set: 6.12 takes a new device in the slot
/// for the old one, until it has ejected that, too; 6.1 has forgotten the old one.
fn assert_slot_needs_another_eject(kernel: &Kernel, vm: &mut TestVm) -> Outcome {
    assert_said(vm, "Eject incomplete - status 0xf")?;
    let device = vm.rest.add_dimm("again", GIB)?;
    assert_eq!((&device["slot"], &device["state"]), (&json!(0), &json!("plugged")));
    assert_reported(vm, "again", &[(1, 0)])?;
    assert_layout(vm, if kernel.name.starts_with("6.12") { promised::BOOT } else { ONE_DIMM })?;
    assert_eq!(vm.rest.remove_dimm("again")?.status, 200);
    assert_layout(vm, promised::BOOT)?;
    vm.rest.add_dimm("third", GIB)?;
    assert_layout(vm, ONE_DIMM)
}

fn a_status_cleared_late(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, json!({"on": "eject", "do": "late-status"}))?;
    vm.rest.add_dimm("d0", GIB)?;
    assert_layout(&mut vm, ONE_DIMM)?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)?;
    wait_until("the ejection is reported", || Ok(reports_of(&vm, "d0")?.last() == Some(&(3, 0))))?;
    assert_slot_needs_another_eject(kernel, &mut vm)
}

/// The memory is gone from the guest, and the device is still in its slot.
fn a_refused_eject_after_the_guest_let_go(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, json!({"on": "eject", "do": "refuse"}))?;
    vm.rest.add_dimm("d0", GIB)?;
    let answer = vm.rest.remove_dimm("d0")?;
    assert_eq!(answer.status, 409, "{}", answer.body);
    let device = vm.rest.device("d0")?;
    assert_eq!((&device["state"], &device["plugged_size"]), (&json!("idle"), &json!(0)));
    assert!(device["last"]["reason"].to_string().contains("refused to eject"), "{device}");
    assert_layout(&mut vm, promised::BOOT)?;
    wait_until("the ejection is reported", || Ok(reports_of(&vm, "d0")?.last() == Some(&(3, 0))))?;
    assert_eq!(vm.rest.device("d0")?["last"]["outcome"], "refused", "success was said, but is not so");
    assert_said(&mut vm, "Eject incomplete - status 0xf")?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    vm.rest.add_dimm("d1", GIB)?;
    assert_layout(&mut vm, ONE_DIMM)
}

fn a_delayed_eject(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, json!({"on": "eject", "do": "delay", "milliseconds": 15_000}))?;
    vm.rest.add_dimm("d0", GIB)?;
    assert_eq!(vm.rest.ask(Method::DELETE, "/memory-devices/d0", None)?.status, 202);
    wait_until("the guest has let go", || Ok(reports_of(&vm, "d0")?.last() == Some(&(3, 0))))?;
    let device = vm.rest.device("d0")?;
    assert_eq!((&device["state"], &device["plugged_size"]), (&json!("unplugging"), &json!(GIB)));
    wait_until("the machine has let go", || {
        Ok(vm.rest.ask(Method::GET, "/memory-devices/d0", None)?.status == 404)
    })?;
    assert_layout(&mut vm, promised::BOOT)?;
    assert_slot_needs_another_eject(kernel, &mut vm)
}

fn a_lost_interrupt(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, json!({"on": "interrupt", "do": "lose"}))?;
    let body = json!({"id": "d0", "kind": "dimm", "size": GIB});
    assert_eq!(vm.rest.ask(Method::POST, "/memory-devices?wait=3", Some(&body))?.status, 504);
    assert_layout(&mut vm, promised::BOOT)?;
    assert_reported(&vm, "d0", &[])?;
    // The next interrupt brings what was missed.
    vm.rest.add_dimm("d1", GIB)?;
    assert_eq!(vm.rest.device("d0")?["state"], "plugged");
    assert_layout(&mut vm, &format!("{}, 48-63 Movable", promised::BOOT))
}

fn an_empty_crs(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, json!({"on": "resources", "do": "empty"}))?;
    let device = vm.rest.add_dimm("d0", GIB)?;
    assert_eq!((&device["state"], &device["last"]["outcome"]), (&json!("plugged"), &json!("done")));
    assert_reported(&vm, "d0", &[(1, 0)])?;
    assert_layout(&mut vm, promised::BOOT)?;
    assert_said(&mut vm, "device is empty")?;
    assert_said(&mut vm, "acpi_memory_enable_device() error")?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    vm.rest.add_dimm("d1", GIB)?;
    assert_layout(&mut vm, ONE_DIMM)
}

/// Linux stops at a BUG and handles no notification any more. The machine's books stay right, and a
/// reset mends everything.
fn a_surprise_removal(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, json!({"on": "remove", "do": "surprise"}))?;
    // As kernel memory, which the guest fills from the bottom, the new blocks stay unused.
    vm.shell("echo 0 > /sys/module/memory_hotplug/parameters/auto_movable_ratio")?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.add_dimm("d1", GIB)?;
    assert_layout(&mut vm, &format!("{}, 48-63 Normal", promised::BOOT))?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200, "the machine asks nobody");
    assert_eq!(vm.rest.ask(Method::GET, "/memory-devices/d0", None)?.status, 404);
    let seen = std::cell::RefCell::new(&mut vm);
    wait_until("the guest's kernel stops at a BUG", || {
        let log = seen.borrow_mut().guest().kernel_log(0)?;
        Ok(log.records.iter().any(|record| record.text.contains("kernel BUG at mm/memory_hotplug.c")))
    })?;
    assert!(vm.rest.audit()?.ok);
    // Whatever is asked now stays in progress: neither the old slot nor another is answered.
    assert_eq!(vm.rest.ask(Method::DELETE, "/memory-devices/d1?wait=5", None)?.status, 504);
    let body = json!({"id": "d2", "kind": "dimm", "size": GIB});
    assert_eq!(vm.rest.ask(Method::POST, "/memory-devices?wait=5", Some(&body))?.status, 504);
    assert_eq!((reports_of(&vm, "d0")?, reports_of(&vm, "d1")?), (vec![(1, 0)], vec![(1, 0)]));
    assert!(vm.rest.audit()?.ok);

    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.rebooted()?;
    wait_until("the new guest has d2", || Ok(vm.rest.device("d2")?["state"] == "plugged"))?;
    assert_layout(&mut vm, &format!("{}, 48-63 Movable", promised::BOOT))
}
