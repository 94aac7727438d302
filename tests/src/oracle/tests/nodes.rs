//! Several nodes.

use super::*;

/// 2 GiB on node 0, 2 GiB above 4 GiB on node 1.
fn n2(policy: Policy) -> Linux {
    let boot = BootMemory {
        usable: vec![0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB],
        nodes: vec![(0..2 * GIB, 0), (4 * GIB..6 * GIB, 1)],
    };
    Linux::new(Release::new(6, 12), ONLINE, boot.boot(policy))
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
