//! Several nodes.

use super::*;

/// 2 GiB on node 0, 2 GiB above 4 GiB on node 1.
fn n2(policy: Policy) -> Linux {
    let boot = BootMemory {
        usable: vec![0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB],
        nodes: vec![(0..2 * GIB, 0), (4 * GIB..6 * GIB, 1)],
    };
    Linux::new(Release::new(6, 12), Settings::default(), boot.boot(policy))
}

fn plug_on(linux: &mut Linux, blocks: u64, nodes: &[u32]) {
    let mut next = 48;
    for node in nodes {
        linux.plug_dimm(&format!("d{next}"), &[next * 128 * MIB..(next + blocks) * 128 * MIB], *node);
        next += blocks;
    }
}

#[test]
fn numa_aware_checks_the_node_as_well() {
    for (numa_aware, expected) in
        [(true, "48-79 M, 80-111 N, 112-143 M, 144-175 N"), (false, "48-143 M, 144-175 N")]
    {
        let mut linux = n2(Policy { numa_aware, ..AUTO });
        plug_on(&mut linux, 32, &[1, 1, 0, 0]);
        assert_eq!(shown(&linux, 48), expected);
    }
    for (numa_aware, expected) in
        [(true, "48-95 M, 96-111 N, 112-159 M, 160-175 N"), (false, "48-143 M, 144-175 N")]
    {
        let mut linux = n2(Policy { numa_aware, ..AUTO });
        plug_on(&mut linux, 16, &[1, 1, 1, 1, 0, 0, 0, 0]);
        assert_eq!(shown(&linux, 48), expected);
    }
}

#[test]
fn a_node_without_boot_memory_never_gets_movable_memory_by_itself() {
    let mut linux = s4(AUTO);
    plug_on(&mut linux, 8, &[3]);
    assert_eq!(shown(&linux, 48), "48-55 N");
    assert_eq!(linux.memory.blocks()[&48].nodes(), [3]);
    let decision = linux.memory.blocks()[&48].decision.clone().unwrap();
    assert_eq!(
        decision.to_string(),
        "Normal: other virtio-mem devices need 0 of the 0 early kernel pages of node 3"
    );
}

/// Two virtio-mem devices, one on each node: what one has movable needs early kernel memory that the other and
/// DIMMs cannot count on.
#[test]
fn other_devices_reserve_early_kernel_memory() {
    let mut linux = n2(Policy { numa_aware: false, ..AUTO });
    let region = |first: u64| first * 128 * MIB..(first + 256) * 128 * MIB;
    for (id, first, node) in [("v0", 64, 0), ("v1", 512, 1)] {
        linux.probe_virtio_mem(id, DeviceSpec { region: region(first), block_size: 2 * MIB, node });
    }
    // 48 blocks of movable memory need 48*32768*100/301 = 522546 of the 1048478 early pages.
    linux.resize_virtio_mem("v0", 6 * GIB, 32 * GIB);
    assert_eq!(shown(&linux, 64), "64-111 M");
    // 525932 pages are left: 48 more blocks (1572864 <= 1583055), and no forty-ninth.
    linux.resize_virtio_mem("v1", 6 * GIB + 128 * MIB, 32 * GIB);
    assert_eq!(shown(&linux, 512), "512-559 M, 560 N");
    let why = linux.memory.blocks()[&560].decision.clone().unwrap().to_string();
    assert_eq!(
        why,
        "Normal: 1572864+32768 > 301 % of 525932 kernel pages = 1583055, on the machine (1048478 early, less \
         522546 for other virtio-mem devices)"
    );
    // Both together leave 1048478-522546-(522546-32768) = 36154 pages for a DIMM: three blocks, not four.
    for (first, blocks, zone) in [(48, 4, "N"), (52, 3, "M")] {
        plug(&mut linux, first, &[blocks]);
        assert!(shown(&linux, first).starts_with(&format!("{first}-{} {zone}", first + blocks - 1)));
    }
}

/// With the check of the node a device only sees what is on its node.
#[test]
fn the_check_of_a_node_counts_its_own_devices_only() {
    let mut linux = n2(AUTO);
    let region = |first: u64| first * 128 * MIB..(first + 256) * 128 * MIB;
    for (id, first, node) in [("v0", 64, 0), ("v1", 512, 1)] {
        linux.probe_virtio_mem(id, DeviceSpec { region: region(first), block_size: 2 * MIB, node });
        linux.resize_virtio_mem(id, 6 * GIB + 128 * MIB, 32 * GIB);
    }
    // 301*524190/100 = 1577811 pages are 48.15 blocks.
    assert_eq!(shown(&linux, 64), "64-111 M, 112 N, 512-559 M, 560 N");
    // A node without early memory never gets any movable memory, a device's own kernel memory or not.
    linux.probe_virtio_mem("v2", DeviceSpec { region: region(800), block_size: 2 * MIB, node: 2 });
    linux.resize_virtio_mem("v2", 512 * MIB, 32 * GIB);
    assert_eq!(shown(&linux, 800), "800-803 N");
}
