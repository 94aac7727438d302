//! virtio-mem's driver comes and goes: taken from the device, unloaded, restarted with the guest.

use dimmer_images::Kernel;
use dimmer_lab::promised;
use serde_json::json;

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::standard::with_virtio_mem;
use crate::virtio_mem::{ask, assert_said, block_by_block, requests, set_faults, wait_for_requests};
use crate::{GIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("virtio_mem_driver":
    a_size_asked_for_while_no_driver_is_there,
    a_driver_that_goes_leaves_the_memory,
    the_module_can_be_loaded_anew,
    a_guest_that_starts_again_gets_its_memory_again,
    a_reset_forgets_a_held_request,
    what_a_reset_could_not_take_back_is_unplugged_first,
);

const ONE_GIB: &str = "0 none, 1-15 DMA32, 32-47 Normal, 48-55 Movable";
const UNLOAD: &str = "rmmod virtio_mem";
const LOAD: &str = "insmod /lib/modules/virtio_mem.ko";

fn a_size_asked_for_while_no_driver_is_there(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    let driver = "/sys/bus/virtio/drivers/virtio_mem";
    let device = vm.shell(&format!("cd {driver}; echo virtio*"))?;
    vm.shell(&format!("echo {} > {driver}/unbind", device.trim()))?;
    ask(&vm, GIB)?;
    assert_layout(&mut vm, promised::BOOT)?;
    vm.shell(&format!("echo {} > {driver}/bind", device.trim()))?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)?;
    assert_eq!(requests(&vm)?, block_by_block("plug", 0..8, "ack"));
    Ok(())
}

/// Linux keeps the memory in use, and has no driver for the device any more until it starts again.
fn a_driver_that_goes_leaves_the_memory(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)?;
    vm.shell(UNLOAD)?;
    assert_said(&mut vm, "device still has system memory added")?;
    assert_eq!(vm.rest.device("vmem0")?["plugged_size"], GIB);
    vm.shell("dd if=/dev/zero of=/tmp/fill bs=1M count=384 && rm /tmp/fill")?;
    vm.shell(LOAD)?;
    assert_said(&mut vm, "could not reserve device region")?;
    assert_layout(&mut vm, ONE_GIB)?;
    assert_eq!(requests(&vm)?, block_by_block("plug", 0..8, "ack"), "nothing was unplugged");
    Ok(())
}

fn the_module_can_be_loaded_anew(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    vm.rest.resize("vmem0", GIB)?;
    vm.rest.resize("vmem0", 0)?;
    assert_layout(&mut vm, promised::BOOT)?;
    vm.shell(&format!("{UNLOAD} && {LOAD} force_bbm=1 bbm_block_size=268435456"))?;
    let before = requests(&vm)?.len();
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)?;
    let expected = ["plug 0+256 ack", "plug 256+256 ack", "plug 512+256 ack", "plug 768+256 ack"];
    assert_eq!(requests(&vm)?[before..], expected, "units of the module's parameter");
    Ok(())
}

/// The machine has unplugged all, so the new guest has nothing to unplug before it plugs.
fn a_guest_that_starts_again_gets_its_memory_again(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    vm.rest.resize("vmem0", GIB)?;
    for (resets, by_guest) in [(1, true), (2, false)] {
        match by_guest {
            true => vm.guest().reboot()?,
            false => drop(vm.rest.tell(Method::PUT, "/vm.reboot", None)?),
        }
        vm.wait_for_resets(resets)?;
        vm.connect()?;
        vm.rest.resize("vmem0", GIB)?;
        assert_layout(&mut vm, ONE_GIB)?;
    }
    let once = block_by_block("plug", 0..8, "ack");
    assert_eq!(requests(&vm)?, [once.clone(), once.clone(), once].concat());
    Ok(())
}

fn a_reset_forgets_a_held_request(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    set_faults(&vm, &[json!({"on": "plug", "do": "delay", "milliseconds": 3_600_000})])?;
    ask(&vm, GIB)?;
    wait_until("a request is held", || {
        Ok(vm.rest.tell(Method::GET, "/faults", None)?["faults"][0]["acted"] == 1)
    })?;
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.wait_for_resets(1)?;
    vm.connect()?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, ONE_GIB)?;
    let mut expected = vec!["plug 0+128 none".to_owned()];
    expected.extend(block_by_block("plug", 0..8, "ack"));
    assert_eq!(requests(&vm)?, expected);
    Ok(())
}

/// A host that cannot take memory back leaves it plugged, and the next guest sees that.
fn what_a_reset_could_not_take_back_is_unplugged_first(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    vm.rest.resize("vmem0", GIB)?;
    set_faults(&vm, &[json!({"on": "slot", "do": "fail"})])?;
    vm.rest.tell(Method::PUT, "/vm.reboot", None)?;
    vm.wait_for_resets(1)?;
    vm.connect()?;
    wait_for_requests(&vm, 9)?;
    vm.rest.resize("vmem0", GIB)?;
    assert_said(&mut vm, "unplugging all memory is required")?;
    assert_layout(&mut vm, ONE_GIB)?;
    assert_eq!(requests(&vm)?[8], "unplug-all ack");
    assert_eq!(requests(&vm)?[9..], block_by_block("plug", 0..8, "ack"));
    Ok(())
}
