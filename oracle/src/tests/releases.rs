//! Releases before memory groups.

use super::*;
use crate::virtio_mem::Request::{self, Plug, Unplug};

fn old() -> Linux {
    let boot = BootMemory {
        usable: vec![0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB],
        nodes: vec![(0..u64::MAX, 0)],
    };
    Linux::new(Release::new(5, 10), Settings::default(), boot.boot(AUTO))
}

fn probe(linux: &mut Linux, block_size: u64) {
    let region = 6 * GIB..38 * GIB;
    linux.probe_virtio_mem("v", DeviceSpec { region, block_size, node: 0 });
}

fn resize(linux: &mut Linux, size: u64) -> Vec<Request> {
    linux.virtio_mem.get_mut("v").unwrap().requests.clear();
    linux.resize_virtio_mem("v", size, 32 * GIB);
    linux.virtio_mem["v"].requests.clone()
}

#[test]
fn without_groups_there_is_no_policy_but_contiguous_zones() {
    let mut linux = old();
    plug(&mut linux, 48, &[8, 8]);
    assert_eq!(shown(&linux, 48), "48-63 N");
    assert_eq!(linux.memory.groups().count(), 0);
}

#[test]
fn sub_blocks_are_of_4_mib_and_offline_blocks_are_counted() {
    let mut linux = old();
    probe(&mut linux, 2 * MIB);
    resize(&mut linux, 102 * MIB);
    assert_eq!(linux.virtio_mem["v"].plugged(), 100 * MIB);
    linux.settings.auto_online = None;
    resize(&mut linux, 4 * GIB);
    assert_eq!(shown(&linux, 48), "48 N, 49-58 N/M", "ten blocks are offline");
    linux.online(49, OnlineType::Policy).unwrap();
    assert_eq!(shown(&linux, 48), "48-49 N, 50-59 N/M", "one more comes when nine are left");
}

#[test]
fn movable_blocks_are_not_told_from_others() {
    let mut linux = old();
    probe(&mut linux, 4 * MIB);
    linux.settings.auto_online = Some(OnlineType::Movable);
    resize(&mut linux, 256 * MIB);
    linux.settings.auto_online = Some(OnlineType::Kernel);
    resize(&mut linux, 384 * MIB);
    assert_eq!(shown(&linux, 48), "48-49 M, 50 N");
    // From the top, whatever the zone; a newer driver would take block 49 first.
    assert_eq!(resize(&mut linux, 256 * MIB), [Unplug(6 * GIB + 256 * MIB..6 * GIB + 384 * MIB)]);
    linux.release = Release::new(6, 1);
    resize(&mut linux, 384 * MIB);
    assert_eq!(resize(&mut linux, 256 * MIB), [Unplug(6 * GIB + 128 * MIB..6 * GIB + 256 * MIB)]);
}

#[test]
fn an_offline_block_is_unplugged_when_too_much_is_plugged() {
    let mut linux = old();
    probe(&mut linux, 4 * MIB);
    resize(&mut linux, 256 * MIB);
    linux.held.extend([48, 49]);
    assert_eq!(resize(&mut linux, 128 * MIB), []);
    linux.held.clear();
    linux.offline(48).unwrap();
    assert_eq!(shown(&linux, 48), "49 N", "the driver runs whenever a block goes offline");
}

#[test]
fn devices_of_blocks_larger_than_memory_blocks_are_not_taken() {
    let mut linux = old();
    probe(&mut linux, 256 * MIB);
    assert_eq!(resize(&mut linux, GIB), []);
    let mut linux = old();
    probe(&mut linux, 128 * MIB);
    assert_eq!(resize(&mut linux, 128 * MIB), [Plug(6 * GIB..6 * GIB + 128 * MIB)]);
}
