//! virtio-mem devices: sizes, order, and requests that come before the driver.

use std::error::Error;

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::{Value, json};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::standard::with_virtio_mem;
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("virtio_mem":
    sizes_up_and_down,
    a_shrink_takes_movable_blocks_from_the_top,
    kernel_blocks_go_last,
    a_small_guest_grows_really_big,
    a_request_may_come_before_the_driver,
    unplugged_memory_is_back_at_the_host,
    a_part_of_a_block,
    a_partial_kernel_block_goes_first,
);

pub fn setup(kernel: &Kernel) -> Setup<'_> {
    Setup::new(kernel).arguments(promised::MACHINE)
}

/// `MemTotal` of the guest in MiB.
pub fn total(vm: &mut TestVm) -> Result<u64, Box<dyn Error>> {
    Ok(vm.settled()?.mem_total_kb.ok_or("no MemTotal")? / 1024)
}

/// Asks for a size and does not wait until the guest has it.
pub fn ask(vm: &TestVm, size: u64) -> Outcome {
    let body = json!({"requested_size": size});
    assert_eq!(vm.rest.ask(Method::PATCH, "/memory-devices/vmem0", Some(&body))?.status, 202);
    Ok(())
}

/// Sets faults on `vmem0`.
pub fn set_faults(vm: &TestVm, faults: &[Value]) -> Outcome {
    let mut faults = faults.to_vec();
    faults.iter_mut().for_each(|fault| fault["device"] = json!("vmem0"));
    Ok(vm.rest.set_faults(&json!(faults))?)
}

/// What the driver of `vmem0` asked for and was answered, oldest first: kind, offset in the region
/// and size in MiB, answer, such as `plug 128+128 ack`.
pub fn requests(vm: &TestVm) -> Result<Vec<String>, Box<dyn Error>> {
    let start = vm.rest.device("vmem0")?["ranges"][0]["start"].as_u64().ok_or("a region has a start")?;
    let line = |record: &Value| {
        let number = |field: &str| record["range"][field].as_u64();
        let range = number("start").zip(number("size"));
        let range = range.map(|(at, size)| format!(" {}+{}", (at - start) / MIB, size / MIB));
        let word = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        format!("{}{} {}", word("request"), range.unwrap_or_default(), word("response"))
    };
    Ok(vm.rest.requests("vmem0")?.iter().map(line).collect())
}

/// `what 0+128 answer`, `what 128+128 answer`, … for memory blocks `first..end` of the region.
pub fn block_by_block(what: &str, blocks: std::ops::Range<u64>, answer: &str) -> Vec<String> {
    blocks.map(|block| format!("{what} {}+128 {answer}", block * 128)).collect()
}

/// Waits until the driver has made `count` requests and been answered.
pub fn wait_for_requests(vm: &TestVm, count: usize) -> Outcome {
    wait_until(&format!("{count} requests"), || Ok(requests(vm)?.len() >= count))
}

/// Fails unless the guest's kernel said `text`.
pub fn assert_said(vm: &mut TestVm, text: &str) -> Outcome {
    let log = vm.guest().kernel_log(0)?;
    let said = log.records.iter().any(|record| record.text.contains(text));
    assert!(said, "the guest's kernel did not say {text:?}");
    Ok(())
}

fn sizes_up_and_down(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    let empty = total(&mut vm)?;
    for size in [2, 8, 4, 16, 0] {
        let device = vm.rest.resize("vmem0", size * GIB)?;
        assert_eq!(
            (&device["plugged_size"], &device["last"]["outcome"]),
            (&json!(size * GIB), &json!("done"))
        );
        assert_eq!(total(&mut vm)?, empty + size * 1024, "MemTotal with {size} GiB plugged");
    }
    assert_layout(&mut vm, promised::BOOT)
}

/// 16 GiB have 120 movable and 8 kernel blocks; for 14 GiB, 16 movable ones go, the highest.
fn a_shrink_takes_movable_blocks_from_the_top(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    vm.rest.resize("vmem0", 16 * GIB)?;
    vm.rest.resize("vmem0", 14 * GIB)?;
    assert_layout(
        &mut vm,
        "0 none, 1-15 DMA32, 32-47 Normal, 48-143 Movable, 144 Normal, 145-147 Movable, 148 Normal, \
         149-151 Movable, 152 Normal, 153-154 Movable, 156 Normal, 160 Normal, 164 Normal, 168 Normal, 172 Normal",
    )?;
    vm.rest.resize("vmem0", 16 * GIB)?;
    assert_layout(&mut vm, promised::GROWN_16G)
}

/// 16 GiB have 120 movable blocks, and kernel blocks at 144, 148 … 172, which stay as long as
/// there is a movable one.
fn kernel_blocks_go_last(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    let boot = promised::BOOT;
    let all =
        "144 Normal, 148 Normal, 152 Normal, 156 Normal, 160 Normal, 164 Normal, 168 Normal, 172 Normal";
    for (size, expected) in [
        (16 * GIB, promised::GROWN_16G.to_owned()),
        (4 * GIB, promised::SHRUNK_4G.to_owned()),
        (GIB, format!("{boot}, {all}")),
        (GIB / 2, format!("{boot}, 144 Normal, 148 Normal, 152 Normal, 156 Normal")),
        (16 * GIB, promised::GROWN_16G.to_owned()),
        (0, boot.to_owned()),
    ] {
        vm.rest.resize("vmem0", size)?;
        assert_layout(&mut vm, &expected)?;
    }
    Ok(())
}

/// 256 MiB of boot RAM let six blocks be movable. Then one block of four is a kernel block, and it
/// is these that memory is added with for ever.
fn a_small_guest_grows_really_big(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--memory size=256M --memory-hotplug method=virtio-mem,size=8G")
        .boot()?;
    let boot = "0 none, 1 DMA32";
    let normal = "38 Normal, 42 Normal, 46 Normal, 50 Normal, 54 Normal, 58 Normal, 62 Normal";
    let movable = "32-37 Movable, 39-41 Movable, 43-45 Movable, 47-49 Movable, 51-53 Movable, 55-57 Movable, \
        59-61 Movable, 63 Movable";
    for (size, movable) in
        [(4, movable), (2, "32-37 Movable, 39-41 Movable"), (1, "32 Movable"), (4, movable)]
    {
        vm.rest.resize("vmem0", size * GIB)?;
        assert_layout(&mut vm, &format!("{boot}, {normal}, {movable}"))?;
    }
    Ok(())
}

fn a_request_may_come_before_the_driver(kernel: &Kernel) -> Outcome {
    let arguments = "--memory-hotplug method=virtio-mem,id=a,size=4G,requested=1G \
        --memory-hotplug method=virtio-mem,id=b,size=4G";
    let mut vm = setup(kernel).arguments(arguments).start()?;
    let body = json!({"requested_size": 2 * GIB});
    let answer = vm.rest.ask(Method::PATCH, "/memory-devices/b", Some(&body))?;
    assert_eq!((answer.status, &answer.body["state"]), (202, &json!("plugging")));
    vm.connect()?;
    for (id, size) in [("a", GIB), ("b", 2 * GIB)] {
        // Asking again for the same is no change; its end is the end of what is under way.
        assert_eq!(vm.rest.resize(id, size)?["plugged_size"], size);
    }
    assert_layout(&mut vm, "0 none, 1-15 DMA32, 32-47 Normal, 48-55 Movable, 80-95 Movable")
}

fn unplugged_memory_is_back_at_the_host(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).arguments("--memory-hotplug method=virtio-mem,size=4G").boot()?;
    vm.rest.resize("vmem0", GIB)?;
    vm.settled()?;
    vm.shell("dd if=/dev/zero of=/tmp/fill bs=1M count=384 && rm /tmp/fill")?;
    let before = vm.resident()?;
    vm.rest.resize("vmem0", 0)?;
    let after = vm.resident()?;
    assert!(before >= after + 256 * MIB, "resident: {before} bytes before the shrink, {after} after");
    Ok(())
}

/// 100 MiB are 50 sub-blocks of block 48; the block is online as a whole, the rest is not used.
fn a_part_of_a_block(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    let empty = total(&mut vm)?;
    for (size, blocks) in
        [(100, "48 Movable"), (200, "48-49 Movable"), (150, "48-49 Movable"), (60, "48 Movable")]
    {
        vm.rest.resize("vmem0", size * MIB)?;
        assert_layout(&mut vm, &format!("{}, {blocks}", promised::BOOT))?;
        assert_eq!(total(&mut vm)?, empty + size, "MemTotal with {size} MiB plugged");
    }
    Ok(())
}

/// With 12 GiB and a half of block 144, which is a kernel block, a shrink takes that half before
/// any movable block, and then a half of block 143.
fn a_partial_kernel_block_goes_first(kernel: &Kernel) -> Outcome {
    let mut vm = with_virtio_mem(kernel)?;
    let empty = total(&mut vm)?;
    vm.rest.resize("vmem0", 12 * GIB + 64 * MIB)?;
    assert_layout(&mut vm, &format!("{}, 144 Normal", promised::GROWN_12G))?;
    assert_eq!(requests(&vm)?.last().map(String::as_str), Some("plug 12288+64 ack"));
    vm.rest.resize("vmem0", 12 * GIB - 64 * MIB)?;
    assert_layout(&mut vm, promised::GROWN_12G)?;
    assert_eq!(total(&mut vm)?, empty + 12 * 1024 - 64);
    let shrink: Vec<_> = requests(&vm)?.into_iter().filter(|line| line.starts_with("unplug")).collect();
    // Of online blocks the driver gives one sub-block after the other
    // (`virtio_mem_sbm_unplug_any_sb_online`).
    let expected: Vec<_> = (12224..12352).step_by(2).rev().map(|at| format!("unplug {at}+2 ack")).collect();
    assert_eq!(shrink, expected);
    Ok(())
}
