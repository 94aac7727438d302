//! What a guest does when its requests are not answered as hoped, or the machine's do not reach it.

use std::time::{Duration, Instant};

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::TestVm;
use serde_json::json;

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::standard::with_virtio_mem;
use crate::virtio_mem::{ask, assert_said, block_by_block, requests, set_faults, total, wait_for_requests};
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("virtio_mem_faults":
    a_nack_is_tried_again_at_once,
    a_busy_plug_waits_for_another_request,
    a_busy_unplug_gives_nothing_up,
    a_host_that_cannot_is_busy,
    an_error_breaks_the_device,
    an_error_at_first_is_mended_by_a_new_driver,
    a_late_answer_holds_the_driver_but_not_the_guest,
    a_size_that_changes_before_a_plug,
    a_lost_interrupt_leaves_the_guest_unaware,
);

const ONE_GIB: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-55 Movable";

/// Whether the change to `size` is still in progress after a few seconds.
fn stays_in_progress(vm: &TestVm, size: u64) -> Result<bool, Box<dyn std::error::Error>> {
    let body = json!({"requested_size": size});
    Ok(vm.rest.ask(Method::PATCH, "/memory-devices/vmem0?wait=5", Some(&body))?.status == 504)
}

fn a_nack_is_tried_again_at_once(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "plug", "do": "nack", "times": 3})])?;
    ask(&vm, GIB)?;
    wait_until("1 GiB", || Ok(vm.rest.device("vmem0")?["state"] == "plugged"))?;
    assert_layout(&mut vm, ONE_GIB)?;
    let mut expected = vec!["plug 0+128 nack".to_owned(); 3];
    expected.extend(block_by_block("plug", 0..8, "ack"));
    assert_eq!(requests(&vm)?, expected);
    Ok(())
}

/// By itself the driver would try again after 50 seconds.
fn a_busy_plug_waits_for_another_request(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "plug", "do": "busy", "nth": 3})])?;
    ask(&vm, GIB)?;
    wait_for_requests(&vm, 3)?;
    let device = vm.rest.device("vmem0")?;
    assert_eq!((&device["state"], &device["plugged_size"]), (&json!("plugging"), &json!(256 * MIB)));
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)?;
    let mut expected = block_by_block("plug", 0..2, "ack");
    expected.push("plug 256+128 busy".to_owned());
    expected.extend(block_by_block("plug", 2..8, "ack"));
    assert_eq!(requests(&vm)?, expected);
    Ok(())
}

/// The guest uses the memory again that it could not give back.
fn a_busy_unplug_gives_nothing_up(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    vm.rest.resize("vmem0", GIB)?;
    let before = total(&mut vm)?;
    set_faults(&vm, &[json!({"on": "unplug", "do": "busy"})])?;
    ask(&vm, GIB / 2)?;
    wait_for_requests(&vm, 9)?;
    assert_eq!(vm.rest.device("vmem0")?["plugged_size"], GIB);
    assert_eq!(total(&mut vm)?, before);
    assert_layout(&mut vm, ONE_GIB)?;
    vm.rest.resize("vmem0", GIB / 2)?;
    assert_layout(&mut vm, &format!("{}, 48-51 Movable", promised::BOOT))?;
    let mut expected = vec!["unplug 896+128 busy".to_owned()];
    expected.extend(block_by_block("unplug", 4..8, "ack").into_iter().rev());
    assert_eq!(requests(&vm)?[8..], expected);
    Ok(())
}

/// Whatever the host fails at, nothing is half done, and the next try succeeds.
fn a_host_that_cannot_is_busy(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    for on in ["map", "slot"] {
        set_faults(&vm, &[json!({"on": on, "do": "fail", "nth": 3})])?;
        let before = requests(&vm)?.len();
        ask(&vm, GIB)?;
        wait_for_requests(&vm, before + 3)?;
        assert_layout(&mut vm, &format!("{}, 48-49 Movable", promised::BOOT))?;
        assert_eq!(requests(&vm)?[before..], ["plug 0+128 ack", "plug 128+128 ack", "plug 256+128 busy"]);
        assert!(vm.rest.audit()?.ok);
        vm.rest.resize("vmem0", GIB)?;
        assert_layout(&mut vm, ONE_GIB)?;
        vm.rest.resize("vmem0", 0)?;
    }
    for on in ["discard", "slot"] {
        vm.rest.resize("vmem0", GIB)?;
        set_faults(&vm, &[json!({"on": on, "do": "fail"})])?;
        let before = requests(&vm)?.len();
        ask(&vm, 0)?;
        wait_for_requests(&vm, before + 1)?;
        assert_layout(&mut vm, ONE_GIB)?;
        assert_eq!(requests(&vm)?[before..], ["unplug 896+128 busy"]);
        assert!(vm.rest.audit()?.ok);
        vm.rest.resize("vmem0", 0)?;
        assert_layout(&mut vm, promised::BOOT)?;
    }
    Ok(())
}

/// With memory in use, the device cannot even have a new driver.
fn an_error_breaks_the_device(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "plug", "do": "error", "nth": 3})])?;
    ask(&vm, GIB)?;
    wait_for_requests(&vm, 3)?;
    let two_blocks = format!("{}, 48-49 Movable", promised::BOOT);
    assert_layout(&mut vm, &two_blocks)?;
    assert_said(&mut vm, "unknown error, marking device broken: -22")?;
    assert!(stays_in_progress(&vm, 2 * GIB)?);
    assert_eq!(requests(&vm)?.len(), 3);
    let driver = "/sys/bus/virtio/drivers/virtio_mem";
    vm.shell(&format!("cd {driver}; d=$(echo virtio*); echo $d > unbind; ! echo $d > bind"))?;
    assert_said(&mut vm, "could not reserve device region")?;
    assert_layout(&mut vm, &two_blocks)?;
    assert_eq!(vm.rest.device("vmem0")?["plugged_size"], 256 * MIB);
    // A new guest has no past.
    vm.guest().reboot()?;
    vm.wait_for_resets(1)?;
    vm.connect()?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)
}

fn an_error_at_first_is_mended_by_a_new_driver(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "plug", "do": "error"})])?;
    ask(&vm, GIB)?;
    wait_for_requests(&vm, 1)?;
    assert_layout(&mut vm, promised::BOOT)?;
    assert!(stays_in_progress(&vm, GIB)?);
    let driver = "/sys/bus/virtio/drivers/virtio_mem";
    vm.shell(&format!("cd {driver}; d=$(echo virtio*); echo $d > unbind; echo $d > bind"))?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)?;
    let mut expected = vec!["plug 0+128 error".to_owned()];
    expected.extend(block_by_block("plug", 0..8, "ack"));
    assert_eq!(requests(&vm)?, expected);
    Ok(())
}

fn a_late_answer_holds_the_driver_but_not_the_guest(kernel: &Kernel) -> Outcome {
    const DELAY: Duration = Duration::from_secs(30);
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "plug", "do": "delay", "nth": 2, "milliseconds": 30_000})])?;
    let asked = Instant::now();
    ask(&vm, GIB)?;
    wait_until("a request is held", || {
        Ok(vm.rest.tell(Method::GET, "/faults", None)?["faults"][0]["acted"] == 1)
    })?;
    vm.shell("true")?;
    assert_eq!(requests(&vm)?, ["plug 0+128 ack"], "the second has no answer yet");
    vm.rest.resize("vmem0", GIB)?;
    assert!(asked.elapsed() >= DELAY, "done after {:?}", asked.elapsed());
    assert_layout(&mut vm, ONE_GIB)?;
    assert_eq!(requests(&vm)?, block_by_block("plug", 0..8, "ack"));
    Ok(())
}

/// Between its look at the size and its third PLUG, the size becomes what is plugged.
fn a_size_that_changes_before_a_plug(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "plug", "do": "request", "nth": 3, "size": 256 * MIB})])?;
    ask(&vm, GIB)?;
    wait_for_requests(&vm, 3)?;
    assert_layout(&mut vm, &format!("{}, 48-49 Movable", promised::BOOT))?;
    let device = vm.rest.device("vmem0")?;
    assert_eq!(
        (&device["requested_size"], &device["plugged_size"], &device["state"]),
        (&json!(256 * MIB), &json!(256 * MIB), &json!("plugged"))
    );
    assert_eq!(requests(&vm)?, ["plug 0+128 ack", "plug 128+128 ack", "plug 256+128 nack"]);
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)
}

fn a_lost_interrupt_leaves_the_guest_unaware(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "interrupt", "do": "lose"})])?;
    assert!(stays_in_progress(&vm, GIB)?);
    assert_layout(&mut vm, promised::BOOT)?;
    assert_eq!(requests(&vm)?, Vec::<String>::new());
    // Asked again, it does all that it missed.
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)
}
