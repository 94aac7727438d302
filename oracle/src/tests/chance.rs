//! Steps whose end Linux leaves open: what both outcomes lead to, and that nothing else is allowed.

use std::collections::BTreeSet;

use super::*;
use crate::chance::Chance;
use crate::virtio_mem::Request::{self, Unplug};

fn stay(linux: &mut Linux, blocks: &[u64]) {
    linux.chance = Chance::all_but(blocks.iter().copied().collect());
}

#[test]
fn only_movable_memory_surely_goes_offline() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[8]);
    linux.online(48, OnlineType::Kernel).unwrap_err();
    for (block, allowed) in [(48, false), (15, true), (32, true), (0, false), (99, false)] {
        linux.chance = Chance::default();
        let optimistic = linux.clone().offline(block);
        let mut other = linux.clone();
        stay(&mut other, &[block]);
        let pessimistic = other.offline(block);
        assert_eq!(other.chance.open().contains(&block), allowed, "block {block}");
        if allowed {
            assert_eq!((optimistic, pessimistic), (Ok(()), Err(Errno::EBUSY)), "block {block}");
        } else {
            assert_eq!(optimistic, pessimistic, "block {block}");
        }
    }
}

#[test]
fn an_injected_error_leaves_nothing_open() {
    let mut linux = s4(AUTO);
    linux.injected.offline = true;
    assert_eq!(linux.offline(40), Err(Errno::EBUSY));
    assert_eq!(linux.chance.open(), &BTreeSet::new());
}

/// A DIMM with one kernel block, by contig-zones: when that block stays, the others go where zones are then.
#[test]
fn a_refused_eject_depends_on_the_block_that_stayed() {
    let mut linux = s4(Policy::default());
    linux.settings.auto_online = Some(OnlineType::Movable);
    plug(&mut linux, 48, &[8]);
    for index in [50, 53] {
        linux.offline(index).unwrap();
        linux.online(index, OnlineType::Kernel).unwrap();
    }
    assert_eq!(shown(&linux, 48), "48-49 M, 50 N, 51-52 M, 53 N, 54-55 M");
    for (stayed, expected) in [(&[50, 53][..], "48-55 N"), (&[50], "48-55 N"), (&[], "")] {
        let mut linux = linux.clone();
        stay(&mut linux, stayed);
        let ejected = linux.eject_dimm("d48");
        assert_eq!(ejected == Ejected::Gone, stayed.is_empty());
        assert_eq!(linux.chance.open(), &BTreeSet::from([50, 53]));
        assert_eq!(shown(&linux, 48), expected, "{stayed:?} stayed");
    }
}

/// Shrinks a device whose blocks 48 and 49 are Normal, with the requests that a guest was seen to make.
fn shrunk(release: Release, to: u64, seen: &[Request]) -> Linux {
    let mut linux = s4(AUTO);
    linux.release = release;
    linux.settings.auto_online = Some(OnlineType::Kernel);
    let region = 6 * GIB..16 * GIB;
    linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 2 * MIB, node: 0 });
    linux.resize_virtio_mem("v", 256 * MIB, 10 * GIB);
    linux.follow_requests(|_| Some(seen.to_vec()));
    linux.resize_virtio_mem("v", to, 10 * GIB);
    linux.retry_virtio_mem();
    linux
}

/// Sub-blocks of 2 MiB by number, counted from block 48.
fn subs(first: u64, last: u64) -> Request {
    Unplug(6 * GIB + first * 2 * MIB..6 * GIB + (last + 1) * 2 * MIB)
}

#[test]
fn sub_blocks_of_kernel_blocks_go_as_they_were_seen_to() {
    // Block 49 goes as a whole; of block 48 the three highest and one in the middle do.
    let seen = [subs(64, 127), subs(63, 63), subs(62, 62), subs(61, 61), subs(20, 20)];
    let linux = shrunk(Release::new(6, 12), 0, &seen);
    let device = &linux.virtio_mem["v"];
    assert_eq!((device.requests.as_slice(), device.plugged()), (&seen[..], 120 * MIB));
    assert_eq!(shown(&linux, 48), "48 N");
    assert_eq!(linux.chance.open(), &BTreeSet::from([48, 49]));
    assert_eq!(linux.managed_since_boot(), 120 * 256);
}

#[test]
fn what_was_busy_may_go_in_a_later_run() {
    // Block 49 first refuses as a whole, then sub-block by sub-block; 127 was busy, and goes in the next run,
    // which follows because block 48 could be removed.
    let mut seen: Vec<_> = (64..127).rev().map(|sub| subs(sub, sub)).collect();
    seen.extend([subs(0, 63), subs(127, 127)]);
    let linux = shrunk(Release::new(6, 12), 0, &seen);
    assert_eq!(linux.virtio_mem["v"].requests, seen);
    assert_eq!(shown(&linux, 48), "");
}

#[test]
fn a_request_that_linux_never_makes_is_not_followed() {
    // Online sub-blocks go one by one, unless the whole block goes.
    let linux = shrunk(Release::new(6, 12), 0, &[subs(62, 63)]);
    assert_eq!(linux.virtio_mem["v"].requests, []);
    // No more than is wanted.
    let linux = shrunk(Release::new(6, 12), 254 * MIB, &[subs(127, 127), subs(126, 126)]);
    assert_eq!(linux.virtio_mem["v"].requests, [subs(127, 127)]);
}

#[test]
fn big_blocks_with_kernel_memory_may_stay() {
    let grown = || {
        let mut linux = s4(AUTO);
        linux.settings.auto_online = Some(OnlineType::Kernel);
        let region = 6 * GIB..16 * GIB;
        linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 256 * MIB, node: 0 });
        linux.resize_virtio_mem("v", GIB, 10 * GIB);
        linux
    };
    let bytes = |index: u64| 6 * GIB + index * 256 * MIB..6 * GIB + (index + 1) * 256 * MIB;
    let mut linux = grown();
    linux.follow_requests(|_| Some(vec![Unplug(bytes(3)), Unplug(bytes(1))]));
    linux.resize_virtio_mem("v", 0, 10 * GIB);
    assert_eq!(shown(&linux, 48), "48-49 N, 52-53 N");
    let mut linux = grown();
    linux.resize_virtio_mem("v", 0, 10 * GIB);
    assert_eq!(shown(&linux, 48), "");
    assert_eq!(linux.chance.open().len(), 8);
}

#[test]
fn a_fixed_page_keeps_its_sub_block_and_nothing_else() {
    let mut linux = s4(AUTO);
    let region = 6 * GIB..16 * GIB;
    linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 2 * MIB, node: 0 });
    linux.resize_virtio_mem("v", 2 * GIB, 10 * GIB);
    linux.fixed.insert(63 * 32768 + 10 * 512 + 7);
    linux.resize_virtio_mem("v", 0, 10 * GIB);
    assert_eq!((shown(&linux, 48), linux.virtio_mem["v"].plugged()), ("63 M".to_owned(), 2 * MIB));
    linux.fixed.clear();
    linux.run_virtio_mem("v");
    assert_eq!(shown(&linux, 48), "");
}
