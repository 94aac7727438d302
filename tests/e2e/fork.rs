//! Machines that are forked: what a child has of its parent, that neither sees what the other does, and what no child can be.

use std::error::Error;
use std::fs;

use dimmer::ctl::client::Method;
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::snapshot::{MOVABLE, assert_at_work, place, restore, setup, start_work};
use crate::{GIB, MIB, Outcome};

crate::tests!("fork":
    a_child_of_a_guest_at_work,
    children_of_children_keep_apart,
    children_of_one_that_stands_still_are_alike,
    a_hundred_children,
    a_child_outlives_its_parent,
    a_request_under_way_goes_on_in_both,
    a_child_has_a_snapshot,
    memory_of_other_kinds,
    memory_that_is_the_childs_own_from_the_start,
    what_no_child_can_be,
    the_guest_is_told,
);

const PLUGGED: &str = "0 none, 1-3 DMA32, 32-39 Movable, 64-71 Movable";

fn a_child_of_a_guest_at_work(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", GIB)?;
    start_work(&mut vm)?;
    let mut child = vm.fork()?;
    assert_layout(&mut child, PLUGGED)?;
    assert_at_work(&mut child)?;
    assert_at_work(&mut vm)?;
    // Each has its memory devices for itself.
    assert_eq!(child.rest.remove_dimm("d0")?.status, 200);
    child.rest.resize("vmem0", 2 * GIB)?;
    assert_layout(&mut child, "0 none, 1-3 DMA32, 64-79 Movable")?;
    assert_layout(&mut vm, PLUGGED)?;
    assert_at_work(&mut child)?;
    assert_at_work(&mut vm)?;
    let ids =
        [&vm, &child].map(|vm| vm.rest.tell(Method::GET, "/vm.info", None).unwrap_or_default()["id"].clone());
    assert_eq!(ids, [Value::Null, json!("child")]);
    Ok(())
}

/// What a machine's guest has written, with which it is told from the others. No more than that: each page of 4 KiB that the
/// host has to copy takes an emulated host a millisecond.
fn name(vm: &mut TestVm, name: &str) -> Outcome {
    vm.shell(&format!("dd if=/dev/zero bs=64k count=2 2> /dev/null | tr '\\0' {name} > /tmp/name"))
        .map(drop)?;
    Ok(())
}

fn assert_name(vm: &mut TestVm, name: &str) -> Outcome {
    assert_eq!(vm.shell(&format!("tr -d {name} < /tmp/name | wc -c; wc -c < /tmp/name"))?, "0\n131072\n");
    Ok(())
}

fn children_of_children_keep_apart(kernel: &Kernel) -> Outcome {
    let mut machines = vec![setup(kernel).forked()?];
    name(&mut machines[0], "a")?;
    for letter in ["b", "c", "d"] {
        let parent = machines.last_mut().ok_or("a machine")?;
        let before = ["a", "b", "c"].into_iter().rfind(|before| *before < letter).ok_or("a letter")?;
        let mut child = parent.fork()?;
        assert_name(&mut child, before)?;
        name(&mut child, letter)?;
        machines.push(child);
    }
    for (vm, letter) in machines.iter_mut().zip(["a", "b", "c", "d"]) {
        assert_name(vm, letter)?;
    }
    Ok(())
}

/// One image serves them all; and what changes of the machine ends that.
fn children_of_one_that_stands_still_are_alike(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).forked()?;
    name(&mut vm, "a")?;
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    for _ in 0..3 {
        let mut child = vm.fork()?;
        assert_name(&mut child, "a")?;
        name(&mut child, "b")?;
    }
    assert_eq!(vm.rest.tell(Method::GET, "/vm.info", None)?["state"], "paused");
    vm.rest.tell(Method::PATCH, "/memory-devices/vmem0", Some(&json!({"requested_size": GIB})))?;
    let mut child = vm.fork()?;
    wait_until("1 GiB", || Ok(child.rest.device("vmem0")?["plugged_size"] == GIB))?;
    assert_layout(&mut child, "0 none, 1-3 DMA32, 64-71 Movable")?;
    assert_eq!(vm.rest.device("vmem0")?["plugged_size"], 0);
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    name(&mut vm, "c")?;
    assert_name(&mut vm.fork()?, "c")
}

/// All of them live beside each other, and each has memory of its own. Those whose turn it is not stand still: a hundred idle
/// guests keep an emulated host busy.
fn a_hundred_children(kernel: &Kernel) -> Outcome {
    let arguments = "--memory size=256M --memory-hotplug method=virtio-mem,size=1G";
    let mut vm = Setup::new(kernel).cmdline(MOVABLE).arguments(arguments).boot()?;
    vm.shell("echo parent > /tmp/who")?;
    vm.rest.tell(Method::PUT, "/vm.pause", None)?;
    // Some of them write, and some of these have more memory than the others.
    let (writes, grows) =
        (|number: usize| number.is_multiple_of(4), |number: usize| number.is_multiple_of(12));
    let mut children = Vec::new();
    for number in 0..100 {
        let mut child = vm.fork()?;
        if writes(number) {
            assert_eq!(child.shell(&format!("cat /tmp/who; echo {number} > /tmp/who"))?, "parent\n");
        }
        if grows(number) {
            child.rest.resize("vmem0", 128 * MIB)?;
        }
        child.rest.tell(Method::PUT, "/vm.pause", None)?;
        children.push(child);
    }
    for (number, mut child) in children.into_iter().enumerate() {
        child.rest.tell(Method::PUT, "/vm.resume", None)?;
        if number % 4 < 2 {
            let who = if writes(number) { number.to_string() } else { "parent".to_owned() };
            assert_eq!(child.shell("cat /tmp/who")?, format!("{who}\n"));
        }
        let size = if grows(number) { 128 * MIB } else { 0 };
        assert_eq!(child.rest.device("vmem0")?["plugged_size"], size);
    }
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    assert_eq!(vm.shell("cat /tmp/who")?, "parent\n");
    assert_layout(&mut vm, "0 none, 1 DMA32")
}

fn a_child_outlives_its_parent(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).forked()?;
    vm.rest.add_dimm("d0", GIB)?;
    name(&mut vm, "a")?;
    let (mut killed, mut ended) = (vm.fork()?, vm.fork()?);
    drop(vm);
    assert_name(&mut killed, "a")?;
    let mut grandchild = killed.fork()?;
    drop(killed);
    assert_name(&mut grandchild, "a")?;
    assert_eq!(grandchild.rest.remove_dimm("d0")?.status, 200);
    ended.guest().reboot()?;
    ended.wait_for_resets(1)?;
    ended.connect()?;
    assert_layout(&mut ended, "0 none, 1-3 DMA32, 32-39 Movable")
}

fn a_request_under_way_goes_on_in_both(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).forked()?;
    vm.rest.set_faults(
        &json!([{"device": "vmem0", "on": "plug", "do": "delay", "nth": 2, "milliseconds": 3000}]),
    )?;
    vm.rest.tell(Method::PATCH, "/memory-devices/vmem0", Some(&json!({"requested_size": GIB})))?;
    wait_until("the second request", || Ok(vm.rest.fault_occasions()? == [2]))?;
    let mut child = vm.fork()?;
    for vm in [&mut child, &mut vm] {
        wait_until("1 GiB", || Ok(vm.rest.device("vmem0")?["plugged_size"] == GIB))?;
        assert_layout(vm, "0 none, 1-3 DMA32, 64-71 Movable")?;
    }
    Ok(())
}

fn a_child_has_a_snapshot(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let mut vm = setup(kernel).forked()?;
    name(&mut vm, "a")?;
    let child = vm.fork()?;
    child.snapshot(&place)?;
    drop((vm, child));
    assert_name(&mut restore(&place, "--restore-memory map")?, "a")
}

/// Where memory cannot be shared, a child has read it into memory of the same kind.
fn memory_of_other_kinds(kernel: &Kernel) -> Outcome {
    for backing in ["backing=memfd", "backing=file,path=/tmp", "prealloc=on"] {
        let arguments = format!("--memory size=256M,{backing} --memory-hotplug method=virtio-mem,size=1G");
        let mut vm = Setup::new(kernel).arguments(&arguments).boot()?;
        name(&mut vm, "a")?;
        let mut child = vm.fork()?;
        name(&mut vm, "b")?;
        assert_name(&mut child, "a")?;
        child.rest.resize("vmem0", 256 * MIB)?;
        name(&mut child, "c")?;
        assert_name(&mut vm, "b")?;
    }
    Ok(())
}

fn memory_that_is_the_childs_own_from_the_start(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).forked()?;
    vm.rest.add_dimm("d0", GIB)?;
    name(&mut vm, "a")?;
    let (lies_over_it, mut child) = (vm.fork()?, vm.copy()?);
    let own = |vm: &TestVm| -> Result<u64, Box<dyn Error>> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", vm.pid()))?;
        let kib = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix("kB"));
        Ok(kib.ok_or("no Anonymous")?.trim().parse::<u64>()? * 1024)
    };
    assert!(own(&child)? > own(&lies_over_it)? + 48 * MIB, "{} bytes are its own", own(&child)?);
    name(&mut vm, "b")?;
    assert_name(&mut child, "a")?;
    name(&mut child, "c")?;
    assert_name(&mut vm, "b")?;
    assert_eq!(child.rest.remove_dimm("d0")?.status, 200);
    assert_layout(&mut child, "0 none, 1-3 DMA32")?;
    assert_layout(&mut vm, "0 none, 1-3 DMA32, 32-39 Movable")
}

fn what_no_child_can_be(kernel: &Kernel) -> Outcome {
    let (dir, _) = place()?;
    let mut vm = setup(kernel).forked()?;
    let fork = |vm: &TestVm, change: Value| -> Result<(u16, String), Box<dyn Error>> {
        let path = |name: &str| dir.path().join(name);
        let mut body =
            json!({"id": "c", "api_socket": path("api"), "agent_socket": path("agent"), "attached": true});
        for (key, value) in change.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let answer = vm.rest.ask(Method::POST, "/vm.fork", Some(&body))?;
        Ok((answer.status, answer.body["detail"].as_str().unwrap_or_default().to_owned()))
    };
    for (change, status, why) in [
        (json!({"id": "a b"}), 422, "id"),
        (json!({"api_socket": "here"}), 422, "must begin with /"),
        (json!({"agent_socket": null}), 422, "agent_socket: this machine has a port for it"),
        (json!({"serial": "stdio"}), 422, "a child has no terminal"),
        (json!({"serial": "nowhere"}), 422, "must be stdio, null, file=PATH or socket=PATH"),
        // The child says it, and its parent hands it on.
        (json!({"api_socket": vm.api_socket()}), 500, "--api-socket"),
        (json!({"agent_socket": dir.path().join("no/where")}), 500, "--agent-socket"),
    ] {
        let (seen, detail) = fork(&vm, change)?;
        assert!(seen == status && detail.contains(why), "{status} {why}: {seen} {detail}");
    }
    vm.shell("true")?;
    vm.rest.tell(Method::PUT, "/vm.resume", None)?;
    let own = dir.path().join("dimmer-backing");
    let file = Setup::new(kernel)
        .arguments(&format!("--memory size=256M,backing=file,path={}", own.display()))
        .start()?;
    let (status, detail) = fork(&file, json!({}))?;
    assert!(status == 409 && detail.contains("which no other one can have"), "{status} {detail}");
    Ok(())
}

/// Kernels with a driver for the generation ID (Debian's 6.1 for clouds has none) take new random numbers.
fn the_guest_is_told(kernel: &Kernel) -> Outcome {
    const SAID: &str = "crng reseeded due to virtual machine fork";
    let mut vm = setup(kernel).boot()?;
    let mut child = vm.fork()?;
    let id =
        |vm: &TestVm| vm.rest.tell(Method::GET, "/vm.info", None).map(|info| info["generation_id"].clone());
    assert_ne!(id(&vm)?, id(&child)?);
    let said = |vm: &mut TestVm| -> Result<bool, Box<dyn Error>> { Ok(vm.shell("dmesg")?.contains(SAID)) };
    if kernel.name.starts_with("6.12") {
        wait_until(SAID, || said(&mut child))?;
    }
    assert!(!said(&mut vm)?, "the parent goes on as it was");
    Ok(())
}
