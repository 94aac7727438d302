//! NVDIMMs by ACPI's NFIT: Linux's `nfit` makes block devices of the ranges, on the nodes that the table says, and memory blocks
//! know nothing of them.

use std::error::Error;

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("nvdimm":
    a_range_is_a_block_device,
    each_is_of_the_node_that_the_table_says,
);

/// Loads the drivers, and waits for `/dev/pmemN`.
fn load(vm: &mut TestVm, last: u32) -> Outcome {
    for module in ["nd_pmem", "nfit"] {
        vm.guest().load_module(module)?;
    }
    let device = format!("/dev/pmem{last}");
    wait_until(&device, || Ok(!vm.shell(&format!("ls {device} 2>/dev/null || true"))?.is_empty()))
}

fn of_region(vm: &mut TestVm, region: u32, name: &str) -> Result<String, Box<dyn Error>> {
    Ok(vm.shell(&format!("cat /sys/bus/nd/devices/region{region}/{name}"))?.trim().to_owned())
}

/// Below it DIMMs are as the promised layouts have them.
fn a_range_is_a_block_device(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments(promised::MACHINE)
        .arguments("--firmware-range kind=nvdimm,size=256M,start=512G")
        .arguments("--memory-hotplug method=acpi,slots=6,size=24G,start=6G")
        .boot()?;
    let iomem = vm.shell("cat /proc/iomem")?;
    assert!(iomem.contains("8000000000-800fffffff : Persistent Memory\n"), "{iomem}");
    load(&mut vm, 0)?;
    assert_eq!(vm.shell("cat /sys/block/pmem0/size")?.trim(), (256 * MIB / 512).to_string());
    assert_eq!(vm.shell("cat /sys/bus/nd/devices/ndbus0/provider")?.trim(), "ACPI.NFIT");
    assert_eq!(of_region(&mut vm, 0, "nfit/range_index")?, "1");
    assert_eq!(of_region(&mut vm, 0, "resource")?, "0x8000000000");
    let written =
        "echo persistent | dd of=/dev/pmem0 bs=4096 conv=sync,fsync 2>/dev/null && head -c 10 /dev/pmem0";
    assert_eq!(vm.shell(written)?, "persistent");
    // Without an info block it has no memory map.
    let layout = vm.settled()?;
    assert!(layout.zones.iter().all(|zone| zone.name != "Device" || zone.spanned == 0), "{:?}", layout.zones);
    assert_layout(&mut vm, promised::BOOT)?;
    for slot in 0..6 {
        vm.rest.add_dimm(&format!("d{slot}"), 4 * GIB)?;
    }
    assert_layout(&mut vm, promised::SIX_DIMMS)
}

/// A node that has nothing else is possible, and not online: the region's own node is the nearest one that is.
fn each_is_of_the_node_that_the_table_says(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 2 --memory size=4G,low=2G")
        .arguments("--numa id=0,cpus=0,memory=2G --numa id=1,cpus=1,memory=2G --numa id=2")
        .arguments(
            "--firmware-range kind=nvdimm,size=128M,node=1 --firmware-range kind=nvdimm,size=128M,node=2",
        )
        .boot()?;
    load(&mut vm, 1)?;
    let nodes = |vm: &mut TestVm, region| -> Result<_, Box<dyn Error>> {
        Ok([of_region(vm, region, "numa_node")?, of_region(vm, region, "target_node")?])
    };
    let (first, second) = (nodes(&mut vm, 0)?, nodes(&mut vm, 1)?);
    assert_eq!((first, second[1].as_str()), (["1".to_owned(), "1".to_owned()], "2"));
    assert_ne!(second[0], "2", "it is not online");
    Ok(())
}
