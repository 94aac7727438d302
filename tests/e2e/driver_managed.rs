//! Memory that a driver manages: soft-reserved ranges, which are a dax device each, and RAM once `kmem` takes them.
//!
//! What becomes of their blocks is the scenarios' (82 to 89); here is what `/sys` shows beside that, and that the machine
//! keeps such memory as all other.

use std::error::Error;

use dimmer_images::Kernel;
use dimmer_lab::expect;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::json;

use crate::layouts::assert_layout;
use crate::snapshot::{place, restore};
use crate::{GIB, MIB, Outcome};

crate::tests!("driver_managed":
    drivers_take_what_is_theirs,
    memory_of_its_own_tier,
    tiers_of_memory_that_the_machine_describes,
    a_snapshot_has_what_is_in_it,
    a_range_of_part_of_a_page_is_no_device,
);

/// 4 GiB of RAM, and a soft-reserved GiB behind it: blocks 48 to 55.
const MACHINE: &str = "--memory size=4G,low=2G --firmware-range kind=soft-reserved,size=1G";
const START: u64 = 6 * GIB;
const BOOT: &str = "0 none, 1-15 DMA32, 32-47 Normal";
const MOVABLE: &str = "memhp_default_state=online_movable";

/// The driver that a dax device is bound to; empty when there is none.
fn driver(vm: &mut TestVm, device: &str) -> Result<String, Box<dyn Error>> {
    let link = vm.shell(&format!("readlink /sys/bus/dax/devices/{device}/driver || true"))?;
    Ok(link.trim().rsplit('/').next().unwrap_or_default().to_owned())
}

/// Since 6.3 `kmem` takes soft-reserved memory by itself, which becomes RAM as soon as the module is loaded; before, `device_dax`
/// does, and somebody has to say otherwise (`dax_match_type`, `match_always` in drivers/dax/bus.c).
fn drivers_take_what_is_theirs(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).cmdline(MOVABLE).arguments(MACHINE).boot()?;
    let iomem = vm.shell("cat /proc/iomem")?;
    assert!(iomem.contains("180000000-1bfffffff : Soft Reserved"), "{iomem}");
    for module in ["dax_hmem", "device_dax", "kmem"] {
        vm.guest().load_module(module)?;
    }
    if kernel.name.starts_with("6.1-") || kernel.name == "6.1" {
        assert_eq!(driver(&mut vm, "dax0.0")?, "device_dax");
        assert_layout(&mut vm, BOOT)?;
        let dax = "/sys/bus/dax/drivers";
        vm.shell(&format!("echo dax0.0 > {dax}/device_dax/unbind; echo dax0.0 > {dax}/kmem/new_id"))?;
    }
    assert_eq!(driver(&mut vm, "dax0.0")?, "kmem");
    assert_layout(&mut vm, &format!("{BOOT}, 48-55 Movable"))?;
    let iomem = vm.shell("cat /proc/iomem")?;
    assert!(iomem.contains("180000000-1bfffffff : System RAM (kmem)"), "{iomem}");
    Ok(())
}

/// Without an HMAT, which would say how fast it is, Linux takes memory of `kmem` for slower than all DRAM: abstract distance 2880
/// rather than 576, in chunks of 128 (`MEMTIER_DEFAULT_DAX_ADISTANCE`). A node has the tier of what it had first.
fn memory_of_its_own_tier(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .cmdline(MOVABLE)
        .arguments("--memory size=4G,low=2G --numa id=0,cpus=0,memory=4G --numa id=1")
        .arguments("--firmware-range kind=soft-reserved,size=1G,node=1")
        .boot()?;
    assert_eq!(tiers(&mut vm)?, "memory_tier4: 0\n");
    for module in ["dax_hmem", "device_dax", "kmem"] {
        vm.guest().load_module(module)?;
    }
    if driver(&mut vm, "dax0.0")? != "kmem" {
        let dax = "/sys/bus/dax/drivers";
        vm.shell(&format!("echo dax0.0 > {dax}/device_dax/unbind; echo dax0.0 > {dax}/kmem/new_id"))?;
    }
    let layout = vm.settled()?;
    let expected = format!("{BOOT}, 48-55 Movable node 1");
    let wanted = expect::parse(&expected)?;
    assert_eq!(expect::seen_as(&wanted, &layout), wanted);
    assert_eq!(tiers(&mut vm)?, "memory_tier22: 1\nmemory_tier4: 0\n");
    vm.guest().offline(&"48-55".parse()?)?;
    assert_eq!(tiers(&mut vm)?, "memory_tier4: 0\n");
    Ok(())
}

/// What the HMAT says is in sysfs. In 6.12 it also tells which tier memory is of (docs/driver-managed.md): node 1's abstract distance is
/// 576 · 400 / 200 · 40000 / 40000 = 1152, node 2's 576 · 260 / 200 · 40000 / 44000 = 680, and a tier is 128. In 6.1 memory of `kmem` is
/// slow, and all other memory is DRAM.
fn tiers_of_memory_that_the_machine_describes(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .cmdline(MOVABLE)
        .arguments("--memory size=4G,low=2G --numa id=0,cpus=0,memory=4G,latency=100,bandwidth=20000")
        .arguments("--numa id=1,latency=200,bandwidth=20000 --numa id=2,latency=130,bandwidth=22000")
        .arguments(
            "--firmware-range kind=soft-reserved,size=1G,node=1 --memory-hotplug method=acpi,slots=2,size=4G",
        )
        .boot()?;
    let of_node = |vm: &mut TestVm, node: u32| {
        let files = "read_latency write_latency read_bandwidth write_bandwidth";
        vm.shell(&format!(
            "cd /sys/devices/system/node/node{node}/access0/initiators; echo node*; cat {files}"
        ))
    };
    assert_eq!(of_node(&mut vm, 0)?, "node0\n100\n100\n20000\n20000\n");
    assert_eq!(tiers(&mut vm)?, "memory_tier4: 0\n");
    for module in ["dax_hmem", "device_dax", "kmem"] {
        vm.guest().load_module(module)?;
    }
    if driver(&mut vm, "dax0.0")? != "kmem" {
        let dax = "/sys/bus/dax/drivers";
        vm.shell(&format!("echo dax0.0 > {dax}/device_dax/unbind; echo dax0.0 > {dax}/kmem/new_id"))?;
    }
    vm.rest.add_dimm_with(json!({"id": "d0", "size": GIB, "node": 2}))?;
    vm.settled()?;
    assert_eq!(of_node(&mut vm, 1)?, "node0\n200\n200\n20000\n20000\n");
    assert_eq!(of_node(&mut vm, 2)?, "node0\n130\n130\n22000\n22000\n");
    let old = kernel.release.starts_with("6.1.");
    let expected = if old {
        "memory_tier22: 1\nmemory_tier4: 0,2\n"
    } else {
        "memory_tier4: 0\nmemory_tier5: 2\nmemory_tier9: 1\n"
    };
    assert_eq!(tiers(&mut vm)?, expected);
    Ok(())
}

/// Each memory tier with its nodes, by name.
fn tiers(vm: &mut TestVm) -> Result<String, Box<dyn Error>> {
    let list = "cd /sys/devices/virtual/memory_tiering; for tier in memory_tier*; do \
                [ -d $tier ] && echo \"$tier: $(cat $tier/nodelist)\"; done | sort";
    Ok(vm.shell(list)?)
}

/// To the machine it is memory like all other: in a snapshot, with its bytes, its books, and a driver that comes later.
fn a_snapshot_has_what_is_in_it(kernel: &Kernel) -> Outcome {
    let (_dir, place) = place()?;
    let machine = "--memory size=512M --firmware-range kind=soft-reserved,size=512M";
    let mut vm = Setup::new(kernel).cmdline(MOVABLE).arguments(machine).boot()?;
    let (first, last) = (512 * MIB, GIB - 16);
    for (address, text) in [(first, b"the first bytes."), (last, b"the last of them")] {
        vm.guest().poke(address, text)?;
    }
    vm.snapshot(&place)?;
    vm.guest().poke(first, b"written later on")?;
    drop(vm);
    for how in ["copy", "map"] {
        let mut vm = restore(&place, &format!("--restore-memory {how}"))?;
        assert_eq!(vm.guest().peek(first, 16)?, b"the first bytes.");
        assert_eq!(vm.guest().peek(last, 16)?, b"the last of them");
        assert!(vm.rest.audit()?.ok);
        for module in ["dax_hmem", "kmem"] {
            vm.guest().load_module(module)?;
        }
        if driver(&mut vm, "dax0.0")? != "kmem" {
            vm.shell("echo dax0.0 > /sys/bus/dax/drivers/kmem/new_id")?;
        }
        assert_layout(&mut vm, "0 none, 1-3 DMA32, 4-7 Movable")?;
        // More than there is without it.
        vm.shell("mkdir /f && mount -t tmpfs -o size=100% f /f && dd if=/dev/zero of=/f/f bs=1M count=600 2>/dev/null")?;
        assert!(vm.rest.audit()?.ok);
    }
    Ok(())
}

/// A dax device begins and ends with a page of 2 MiB (`alloc_dax_region` in drivers/dax/bus.c).
fn a_range_of_part_of_a_page_is_no_device(kernel: &Kernel) -> Outcome {
    let odd = "--firmware-range kind=soft-reserved,size=1028K";
    let ranges = format!("{odd} --firmware-range kind=soft-reserved,size=1G,start={:#x}", START + 256 * MIB);
    let mut vm = Setup::new(kernel).arguments("--memory size=4G,low=2G").arguments(&ranges).boot()?;
    vm.guest().load_module("dax_hmem")?;
    assert_eq!(vm.shell("ls /sys/bus/dax/devices")?.trim(), "dax1.0");
    Ok(())
}
