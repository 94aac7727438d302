//! virtio-mem devices of all shapes: small and large device blocks, large regions, several nodes,
//! and a guest that does not online what it gets.

use dimmer_agent::blocks::BlockList;
use dimmer_agent::protocol::Parameter;
use dimmer_images::Kernel;
use dimmer_lab::vm::{Setup, TestVm};
use dimmer_lab::{expect, promised};
use serde_json::json;

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::virtio_mem::{ask, requests, setup, total};
use crate::{GIB, MIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("virtio_mem_units":
    units_of_256_mib,
    units_of_512_mib,
    units_of_1_gib,
    units_of_2_gib,
    units_of_4_gib,
    blocks_of_1_mib,
    a_region_of_512_gib,
    memory_blocks_of_2_gib,
    devices_on_nodes,
    what_is_not_onlined_stops_at_1_gib,
    what_is_not_onlined_stops_at_two_units,
);

fn boot(kernel: &Kernel, block: &str) -> Result<TestVm, Box<dyn std::error::Error>> {
    let arguments = format!("--memory-hotplug method=virtio-mem,size=64G,block={block}");
    Ok(setup(kernel).arguments(&arguments).boot()?)
}

/// Device blocks larger than memory blocks are units, each movable or not as a whole.
fn assert_units(kernel: &Kernel, block: &str, steps: &[(u64, &str)]) -> Outcome {
    let mut vm = boot(kernel, block)?;
    for (size, expected) in steps {
        vm.rest.resize("vmem0", size * GIB)?;
        assert_layout(&mut vm, &format!("{}, {expected}", promised::BOOT))?;
    }
    let log = requests(&vm)?;
    assert!(log.iter().all(|line| line.ends_with(" ack")), "{log:?}");
    vm.rest.resize("vmem0", 0)?;
    assert_layout(&mut vm, promised::BOOT)
}

fn units_of_256_mib(kernel: &Kernel) -> Outcome {
    let grown = "48-143 Movable, 144-145 Normal, 146-151 Movable, 152-153 Normal, 154-159 Movable";
    let shrunk = "48-139 Movable, 144-145 Normal, 152-153 Normal";
    assert_units(kernel, "256M", &[(14, grown), (12, shrunk), (14, grown)])
}

fn units_of_512_mib(kernel: &Kernel) -> Outcome {
    assert_units(kernel, "512M", &[(14, "48-143 Movable, 144-147 Normal, 148-159 Movable")])
}

fn units_of_1_gib(kernel: &Kernel) -> Outcome {
    let shrunk = "48-143 Movable, 144-151 Normal";
    assert_units(
        kernel,
        "1G",
        &[(16, "48-143 Movable, 144-151 Normal, 152-175 Movable"), (13, shrunk), (1, "144-151 Normal")],
    )
}

fn units_of_2_gib(kernel: &Kernel) -> Outcome {
    assert_units(kernel, "2G", &[(20, "48-143 Movable, 144-159 Normal, 160-207 Movable")])
}

/// The region starts at 8 GiB.
fn units_of_4_gib(kernel: &Kernel) -> Outcome {
    assert_units(
        kernel,
        "4G",
        &[(20, "64-159 Movable, 160-191 Normal, 192-223 Movable"), (4, "160-191 Normal")],
    )
}

/// Linux takes two blocks at a time, since it works with huge pages, and leaves one that is left
/// over alone.
fn blocks_of_1_mib(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, "1M")?;
    let empty = total(&mut vm)?;
    vm.rest.resize("vmem0", 100 * MIB)?;
    assert_layout(&mut vm, &format!("{}, 48 Movable", promised::BOOT))?;
    assert_eq!(total(&mut vm)?, empty + 100);
    let body = json!({"requested_size": 101 * MIB});
    let answer = vm.rest.ask(Method::PATCH, "/memory-devices/vmem0?wait=5", Some(&body))?;
    assert_eq!(answer.status, 504, "{}", answer.body);
    vm.rest.resize("vmem0", 102 * MIB)?;
    vm.rest.resize("vmem0", 36 * MIB)?;
    assert_layout(&mut vm, &format!("{}, 48 Movable", promised::BOOT))?;
    assert_eq!(total(&mut vm)?, empty + 36);
    let log = requests(&vm)?;
    assert_eq!(log[..2], ["plug 0+100 ack", "plug 100+2 ack"]);
    assert!(log.iter().all(|line| line.ends_with(" ack")), "{log:?}");
    Ok(())
}

fn a_region_of_512_gib(kernel: &Kernel) -> Outcome {
    let mut vm = setup(kernel).arguments("--memory-hotplug method=virtio-mem,size=512G").boot()?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, &format!("{}, 48-55 Movable", promised::BOOT))
}

/// Boot RAM that ends at 64 GiB makes memory blocks of 2 GiB. Three GiB reach into the second one, all
/// of which the driver must be allowed to use before it takes any of it.
fn memory_blocks_of_2_gib(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--memory size=4G,low=2G,high=62G --memory-hotplug method=virtio-mem,size=8G")
        .boot()?;
    let empty = total(&mut vm)?;
    for (size, expected) in [(3, "32-33 Movable"), (1, "32 Movable"), (4, "32-33 Movable"), (2, "32 Movable")]
    {
        vm.rest.resize("vmem0", size * GIB)?;
        assert_layout(&mut vm, &format!("0 none, 31 Normal, {expected}"))?;
        assert_eq!(total(&mut vm)?, empty + size * 1024);
    }
    Ok(())
}

/// Each device's blocks come to its node, wherever they lie.
fn devices_on_nodes(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 2 --memory size=4G,low=2G")
        .arguments("--numa id=0,cpus=0,memory=2G --numa id=1,cpus=1,memory=2G")
        .arguments("--memory-hotplug method=virtio-mem,size=4G,id=a,node=1")
        .arguments("--memory-hotplug method=virtio-mem,size=4G,id=b,node=0,block=256M")
        .arguments("--memory-hotplug method=virtio-mem,size=4G,id=c,node=1,requested=512M")
        .boot()?;
    for (id, size) in [("a", GIB), ("b", GIB / 2), ("c", GIB / 2)] {
        vm.rest.resize(id, size)?;
    }
    let layout = vm.settled()?;
    let expected = format!("{}, 48-55 Movable, 80-83 Movable, 112-115 Movable", promised::BOOT);
    assert_eq!(expect::differences(&expected, &layout)?, Vec::<String>::new());
    for block in &layout.blocks {
        let node = u32::from(matches!(block.index, 32..=55 | 112..=115));
        assert_eq!(block.nodes, [node], "nodes of block {}", block.index);
    }
    Ok(())
}

fn what_is_not_onlined_stops_at_1_gib(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, "2M")?;
    vm.guest().set(Parameter::AutoOnlineBlocks, "offline")?;
    ask(&vm, 4 * GIB)?;
    wait_until("1 GiB is plugged", || Ok(vm.rest.device("vmem0")?["plugged_size"] == GIB))?;
    assert_layout(&mut vm, &format!("{}, 48-55 offline:Movable/Normal", promised::BOOT))?;
    // Half of the threshold has to be free again before the driver goes on.
    online(&mut vm, "48-50")?;
    assert_layout(&mut vm, &format!("{}, 48-50 Movable, 51-55 offline:Movable/Normal", promised::BOOT))?;
    online(&mut vm, "51")?;
    wait_until("half a GiB more", || Ok(vm.rest.device("vmem0")?["plugged_size"] == GIB + GIB / 2))?;
    let expected = format!("{}, 48-51 Movable, 52-59 offline:Movable/Normal", promised::BOOT);
    assert_layout(&mut vm, &expected)
}

fn online(vm: &mut TestVm, blocks: &str) -> Outcome {
    let results = vm.guest().online(&blocks.parse::<BlockList>()?, None)?;
    assert!(results.iter().all(|result| result.error.is_none()), "{results:?}");
    Ok(())
}

fn what_is_not_onlined_stops_at_two_units(kernel: &Kernel) -> Outcome {
    let mut vm = boot(kernel, "1G")?;
    vm.guest().set(Parameter::AutoOnlineBlocks, "offline")?;
    ask(&vm, 4 * GIB)?;
    wait_until("2 GiB are plugged", || Ok(vm.rest.device("vmem0")?["plugged_size"] == 2 * GIB))?;
    assert_layout(&mut vm, &format!("{}, 48-63 offline:Movable/Normal", promised::BOOT))
}
