//! Boot shapes: where RAM lies, how large memory blocks are, and what else the firmware's memory map
//! names.

use std::ops::RangeInclusive;

use dimmer_agent::protocol::{Parameter, ZoneKind};
use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm};

use crate::layouts::assert_layout;
use crate::patience::wait_until;
use crate::{GIB, MIB, Outcome};

crate::tests!("shapes":
    little_low_ram,
    much_low_ram,
    a_ram_end_inside_a_block,
    blocks_of_256_mib,
    blocks_of_512_mib,
    blocks_of_1_gib,
    blocks_of_2_gib,
    movablecore,
    persistent_memory_beside_ram,
    a_reserved_range_beside_ram,
    a_block_of_dma32_that_is_offline,
    every_pair_of_zones_for_an_offline_block,
);

/// Name of the kernel's error when `block` is to go offline; none when it went.
fn offline(vm: &mut TestVm, block: u64) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let results = vm.guest().offline(&block.to_string().parse()?)?;
    Ok(results.into_iter().next().ok_or("one block has one result")?.error)
}

/// Offlines the first of `blocks` that holds nothing immovable.
fn first_to_go(vm: &mut TestVm, blocks: RangeInclusive<u64>) -> Result<u64, Box<dyn std::error::Error>> {
    for block in blocks {
        if offline(vm, block)?.is_none() {
            return Ok(block);
        }
    }
    Err("every block holds something that cannot move".into())
}

/// Waits until `path` is there: a driver finds its devices after its module was loaded.
fn wait_for_file(vm: &mut TestVm, path: &str) -> Outcome {
    wait_until(path, || Ok(!vm.shell(&format!("ls -d {path} 2>/dev/null || true"))?.is_empty()))
}

/// One window for DIMMs and one virtio-mem device, behind RAM that ends at block `next` of 128 MiB.
fn plugs_at(kernel: &Kernel, memory: &str, boot: &str, next: u64) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments(memory)
        .arguments("--memory-hotplug method=acpi,slots=1,size=1G --memory-hotplug method=virtio-mem,size=1G")
        .boot()?;
    assert_layout(&mut vm, boot)?;
    vm.rest.add_dimm("d0", GIB)?;
    vm.rest.resize("vmem0", GIB)?;
    assert_layout(&mut vm, &format!("{boot}, {next}-{} Movable", next + 15))?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    vm.rest.resize("vmem0", 0)?;
    assert_layout(&mut vm, boot)
}

fn little_low_ram(kernel: &Kernel) -> Outcome {
    plugs_at(kernel, "--memory size=4G,low=512M", "0 none, 1-3 DMA32, 32-59 Normal", 64)
}

fn much_low_ram(kernel: &Kernel) -> Outcome {
    plugs_at(kernel, "--memory size=4G,low=3G", "0 none, 1-23 DMA32, 32-39 Normal", 40)
}

/// RAM ends in the middle of block 48, which therefore has one zone but can never go offline.
fn a_ram_end_inside_a_block(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--memory size=4160M,low=2G --memory-hotplug method=acpi,slots=1,size=1G")
        .boot()?;
    let boot = "0 none, 1-15 DMA32, 32-48 Normal";
    assert_layout(&mut vm, boot)?;
    assert_eq!(offline(&mut vm, 48)?.as_deref(), Some("EINVAL"), "it is not all RAM");
    assert_eq!(offline(&mut vm, 0)?.as_deref(), Some("EINVAL"), "it has no single zone");
    vm.rest.add_dimm("d0", GIB)?;
    assert_layout(&mut vm, &format!("{boot}, 56-63 Movable"))
}

/// A machine whose RAM ends at or beyond 64 GiB and which is a virtual one has the largest memory
/// blocks that divide the end of RAM (`probe_memory_block_size` in arch/x86/mm/init_64.c).
fn large_blocks(kernel: &Kernel, high_ram: u64, block: u64) -> Outcome {
    let (low, high) = (2 * GIB, 62 * GIB);
    let mut vm = Setup::new(kernel)
        .arguments(&format!("--memory size={},low=2G,high=62G", low + high_ram))
        .arguments("--memory-hotplug method=acpi,slots=1,size=2G --memory-hotplug method=virtio-mem,size=4G")
        .boot()?;
    let said = format!("x86/mm: Memory block size: {}MB", block / MIB);
    let log = vm.guest().kernel_log(0)?;
    assert!(log.records.iter().any(|record| record.text == said), "the kernel does not say {said:?}");
    let shown = vm.shell("cat /sys/devices/system/memory/block_size_bytes")?;
    assert_eq!(u64::from_str_radix(shown.trim(), 16)?, block);
    let low_blocks = match low / block {
        1 => "0 none".to_owned(),
        blocks => format!("0 none, 1-{} DMA32", blocks - 1),
    };
    let last = |end: u64| end / block - 1;
    let boot = format!("{low_blocks}, {}-{} Normal", high / block, last(high + high_ram));
    assert_layout(&mut vm, &boot)?;
    vm.rest.add_dimm("d0", 2 * GIB)?;
    vm.rest.resize("vmem0", 2 * GIB)?;
    let starts = [start_of(&vm, "d0")?, start_of(&vm, "vmem0")?];
    let blocks = starts.map(|start| {
        assert_eq!(start % block, 0, "no block is cut");
        format!("{}-{} Movable", start / block, last(start + 2 * GIB))
    });
    assert_layout(&mut vm, &format!("{boot}, {}", blocks.join(", ")))?;
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    vm.rest.resize("vmem0", 0)?;
    assert_layout(&mut vm, &boot)
}

/// First address of a memory device.
fn start_of(vm: &TestVm, id: &str) -> Result<u64, Box<dyn std::error::Error>> {
    vm.rest.device(id)?["ranges"][0]["start"].as_u64().ok_or_else(|| "a range has a start".into())
}

fn blocks_of_256_mib(kernel: &Kernel) -> Outcome {
    large_blocks(kernel, 2 * GIB + 256 * MIB, 256 * MIB)
}

fn blocks_of_512_mib(kernel: &Kernel) -> Outcome {
    large_blocks(kernel, 2 * GIB + 512 * MIB, 512 * MIB)
}

fn blocks_of_1_gib(kernel: &Kernel) -> Outcome {
    large_blocks(kernel, 3 * GIB, GIB)
}

fn blocks_of_2_gib(kernel: &Kernel) -> Outcome {
    large_blocks(kernel, 2 * GIB, 2 * GIB)
}

/// A quarter of boot RAM is movable: it can go offline and come back, and takes from what hotplugged
/// memory may be movable.
fn movablecore(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .cmdline("movablecore=1G")
        .arguments(promised::MACHINE)
        .arguments("--memory-hotplug method=acpi,slots=2,size=16G")
        .boot()?;
    let boot = "0 none, 1-15 DMA32, 32-39 Normal, 40-47 Movable";
    assert_layout(&mut vm, boot)?;
    // What the kernel set aside before it knew of zones stays where it is, so not every block can go.
    let gone = first_to_go(&mut vm, 41..=46)?;
    let rest = format!("{gone} offline:Movable/Normal, {}-47 Movable", gone + 1);
    assert_layout(&mut vm, &format!("0 none, 1-15 DMA32, 32-39 Normal, 40-{} Movable, {rest}", gone - 1))?;
    let online = vm.guest().online(&gone.to_string().parse()?, None)?;
    assert_eq!(online[0].error, None);
    assert_layout(&mut vm, boot)?;
    // 786,334 early kernel pages allow 2,366,865 movable ones. 262,144 are there, 2,097,152 come with
    // 8 GiB, and the 32,768 of one more block are too many.
    vm.rest.add_dimm("d0", 8 * GIB)?;
    vm.rest.add_dimm("d1", 128 * MIB)?;
    assert_layout(&mut vm, &format!("{boot}, 48-111 Movable, 112 Normal"))
}

/// Block 48 begins with RAM and goes on with persistent memory, so it has pages of two kinds.
fn persistent_memory_beside_ram(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--memory size=4160M,low=2G --firmware-range kind=pmem,size=192M")
        .arguments("--memory-hotplug method=acpi,slots=1,size=1G")
        .boot()?;
    let boot = "0 none, 1-15 DMA32, 32-48 Normal";
    assert_layout(&mut vm, boot)?;
    let iomem = vm.shell("cat /proc/iomem")?;
    let line = "184000000-18fffffff : Persistent Memory (legacy)";
    assert!(iomem.contains(line), "{iomem}");
    vm.guest().load_module("nd_pmem")?;
    vm.guest().load_module("nd_e820")?;
    wait_for_file(&mut vm, "/dev/pmem0")?;
    assert_eq!(vm.shell("cat /sys/block/pmem0/size")?.trim(), (192 * MIB / 512).to_string());
    let written = "echo persistent | dd of=/dev/pmem0 bs=4096 conv=sync 2>/dev/null && head -c 10 /dev/pmem0";
    assert_eq!(vm.shell(written)?, "persistent");
    let layout = vm.settled()?;
    let device = layout.zones.iter().find(|zone| zone.name == "Device").ok_or("a zone for devices")?;
    assert_eq!(device.spanned, 192 * MIB / 4096, "its pages have a memory map");
    assert_layout(&mut vm, boot)?;
    assert_eq!(offline(&mut vm, 48)?.as_deref(), Some("EINVAL"), "half of it belongs to a device");
    vm.rest.add_dimm("d0", GIB)?;
    assert_layout(&mut vm, &format!("{boot}, 56-63 Movable"))
}

fn a_reserved_range_beside_ram(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--memory size=4160M,low=2G --firmware-range kind=reserved,size=64M")
        .arguments("--firmware-range kind=reserved,size=64M,start=2G")
        .arguments("--memory-hotplug method=acpi,slots=1,size=1G")
        .boot()?;
    let iomem = vm.shell("cat /proc/iomem")?;
    for line in ["184000000-187ffffff : Reserved", "80000000-83ffffff : Reserved"] {
        assert!(iomem.contains(line), "{line}: {iomem}");
    }
    let boot = "0 none, 1-15 DMA32, 32-48 Normal";
    assert_layout(&mut vm, boot)?;
    assert_eq!(offline(&mut vm, 48)?.as_deref(), Some("EINVAL"), "half of it is reserved");
    vm.rest.add_dimm("d0", GIB)?;
    assert_layout(&mut vm, &format!("{boot}, 56-63 Movable"))
}

/// Boot memory below 4 GiB is mostly free, so one of its blocks can go offline: it then may come back as
/// what it was, or as movable memory, and the policy says which comes first.
fn a_block_of_dma32_that_is_offline(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments("--memory size=4G,low=3G").boot()?;
    let gone = first_to_go(&mut vm, 4..=19)?;
    let expected = |shows: &str| {
        format!("0 none, 1-{} DMA32, {gone} {shows}, {}-23 DMA32, 32-39 Normal", gone - 1, gone + 1)
    };
    assert_layout(&mut vm, &expected("offline:Movable/DMA32"))?;
    vm.guest().set(Parameter::OnlinePolicy, "contig-zones")?;
    assert_layout(&mut vm, &expected("offline:DMA32/Movable"))?;
    assert_eq!(vm.guest().online(&gone.to_string().parse()?, None)?[0].error, None);
    assert_layout(&mut vm, &expected("DMA32"))
}

/// An offline block far from everything shows the zones it may go to, in the policy's order; one that
/// lies between movable blocks is movable for the policy of neighbours, too.
fn every_pair_of_zones_for_an_offline_block(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .cmdline("memhp_default_state=offline")
        .arguments(promised::MACHINE)
        .arguments("--memory-hotplug method=acpi,slots=1,size=1G")
        .boot()?;
    vm.rest.add_dimm("d0", GIB)?;
    let boot = promised::BOOT;
    assert_layout(&mut vm, &format!("{boot}, 48-55 offline:Movable/Normal"))?;
    vm.guest().set(Parameter::AutoMovableRatio, "0")?;
    assert_layout(&mut vm, &format!("{boot}, 48-55 offline:Normal/Movable"))?;
    vm.guest().set(Parameter::OnlinePolicy, "contig-zones")?;
    assert_layout(&mut vm, &format!("{boot}, 48-55 offline:Normal/Movable"))?;
    let movable = Some(ZoneKind::Movable);
    for block in ["50", "54"] {
        assert_eq!(vm.guest().online(&block.parse()?, movable)?[0].error, None);
    }
    let between = "48-49 offline:Normal/Movable, 50 Movable, 51-53 offline:Movable/Normal, 54 Movable, \
        55 offline:Normal/Movable";
    assert_layout(&mut vm, &format!("{boot}, {between}"))
}
