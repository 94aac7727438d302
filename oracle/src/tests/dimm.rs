//! ACPI memory devices.

use super::*;

#[test]
fn six_dimms_of_4_gib_by_ratio() {
    for (ratio, expected) in [
        (301, "48-143 M, 144-239 N"),
        (300, "48-111 M, 112-239 N"),
        (302, "48-143 M, 144-239 N"),
        (400, "48-143 M, 144-239 N"),
        (401, "48-175 M, 176-239 N"),
        (0, "48-239 N"),
    ] {
        let mut linux = s4(with_ratio(ratio));
        plug(&mut linux, 48, &[32; 6]);
        assert_eq!(shown(&linux, 48), expected, "ratio {ratio}");
    }
}

#[test]
fn a_dimm_is_all_or_nothing_and_a_smaller_one_still_fits() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[64, 64, 32, 1]);
    assert_eq!(shown(&linux, 48), "48-111 M, 112-175 N, 176-207 M, 208 N");
}

#[test]
fn the_order_decides_who_is_movable() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[1; 97]);
    assert_eq!(shown(&linux, 48), "48-143 M, 144 N");
    linux.offline(60).unwrap();
    plug(&mut linux, 145, &[1]);
    linux.online(60, OnlineType::Policy).unwrap();
    assert_eq!(shown(&linux, 48), "48-59 M, 60 N, 61-143 M, 144 N, 145 M");
}

#[test]
fn offline_blocks_show_what_the_policy_would_do_now() {
    let mut linux = s4(AUTO);
    linux.settings.auto_online = None;
    plug(&mut linux, 48, &[8]);
    assert_eq!(shown(&linux, 48), "48-55 M/N");
    linux.online(50, OnlineType::Kernel).unwrap();
    assert_eq!(shown(&linux, 48), "48-49 N/M, 50 N, 51-55 N/M");
    linux.offline(50).unwrap();
    linux.online(50, OnlineType::Movable).unwrap();
    assert_eq!(shown(&linux, 48), "48-49 M/N, 50 M, 51-55 M/N");
}

#[test]
fn udev_has_only_what_the_kernel_leaves_offline() {
    let mut linux = s4(Policy::default());
    linux.udev = Some(OnlineType::Movable);
    plug(&mut linux, 48, &[2]);
    linux.settings.auto_online = None;
    plug(&mut linux, 50, &[2]);
    // The kernel stops at the first block that refuses, udev knows of no order.
    linux.injected.online = true;
    plug(&mut linux, 52, &[2]);
    linux.injected.online = false;
    linux.udev = None;
    plug(&mut linux, 54, &[2]);
    assert_eq!(shown(&linux, 48), "48-49 N, 50-51 M, 52-55 N/M");
}

#[test]
fn a_changed_ratio_makes_a_mixed_dimm() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[32]);
    linux.offline(50).unwrap();
    linux.memory.policy.ratio = 90;
    assert_eq!(linux.memory.valid_zones(50), ["Normal", "Movable"]);
    linux.online(50, OnlineType::Policy).unwrap();
    linux.offline(51).unwrap();
    assert_eq!(shown(&linux, 48), "48-49 M, 50 N, 51 N/M, 52-79 M");
}

#[test]
fn contig_zones_fill_the_gaps_between() {
    let mut linux = s4(Policy::default());
    let gib = |linux: &mut Linux, first: u64| plug(linux, first, &[8]);
    gib(&mut linux, 48);
    linux.settings.auto_online = Some(OnlineType::Movable);
    gib(&mut linux, 80);
    linux.settings.auto_online = Some(OnlineType::Policy);
    for first in [96, 64, 88, 56] {
        gib(&mut linux, first);
    }
    assert_eq!(shown(&linux, 48), "48-71 N, 80-87 M, 88-103 N");
}

#[test]
fn several_ranges_are_one_group_and_go_as_one() {
    let ranges = |descending: bool| {
        let mut ranges = vec![(48, 2), (52, 3), (60, 3)];
        if descending {
            ranges.reverse();
        }
        ranges.into_iter().map(|(first, blocks): (u64, u64)| first * 128 * MIB..(first + blocks) * 128 * MIB)
    };
    for descending in [false, true] {
        let mut linux = s4(AUTO);
        linux.plug_dimm("d", &ranges(descending).collect::<Vec<_>>(), 0);
        assert_eq!(shown(&linux, 48), "48-49 M, 52-54 M, 60-62 M");
        assert_eq!(linux.memory.groups().count(), 1);
        assert_eq!(linux.eject_dimm("d").ost(), [(3, 0x84), (3, 0)]);
        assert_eq!(shown(&linux, 48), "");
        assert_eq!(linux.memory.groups().count(), 0);
    }
}

#[test]
fn ranges_that_are_not_aligned_do_not_come() {
    let mut linux = s4(AUTO);
    linux.plug_dimm("d0", &[6 * GIB..6 * GIB + 192 * MIB], 0);
    assert_eq!(shown(&linux, 48), "");
    // Its good range comes; the other one still counts for the group.
    linux.plug_dimm("d1", &[7 * GIB..8 * GIB, 9 * GIB..9 * GIB + 64 * MIB], 0);
    assert_eq!(shown(&linux, 48), "56-63 M");
    let memory = &linux.memory;
    assert!(memory.groups().all(|(_, group)| group.present_movable == 8 * 32768));
}

#[test]
fn a_refused_eject_brings_blocks_back_by_the_policy_of_now() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[8]);
    linux.held.insert(53);
    assert_eq!(linux.eject_dimm("d48"), Ejected::Refused { block: 53 });
    assert_eq!(shown(&linux, 48), "48-55 M");
    // With contig-zones the movable zone has shrunk to the block that stayed.
    linux.memory.policy.policy = OnlinePolicy::ContigZones;
    assert_eq!(linux.eject_dimm("d48").ost(), [(3, 0x84), (3, 0x82)]);
    assert_eq!(shown(&linux, 48), "48-52 N, 53 M, 54-55 N");
}

#[test]
fn a_block_that_an_ejection_waits_for_is_past_a_refusal_that_comes_later() {
    let mut linux = s4(Policy::default());
    linux.settings.auto_online = Some(OnlineType::Movable);
    plug(&mut linux, 48, &[8]);
    linux.fixed.insert(51 * 32768);
    assert_eq!(linux.eject_dimm("d48"), Ejected::Stuck { block: 51 });
    linux.injected.offline = true;
    linux.unpin(51);
    assert_eq!(linux.eject_stuck().unwrap().1, Ejected::Refused { block: 52 });
    assert_eq!(shown(&linux, 48), "48-51 N, 52-55 M");
}

#[test]
fn what_cannot_go_offline_says_why() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[1]);
    linux.injected.offline = true;
    assert_eq!(linux.offline(48), Err(Errno::EBUSY));
    assert_eq!(linux.offline(0), Err(Errno::EINVAL), "it has two zones");
    assert_eq!(linux.offline(99), Err(Errno::EINVAL));
    linux.settings.eject_enabled = false;
    assert_eq!(linux.eject_dimm("d48").ost(), [(3, 0x80)]);
}

#[test]
fn one_block_memmaps_spoil_larger_ranges_before_6_6() {
    let ranges = [6 * GIB..6 * GIB + 128 * MIB, 7 * GIB..7 * GIB + 256 * MIB];
    for (release, expected) in [(Release::new(6, 1), "48 M"), (Release::new(6, 12), "48 M, 56-57 M")] {
        let mut linux = s4(AUTO);
        (linux.release, linux.settings.memmap_on_memory) = (release, true);
        linux.plug_dimm("d", &ranges, 0);
        assert_eq!(shown(&linux, 48), expected, "{release}");
    }
}

#[test]
fn an_injected_error_leaves_the_whole_dimm_offline() {
    let mut linux = s4(AUTO);
    linux.injected.online = true;
    plug(&mut linux, 48, &[8]);
    assert_eq!(shown(&linux, 48), "48-55 M/N");
    linux.injected.online = false;
    for index in 48..56 {
        linux.online(index, OnlineType::Policy).unwrap();
    }
    assert_eq!(shown(&linux, 48), "48-55 M");
}
