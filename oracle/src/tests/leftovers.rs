//! What a step leaves behind for later ones: online types, poisoned pages, blocks with nothing plugged, memmaps.

use super::*;

const OLD: Release = Release::new(6, 1);

#[test]
fn a_word_for_an_online_block_is_kept_for_the_next_time() {
    let mut linux = s4(AUTO);
    linux.memory.policy.ratio = 0;
    plug(&mut linux, 48, &[1]);
    assert_eq!(linux.online(48, OnlineType::Movable), Err(Errno::EINVAL));
    linux.offline(48).unwrap();
    linux.device_online(48).unwrap();
    assert_eq!(shown(&linux, 48), "48 M", "whatever the policy says");
    linux.offline(48).unwrap();
    linux.device_online(48).unwrap();
    assert_eq!(shown(&linux, 48), "48 N", "once");
}

#[test]
fn the_word_counts_also_when_an_eject_is_refused() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[8]);
    linux.online(49, OnlineType::Kernel).unwrap_err();
    linux.held.insert(55);
    // Block 49 comes back to a kernel zone, and those behind it follow: their device has kernel memory then.
    assert_eq!(linux.eject_dimm("d48"), Ejected::Refused { block: 55 });
    assert_eq!(shown(&linux, 48), "48 M, 49-54 N, 55 M");
}

#[test]
fn a_refused_eject_leaves_offline_what_was_offline() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[8]);
    for index in 48..53 {
        linux.offline(index).unwrap();
    }
    linux.held.insert(53);
    assert_eq!(linux.eject_dimm("d48"), Ejected::Refused { block: 53 });
    assert_eq!(shown(&linux, 48), "48-52 M/N, 53-55 M");
}

#[test]
fn ranges_come_back_in_the_order_in_which_they_came() {
    let blocks = |first: u64, count: u64| first * 128 * MIB..(first + count) * 128 * MIB;
    let mut linux = s4(Policy::default());
    linux.settings.auto_online = Some(OnlineType::Movable);
    linux.plug_dimm("d", &[blocks(60, 2), blocks(50, 2)], 0);
    linux.held.insert(51);
    linux.eject_dimm("d");
    // 60 is first: the movable zone has shrunk to block 51 and Normal ends before it, so it becomes Normal; then
    // 50 lies inside Normal.
    assert_eq!(shown(&linux, 48), "50 N, 51 M, 60-61 N");
}

#[test]
fn poisoned_blocks_stay_offline_since_6_2() {
    for (release, online, afterwards, removed) in
        [(Release::new(6, 12), Err(Errno::EHWPOISON), 4, 0), (OLD, Ok(()), 4, 4)]
    {
        let mut linux = s4(AUTO);
        linux.release = release;
        plug(&mut linux, 48, &[1]);
        linux.poison(48 * 32768 + 5).unwrap();
        assert_eq!(linux.poison(48 * 32768 + 5), Err(Errno::EHWPOISON));
        assert_eq!(linux.poison(60 * 32768), Err(Errno::ENXIO));
        linux.offline(48).unwrap();
        assert_eq!(linux.online(48, OnlineType::Policy).map(drop), online, "{release}");
        assert_eq!(linux.corrupted_kb(), afterwards, "{release}");
        assert_eq!(linux.eject_dimm("d48"), Ejected::Gone);
        assert_eq!(linux.corrupted_kb(), removed, "{release}: a page that is forgotten is counted for ever");
    }
    let mut linux = s4(AUTO);
    linux.release = OLD;
    plug(&mut linux, 48, &[1]);
    linux.poison(48 * 32768 + 5).unwrap();
    linux.eject_dimm("d48");
    assert_eq!(linux.corrupted_kb(), 0, "never re-onlined");
}

#[test]
fn the_sub_block_of_a_poisoned_page_stays_plugged() {
    for (block_size, left) in [(2 * MIB, 2 * MIB), (256 * MIB, 256 * MIB)] {
        let mut linux = s4(AUTO);
        let region = 6 * GIB..16 * GIB;
        linux.probe_virtio_mem("v", DeviceSpec { region, block_size, node: 0 });
        linux.resize_virtio_mem("v", GIB, 10 * GIB);
        linux.poison(50 * 32768 + 5).unwrap();
        linux.resize_virtio_mem("v", 0, 10 * GIB);
        assert_eq!(linux.virtio_mem["v"].plugged(), left);
    }
}

#[test]
fn a_block_with_nothing_plugged_goes_when_it_can() {
    for (release, at_once) in [(Release::new(6, 12), true), (OLD, false)] {
        let mut linux = s4(AUTO);
        linux.release = release;
        let region = 6 * GIB..16 * GIB;
        linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 2 * MIB, node: 0 });
        linux.resize_virtio_mem("v", 256 * MIB, 10 * GIB);
        linux.injected.offline = true;
        linux.resize_virtio_mem("v", 0, 10 * GIB);
        assert_eq!((shown(&linux, 48).as_str(), linux.virtio_mem["v"].plugged()), ("48-49 M", 0));
        assert_eq!(linux.managed_since_boot(), 0, "online, but without any page");
        linux.injected.offline = false;
        linux.run_virtio_mem("v");
        assert_eq!(shown(&linux, 48).is_empty(), at_once, "{release}");
        linux.resize_virtio_mem("v", 128 * MIB, 10 * GIB);
        assert_eq!(shown(&linux, 48), if at_once { "48 M" } else { "48-49 M" }, "{release}");
    }
}

#[test]
fn a_memmap_on_itself_takes_2_mib_of_each_block() {
    let pages = |mib: i64| mib * 256;
    for (release, blocks, expected) in
        [(OLD, 1, 126), (OLD, 8, 1024), (Release::new(6, 12), 1, 126), (Release::new(6, 12), 8, 1008)]
    {
        let mut linux = s4(AUTO);
        (linux.release, linux.settings.memmap_on_memory) = (release, true);
        plug(&mut linux, 48, &[blocks]);
        assert_eq!(linux.managed_since_boot(), pages(expected), "{blocks} blocks on {release}");
        assert_eq!(linux.memory.zone(0, crate::zone::Zone::Movable).present, blocks * 32768);
    }
}

#[test]
fn memory_in_all_follows_what_is_plugged_and_online() {
    let mut linux = s4(AUTO);
    let region = 6 * GIB..16 * GIB;
    linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 2 * MIB, node: 0 });
    linux.resize_virtio_mem("v", 200 * MIB, 10 * GIB);
    assert_eq!(linux.managed_since_boot(), 200 * 256);
    linux.offline(49).unwrap();
    assert_eq!(linux.managed_since_boot(), 128 * 256);
    linux.online(49, OnlineType::Policy).unwrap();
    linux.offline(40).unwrap();
    assert_eq!(linux.managed_since_boot(), 200 * 256 - 32768, "a boot block is offline");
}
