//! ACPI memory devices: added, ejected from either side, refused, several at once.

use dimmer_images::Kernel;
use dimmer_lab::vm::TestVm;
use dimmer_lab::{expect, promised};
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::standard::with_dimms;
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("dimm":
    the_same_slot_again,
    a_refused_eject_leaves_everything_online,
    the_guest_ejects_by_itself,
    several_at_once,
    ejected_memory_is_back_at_the_host,
);

/// One DIMM of 1 GiB beside boot RAM.
pub const ONE_DIMM: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-55 Movable";

/// The `_OST` pairs (source, status) that the guest reported, in order.
fn reports(events: &[Value]) -> Vec<(u64, u64)> {
    let reports = events.iter().filter(|event| event["event"] == "ost");
    reports
        .map(|event| (event["source"].as_u64().unwrap_or(0), event["status"].as_u64().unwrap_or(0)))
        .collect()
}

/// The same of one DIMM, which may be gone, from its log, with those of the container that answer for it.
pub fn reports_of(vm: &TestVm, id: &str) -> Result<Vec<(u64, u64)>, Box<dyn std::error::Error>> {
    let pair =
        |report: &Value| (report["source"].as_u64().unwrap_or(0), report["status"].as_u64().unwrap_or(0));
    Ok(vm.rest.ost(id)?.iter().map(pair).collect())
}

/// Fails unless these are the reports of one DIMM. The last report of an ejection comes when the device is
/// gone already, so it is waited for.
pub fn assert_reported(vm: &TestVm, id: &str, expected: &[(u64, u64)]) -> Outcome {
    wait_until(&format!("{} reports about {id}", expected.len()), || {
        Ok(expected.is_empty() || reports_of(vm, id)?.len() >= expected.len())
    })?;
    assert_eq!(reports_of(vm, id)?, expected, "{id}");
    Ok(())
}

fn the_same_slot_again(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    for round in ["first", "second", "third"] {
        let device = vm.rest.add_dimm(round, GIB)?;
        assert_eq!(device["slot"], 0);
        assert_layout(&mut vm, ONE_DIMM)?;
        let answer = vm.rest.remove_dimm(round)?;
        assert_eq!((answer.status, &answer.body["last"]["outcome"]), (200, &json!("done")));
        assert_layout(&mut vm, promised::BOOT)?;
        assert_eq!(vm.rest.ask(Method::GET, &format!("/memory-devices/{round}"), None)?.status, 404);
        // Adding reports (1,0); ejecting (3,0x84), and (3,0) once the device is gone.
        assert_reported(&vm, round, &[(1, 0), (3, 0x84), (3, 0)])?;
    }
    Ok(())
}

fn a_refused_eject_leaves_everything_online(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.guest().load_module("memory-notifier-error-inject")?;
    let inject = "/sys/kernel/debug/notifier-error-inject/memory/actions/MEM_GOING_OFFLINE/error";
    vm.shell(&format!("echo -16 > {inject}"))?;
    let answer = vm.rest.remove_dimm("d0")?;
    assert_eq!(answer.status, 409, "{}", answer.body);
    let reason = answer.body["detail"].as_str().unwrap_or_default();
    assert!(reason.contains("offline"), "the reason is not said: {}", answer.body);
    assert_layout(&mut vm, ONE_DIMM)?;
    let device = vm.rest.device("d0")?;
    assert_eq!(device["state"], "plugged");
    assert_eq!(device["last"]["outcome"], "refused");
    assert_eq!(reports(&vm.rest.events()?), [(1, 0), (3, 0x84), (3, 0x82)]);

    vm.shell(&format!("echo 0 > {inject}"))?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut vm, promised::BOOT)
}

fn the_guest_ejects_by_itself(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.add_dimm("d1", GIB)?;
    vm.guest().eject(0)?;
    assert_layout(&mut vm, "0 none, 1-15 DMA32, 32-47 Normal, 56-63 Movable")?;
    let devices = vm.rest.tell(Method::GET, "/memory-devices", None)?;
    let ids: Vec<_> = devices.as_array().into_iter().flatten().map(|device| &device["id"]).collect();
    assert_eq!(ids, ["d1"]);
    assert_reported(&vm, "d0", &[(1, 0), (3, 0x84), (0x103, 0)])?;
    assert_reported(&vm, "d1", &[(1, 0)])?;
    // The slot and its addresses are free again.
    let device = vm.rest.add_dimm("d2", GIB)?;
    assert_eq!((&device["slot"], &device["ranges"][0]["start"]), (&json!(0), &json!(6 * GIB)));
    Ok(())
}

fn several_at_once(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    for id in ["a", "b", "c", "d"] {
        let body = json!({"id": id, "kind": "dimm", "size": GIB});
        assert_eq!(vm.rest.ask(Method::POST, "/memory-devices", Some(&body))?.status, 202);
    }
    // Asked to go while it may still be coming.
    let removed = vm.rest.remove_dimm("b")?;
    assert_eq!(removed.status, 200, "{}", removed.body);
    for id in ["a", "c"] {
        assert_eq!(vm.rest.ask(Method::DELETE, &format!("/memory-devices/{id}"), None)?.status, 202);
    }
    assert_eq!(vm.rest.remove_dimm("d")?.status, 200, "requests are answered in order");
    assert_layout(&mut vm, promised::BOOT)?;
    let devices = vm.rest.tell(Method::GET, "/memory-devices", None)?;
    assert_eq!(devices, json!([]));
    Ok(())
}

fn ejected_memory_is_back_at_the_host(kernel: &Kernel) -> Outcome {
    let mut vm = with_dimms(kernel)?;
    vm.rest.add_dimm("d0", GIB)?;
    let layout = vm.settled()?;
    assert_eq!(expect::differences(ONE_DIMM, &layout)?, Vec::<String>::new());
    // The allocator takes movable memory first, and there is no other than the DIMM's.
    vm.shell("dd if=/dev/zero of=/tmp/fill bs=1M count=384 && rm /tmp/fill")?;
    let before = vm.resident()?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    let after = vm.resident()?;
    assert!(before >= after + 256 * MIB, "resident: {before} bytes before the eject, {after} after");
    Ok(())
}
