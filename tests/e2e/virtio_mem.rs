//! virtio-mem devices: sizes, order, and requests that come before the driver.

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::json;

use crate::layouts::assert_layout;
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("virtio_mem":
    sizes_up_and_down,
    a_shrink_takes_movable_blocks_from_the_top,
    a_request_may_come_before_the_driver,
    unplugged_memory_is_back_at_the_host,
    a_part_of_a_block,
);

fn setup(kernel: &Kernel) -> Setup<'_> {
    Setup::new(kernel).arguments(promised::MACHINE)
}

/// `MemTotal` of the guest in MiB.
fn total(vm: &mut TestVm) -> Result<u64, Box<dyn std::error::Error>> {
    Ok(vm.settled()?.mem_total_kb.ok_or("no MemTotal")? / 1024)
}

fn sizes_up_and_down(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).arguments("--memory-hotplug method=virtio-mem,id=m,size=16G").boot()?;
    let empty = total(&mut vm)?;
    for size in [2, 8, 4, 16, 0] {
        let device = vm.rest.resize("m", size * GIB)?;
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
    let mut vm = setup(kernel).arguments("--memory-hotplug method=virtio-mem,size=32G").boot()?;
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
    let mut vm = setup(kernel).arguments("--memory-hotplug method=virtio-mem,size=4G").boot()?;
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
