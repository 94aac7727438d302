//! Nodes: processors, memory, distances, and devices on them.

use dimmer_images::Kernel;
use dimmer_lab::expect;
use dimmer_lab::vm::Setup;
use serde_json::json;

use crate::{GIB, Outcome};
use dimmer::ctl::client::Method;

crate::tests!("numa": two_nodes);

/// Boot RAM is 2 GiB on each node. A ratio of 301 % of each node's 16 blocks lets 48 blocks be
/// movable: one of two DIMMs of 32 blocks.
fn two_nodes(kernel: &Kernel) -> Outcome {
    let mut vm = Setup::new(kernel)
        .arguments("--cpus 2 --memory size=4G,low=2G")
        .arguments("--numa id=0,cpus=0,memory=2G --numa id=1,cpus=1,memory=2G,distance=0@30")
        .arguments("--memory-hotplug method=acpi,slots=4,size=16G")
        .arguments("--memory-hotplug method=virtio-mem,size=8G,node=1")
        .boot()?;
    assert_eq!(vm.shell("cat /sys/devices/system/node/node1/distance")?.trim(), "30 10");
    assert_eq!(vm.shell("cat /sys/devices/system/node/node1/cpulist")?.trim(), "1");
    for (slot, node) in [1, 1, 0, 0].into_iter().enumerate() {
        let body = json!({"id": format!("d{slot}"), "kind": "dimm", "size": 4 * GIB, "node": node});
        vm.rest.tell(Method::POST, "/memory-devices?wait=240", Some(&body))?;
    }
    vm.rest.resize("vmem0", GIB)?;
    let layout = vm.settled()?;
    let expected = "0 none, 1-15 DMA32, 32-47 Normal, 48-79 Movable, 80-111 Normal, 112-143 Movable, \
        144-175 Normal, 176-183 Movable";
    let differences = expect::differences(expected, &layout)?;
    assert_eq!(differences, Vec::<String>::new());
    for block in &layout.blocks {
        let node = match block.index {
            0..=15 | 112..=175 => 0,
            _ => 1,
        };
        assert_eq!(block.nodes, [node], "nodes of block {}", block.index);
    }
    Ok(())
}
