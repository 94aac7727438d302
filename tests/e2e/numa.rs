//! Nodes: processors, memory, distances, and devices on them.

use dimmer_images::Kernel;
use dimmer_lab::expect;
use dimmer_lab::vm::{Setup, TestVm};
use serde_json::json;

use crate::{GIB, Outcome};

crate::tests!("numa":
    two_nodes,
    four_dimms_where_nodes_do_not_count,
    eight_dimms_where_nodes_count,
    eight_dimms_where_nodes_do_not_count,
    nodes_that_come_with_their_first_block,
    a_node_without_early_memory_has_no_movable_memory,
    a_node_without_processors,
    node_0_without_processors,
    a_node_of_processors_alone,
    a_node_boundary_inside_a_block,
    distances_of_three_nodes,
);

/// Boot RAM is 2 GiB on each node. A ratio of 301 % of each node's 16 blocks lets 48 blocks be
/// movable: one of two DIMMs of 32 blocks, or three of four DIMMs of 16.
const TWO_NODES: &str = "--cpus 2 --memory size=4G,low=2G \
    --numa id=0,cpus=0,memory=2G --numa id=1,cpus=1,memory=2G,distance=0@30";
const NOT_AWARE: &str = "memory_hotplug.auto_movable_numa_aware=N";
const BOOT: &str = "0 none, 1-15 DMA32, 32-47 Normal";

/// Holds the layout against `expected`, and each block's nodes against `node`.
fn assert_nodes(vm: &mut TestVm, expected: &str, nodes: impl Fn(u64) -> Vec<u32>) -> Outcome {
    let layout = vm.settled()?;
    assert_eq!(expect::differences(expected, &layout)?, Vec::<String>::new());
    for block in &layout.blocks {
        assert_eq!(block.nodes, nodes(block.index), "nodes of block {}", block.index);
    }
    Ok(())
}

fn add_dimm(vm: &TestVm, id: &str, gib: u64, node: u32) -> Outcome {
    vm.rest.add_dimm_with(json!({"id": id, "size": gib * GIB, "node": node}))?;
    Ok(())
}

/// A file of /sys/devices/system/node, without the end of its line.
fn node_file(vm: &mut TestVm, path: &str) -> Result<String, Box<dyn std::error::Error>> {
    Ok(vm.shell(&format!("cat /sys/devices/system/node/{path}"))?.trim().to_owned())
}

fn two_nodes(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments(TWO_NODES)
        .arguments("--memory-hotplug method=acpi,slots=4,size=16G")
        .arguments("--memory-hotplug method=virtio-mem,size=8G,node=1")
        .boot()?;
    assert_eq!(node_file(&mut vm, "node1/distance")?, "30 10");
    assert_eq!(node_file(&mut vm, "node1/cpulist")?, "1");
    for (slot, node) in [1, 1, 0, 0].into_iter().enumerate() {
        add_dimm(&vm, &format!("d{slot}"), 4, node)?;
    }
    vm.rest.resize("vmem0", GIB)?;
    let expected =
        format!("{BOOT}, 48-79 Movable, 80-111 Normal, 112-143 Movable, 144-175 Normal, 176-183 Movable");
    assert_nodes(&mut vm, &expected, |block| match block {
        0..=15 | 112..=175 => vec![0],
        _ => vec![1],
    })
}

fn four_dimms_where_nodes_do_not_count(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .cmdline(NOT_AWARE)
        .arguments(TWO_NODES)
        .arguments("--memory-hotplug method=acpi,slots=4,size=16G")
        .boot()?;
    for (slot, node) in [1, 1, 0, 0].into_iter().enumerate() {
        add_dimm(&vm, &format!("d{slot}"), 4, node)?;
    }
    let expected = format!("{BOOT}, 48-143 Movable, 144-175 Normal");
    assert_nodes(&mut vm, &expected, |block| if matches!(block, 0..=15 | 112..) { vec![0] } else { vec![1] })
}

/// Four DIMMs of 2 GiB on node 1, then four on node 0.
fn eight_dimms(kernel: &Kernel, cmdline: &str, hotplugged: &str) -> Outcome {
    let mut vm = Setup::new(kernel)
        .cmdline(cmdline)
        .arguments(TWO_NODES)
        .arguments("--memory-hotplug method=acpi,slots=8,size=16G")
        .boot()?;
    for slot in 0..8 {
        add_dimm(&vm, &format!("d{slot}"), 2, u32::from(slot < 4))?;
    }
    let expected = format!("{BOOT}, {hotplugged}");
    assert_nodes(&mut vm, &expected, |block| if matches!(block, 0..=15 | 112..) { vec![0] } else { vec![1] })
}

fn eight_dimms_where_nodes_count(kernel: &Kernel) -> Outcome {
    eight_dimms(kernel, "", "48-95 Movable, 96-111 Normal, 112-159 Movable, 160-175 Normal")
}

fn eight_dimms_where_nodes_do_not_count(kernel: &Kernel) -> Outcome {
    eight_dimms(kernel, NOT_AWARE, "48-143 Movable, 144-175 Normal")
}

/// Node 0 has everything; nodes 1 and 2 have neither processors nor memory at first.
const ONE_OF_THREE: &str = "--memory size=4G,low=2G --numa id=0,cpus=0,memory=4G --numa id=1 --numa id=2 \
    --memory-hotplug method=acpi,slots=2,size=2G --memory-hotplug method=virtio-mem,size=2G,node=2";

fn nodes_that_come_with_their_first_block(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).cmdline(NOT_AWARE).arguments(ONE_OF_THREE).boot()?;
    assert_eq!(node_file(&mut vm, "possible")?, "0-2");
    assert_eq!(node_file(&mut vm, "online")?, "0");
    add_dimm(&vm, "d0", 1, 1)?;
    vm.settled()?;
    assert_eq!(node_file(&mut vm, "online")?, "0-1");
    vm.rest.resize("vmem0", GIB)?;
    let node = |block| match block {
        48..=55 => vec![1],
        64..=71 => vec![2],
        _ => vec![0],
    };
    assert_nodes(&mut vm, &format!("{BOOT}, 48-55 Movable, 64-71 Movable"), node)?;
    assert_eq!(node_file(&mut vm, "online")?, "0-2");
    assert_eq!(node_file(&mut vm, "has_memory")?, "0-2");
    assert_eq!(vm.rest.remove_dimm("d0")?.status, 200);
    assert_nodes(&mut vm, &format!("{BOOT}, 64-71 Movable"), node)?;
    assert_eq!(node_file(&mut vm, "online")?, "0,2", "it went with its last block");
    vm.rest.resize("vmem0", 0)?;
    assert_nodes(&mut vm, BOOT, node)?;
    assert_eq!(node_file(&mut vm, "online")?, "0");
    Ok(())
}

/// Where nodes count, movable memory needs kernel memory that was there at boot on the same node.
fn a_node_without_early_memory_has_no_movable_memory(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel).arguments(ONE_OF_THREE).boot()?;
    add_dimm(&vm, "d0", 1, 1)?;
    add_dimm(&vm, "d1", 1, 0)?;
    vm.rest.resize("vmem0", GIB)?;
    let expected = format!("{BOOT}, 48-55 Normal, 56-63 Movable, 64-71 Normal");
    assert_nodes(&mut vm, &expected, |block| match block {
        48..=55 => vec![1],
        64..=71 => vec![2],
        _ => vec![0],
    })
}

fn a_node_without_processors(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 2 --memory size=4G,low=2G")
        .arguments("--numa id=0,cpus=0-1,memory=2G --numa id=1,memory=2G")
        .arguments("--memory-hotplug method=acpi,slots=1,size=1G")
        .boot()?;
    assert_eq!(node_file(&mut vm, "has_cpu")?, "0");
    assert_eq!(node_file(&mut vm, "online")?, "0-1");
    add_dimm(&vm, "d0", 1, 1)?;
    assert_nodes(&mut vm, &format!("{BOOT}, 48-55 Movable"), |block| vec![u32::from(block >= 32)])
}

/// Nodes keep the numbers that the user gave them.
fn node_0_without_processors(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 2 --memory size=4G,low=2G")
        .arguments("--numa id=0,memory=2G,distance=1@40 --numa id=1,cpus=0-1,memory=2G --numa id=2")
        .arguments("--memory-hotplug method=acpi,slots=2,size=2G")
        .boot()?;
    assert_eq!(node_file(&mut vm, "has_cpu")?, "1");
    assert_eq!(node_file(&mut vm, "possible")?, "0-2");
    assert_eq!(node_file(&mut vm, "node1/cpulist")?, "0-1");
    assert_eq!(node_file(&mut vm, "node0/distance")?, "10 40");
    add_dimm(&vm, "d0", 1, 0)?;
    add_dimm(&vm, "d1", 1, 1)?;
    assert_nodes(&mut vm, &format!("{BOOT}, 48-63 Movable"), |block| match block {
        32..=47 | 56..=63 => vec![1],
        _ => vec![0],
    })
}

fn a_node_of_processors_alone(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .cmdline(NOT_AWARE)
        .arguments("--cpus 2 --memory size=4G,low=2G")
        .arguments("--numa id=0,cpus=0,memory=4G --numa id=1,cpus=1")
        .arguments("--memory-hotplug method=virtio-mem,size=1G,node=1")
        .boot()?;
    assert_eq!(node_file(&mut vm, "has_cpu")?, "0-1");
    assert_eq!(node_file(&mut vm, "has_memory")?, "0");
    vm.rest.resize("vmem0", GIB)?;
    assert_nodes(&mut vm, &format!("{BOOT}, 48-55 Movable"), |block| vec![u32::from(block >= 48)])?;
    assert_eq!(node_file(&mut vm, "has_memory")?, "0-1");
    vm.rest.resize("vmem0", 0)?;
    assert_nodes(&mut vm, BOOT, |_| vec![0])?;
    assert_eq!(node_file(&mut vm, "online")?, "0-1", "its processor is still there");
    Ok(())
}

/// 64 MiB of block 32 belong to node 0, and the rest to node 1: it has no single zone.
fn a_node_boundary_inside_a_block(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 2 --memory size=4G,low=2G")
        .arguments("--numa id=0,cpus=0,memory=2112M --numa id=1,cpus=1,memory=1984M")
        .boot()?;
    let expected = "0 none, 1-15 DMA32, 32 none, 33-47 Normal";
    assert_nodes(&mut vm, expected, |block| match block {
        0..=15 => vec![0],
        32 => vec![0, 1],
        _ => vec![1],
    })?;
    let refused = vm.guest().offline(&"32".parse()?)?;
    assert_eq!(refused[0].error.as_deref(), Some("EINVAL"));
    Ok(())
}

fn distances_of_three_nodes(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 3 --memory size=3G,low=1G")
        .arguments("--numa id=0,cpus=0,memory=1G,distance=1@15,distance=2@60")
        .arguments("--numa id=1,cpus=1,memory=1G,distance=2@25 --numa id=2,cpus=2,memory=1G,distance=0@70")
        .boot()?;
    for (node, distances) in ["10 15 60", "15 10 25", "70 25 10"].into_iter().enumerate() {
        assert_eq!(node_file(&mut vm, &format!("node{node}/distance"))?, distances, "of node {node}");
    }
    Ok(())
}
