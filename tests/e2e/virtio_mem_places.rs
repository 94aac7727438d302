//! virtio-mem devices that come to places while the guest runs, and go.

use std::error::Error;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::{GIB, Outcome};

crate::tests!("virtio_mem_places":
    devices_come_and_go,
    what_is_plugged_does_not_go,
    they_go_on_in_copies_and_behind_a_reset,
);

/// Two places, of 8 and of 4 GiB; the first begins with block 48.
fn with_places(kernel: &Kernel) -> Result<TestVm, Box<dyn Error>> {
    let places = "--memory-hotplug method=virtio-mem,size=8G,present=off,id=large \
        --memory-hotplug method=virtio-mem,size=4G,present=off,id=small";
    Ok(Setup::new(kernel).arguments(promised::MACHINE).arguments(places).boot()?)
}

/// Puts a device into a place and waits until its driver runs.
fn add(vm: &TestVm, id: &str, more: &Value) -> Result<Value, Box<dyn Error>> {
    let mut body = more.clone();
    (body["id"], body["kind"]) = (json!(id), json!("virtio-mem"));
    Ok(vm.rest.tell(Method::POST, "/memory-devices?wait=60", Some(&body))?)
}

/// Asks the guest to let one go, has it let go, and waits until it is gone.
fn remove(vm: &mut TestVm, id: &str) -> Outcome {
    let path = format!("/memory-devices/{id}");
    assert_eq!(vm.rest.ask(Method::DELETE, &path, None)?.status, 202);
    assert_eq!(vm.rest.device(id)?["state"], "unplugging", "the driver still has it");
    let unbound = vm.unbind_absent()?;
    assert_eq!(unbound.len(), 1, "{unbound:?}");
    assert_eq!(vm.rest.ask(Method::GET, &path, None)?.status, 404);
    Ok(())
}

/// How many virtio-mem devices the guest's driver has.
fn bound(vm: &mut TestVm) -> Result<String, Box<dyn Error>> {
    let count = "ls -d /sys/bus/virtio/drivers/virtio_mem/virtio* 2>/dev/null | wc -l";
    Ok(vm.shell(count)?.trim().to_owned())
}

/// The devices of the places.
fn places(vm: &TestVm) -> Result<Value, Box<dyn Error>> {
    let info = vm.rest.tell(Method::GET, "/vm.info", None)?;
    let places = info["places"].as_array().ok_or("places")?.iter();
    Ok(places.map(|place| place["device"].clone()).collect())
}

/// Grows a device that is at the first place by 1 GiB and shrinks it again.
fn works(vm: &mut TestVm, id: &str) -> Outcome {
    vm.rest.resize(id, GIB)?;
    assert_layout(vm, &format!("{}, 48-55 Movable", promised::BOOT))?;
    vm.rest.resize(id, 0)?;
    assert_layout(vm, promised::BOOT)
}

fn devices_come_and_go(kernel: &Kernel) -> Outcome {
    let mut vm = with_places(kernel)?;
    assert_eq!(
        (vm.rest.tell(Method::GET, "/memory-devices", None)?, bound(&mut vm)?),
        (json!([]), "0".to_owned())
    );
    for id in ["a", "b", "c"] {
        let device = add(&vm, id, &json!({}))?;
        assert_eq!((&device["ranges"][0]["size"], &device["state"]), (&json!(8 * GIB), &json!("idle")));
        assert_eq!((bound(&mut vm)?, places(&vm)?), ("1".to_owned(), json!([id, null])));
        works(&mut vm, id)?;
        remove(&mut vm, id)?;
        assert_eq!((bound(&mut vm)?, places(&vm)?), ("0".to_owned(), json!([null, null])));
    }
    // Both places at once, one of them with memory from the beginning.
    add(&vm, "d", &json!({"size": 2 * GIB}))?;
    let device = add(&vm, "e", &json!({"requested_size": GIB}))?;
    assert_eq!((&device["plugged_size"], &device["ranges"][0]["size"]), (&json!(GIB), &json!(4 * GIB)));
    assert_layout(&mut vm, &format!("{}, 112-119 Movable", promised::BOOT))?;
    works_beside(&mut vm)
}

/// The first device goes while the other has memory.
fn works_beside(vm: &mut TestVm) -> Outcome {
    remove(vm, "d")?;
    assert_eq!(bound(vm)?, "1");
    let log = vm.guest().kernel_log(0)?;
    let complaint = log.records.iter().find(|record| record.text.contains("cut here"));
    assert!(complaint.is_none(), "{complaint:?}");
    let full = vm.rest.ask(
        Method::POST,
        "/memory-devices",
        Some(&json!({"id": "f", "kind": "virtio-mem", "size": 9 * GIB})),
    )?;
    assert_eq!(
        (full.status, &full.body["detail"]),
        (
            409,
            &json!(
                "no place is free for 9 GiB; there are large (8 GiB, node 0, free), small (4 GiB, node 0, taken by e)"
            )
        )
    );
    Ok(())
}

fn what_is_plugged_does_not_go(kernel: &Kernel) -> Outcome {
    let mut vm = with_places(kernel)?;
    add(&vm, "a", &json!({"requested_size": GIB}))?;
    let refused = vm.rest.ask(Method::DELETE, "/memory-devices/a", None)?;
    assert_eq!(refused.status, 409, "{}", refused.body);
    let detail = refused.body["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("a: it has 1 GiB plugged, and 1 GiB requested"), "{detail}");
    assert_layout(&mut vm, &format!("{}, 48-55 Movable", promised::BOOT))?;
    vm.rest.resize("a", 0)?;
    // A guest whose user unbound the driver before lets go at once.
    vm.shell("cd /sys/bus/virtio/drivers/virtio_mem && echo virtio* > unbind")?;
    assert_eq!(vm.rest.ask(Method::DELETE, "/memory-devices/a?wait=60", None)?.status, 200);
    assert_eq!(places(&vm)?, json!([null, null]));
    Ok(())
}

fn they_go_on_in_copies_and_behind_a_reset(kernel: &Kernel) -> Outcome {
    let mut vm = with_places(kernel)?;
    add(&vm, "a", &json!({}))?;
    let directory = tempfile::tempdir()?;
    vm.snapshot(directory.path())?;
    let mut restored = TestVm::restore(directory.path(), "")?;
    restored.connect()?;
    for mut copy in [vm.fork()?, restored] {
        assert_eq!((bound(&mut copy)?, places(&copy)?), ("1".to_owned(), json!(["a", null])));
        works(&mut copy, "a")?;
        remove(&mut copy, "a")?;
        add(&copy, "b", &json!({}))?;
        works(&mut copy, "b")?;
    }
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.rebooted()?;
    assert_eq!(bound(&mut vm)?, "1", "it boots with the machine");
    works(&mut vm, "a")?;
    remove(&mut vm, "a")?;
    add(&vm, "b", &json!({}))?;
    works(&mut vm, "b")
}
