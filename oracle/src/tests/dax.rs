//! Memory that a driver manages.

use super::super::linux::{DaxDriver, NotBound};
use super::*;

const KMEM: Option<DaxDriver> = Some(DaxDriver::Kmem);

/// A machine of 4 GiB with soft-reserved ranges of so many bytes behind RAM, all on node 0.
fn with(policy: Policy, sizes: &[u64]) -> Linux {
    let mut linux = s4(policy);
    let mut next = 6 * GIB;
    let range = |size: &u64| {
        next += size;
        (next - size..next, 0)
    };
    let ranges: Vec<_> = sizes.iter().map(range).collect();
    linux.probe_soft_reserved(&ranges);
    linux
}

#[test]
fn a_device_is_one_static_group_and_all_or_nothing() {
    for (size, expected) in [(12 * GIB, "48-143 M"), (13 * GIB, "48-151 N")] {
        let mut linux = with(AUTO, &[size]);
        assert_eq!(shown(&linux, 48), "", "no RAM by itself");
        linux.bind_dax("dax0.0", KMEM, None).unwrap();
        assert_eq!(shown(&linux, 48), expected);
        assert_eq!(linux.memory.groups().count(), 1);
    }
}

#[test]
fn devices_and_dimms_share_the_ratio() {
    let mut linux = with(AUTO, &[8 * GIB, 4 * GIB, 128 * MIB]);
    for id in ["dax0.0", "dax1.0", "dax2.0"] {
        linux.bind_dax(id, KMEM, None).unwrap();
    }
    assert_eq!(shown(&linux, 48), "48-143 M, 144 N");
    plug(&mut linux, 152, &[1]);
    assert_eq!(shown(&linux, 145), "152 N");
}

#[test]
fn what_fills_no_block_is_left_out_and_counts_for_nothing() {
    let mut linux = with(AUTO, &[64 * MIB, GIB + 64 * MIB, 64 * MIB, 3 * MIB, GIB]);
    linux.bind_dax("dax1.0", KMEM, None).unwrap();
    assert_eq!(shown(&linux, 48), "49-56 M");
    let group = linux.dax["dax1.0"].group().unwrap();
    assert_eq!(linux.memory.group(group).present_movable, 8 * 32768);
    assert!(matches!(
        linux.memory.group(group).kind,
        crate::group::GroupKind::Static { max_pages } if max_pages == 8 * 32768
    ));
    assert_eq!(linux.bind_dax("dax0.0", KMEM, None), Err(NotBound::Failed(Errno::EINVAL)));
    assert!(linux.why(48).contains("only a part of this block"), "{}", linux.why(48));
    assert_eq!(linux.bind_dax("dax0.0", Some(DaxDriver::DeviceDax), None), Ok(()));
    let names: Vec<&str> = linux.dax.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["dax0.0", "dax1.0", "dax2.0"],
        "3 MiB are no pages of 2 MiB, and neither is what follows them"
    );
}

#[test]
fn what_is_offline_goes_with_the_driver_and_what_is_online_stays_until_a_reset() {
    let mut linux = with(AUTO, &[GIB]);
    linux.bind_dax("dax0.0", KMEM, None).unwrap();
    (48..55).for_each(|index| linux.offline(index).unwrap());
    assert_eq!(linux.bind_dax("dax0.0", None, None), Err(NotBound::MemoryStays));
    assert_eq!((shown(&linux, 48).as_str(), linux.dax["dax0.0"].driver), ("48-54 M/N, 55 M", None));
    linux.offline(55).unwrap();
    for driver in [DaxDriver::Kmem, DaxDriver::DeviceDax] {
        let bound = linux.bind_dax("dax0.0", Some(driver), None);
        assert_eq!(bound, Err(NotBound::Failed(Errno::EBUSY)), "also when all of it is offline by now");
    }
    assert_eq!(linux.memory.groups().count(), 1, "and its group is there");

    let mut linux = with(AUTO, &[GIB]);
    linux.bind_dax("dax0.0", KMEM, None).unwrap();
    (48..56).for_each(|index| linux.offline(index).unwrap());
    assert_eq!(linux.bind_dax("dax0.0", Some(DaxDriver::DeviceDax), None), Ok(()));
    assert_eq!((shown(&linux, 48).as_str(), linux.memory.groups().count()), ("", 0));
    assert!(linux.why(48).contains("device_dax has it"), "{}", linux.why(48));
}

#[test]
fn its_memmap_lies_on_it_where_both_switches_say_so() {
    let mut linux = with(AUTO, &[GIB]);
    assert_eq!(linux.bind_dax("dax0.0", KMEM, Some(true)), Err(NotBound::Failed(Errno::Other)));
    assert_eq!(shown(&linux, 48), "", "it was not tried");
    linux.settings.memmap_on_memory = true;
    linux.bind_dax("dax0.0", KMEM, Some(true)).unwrap();
    assert_eq!(linux.managed_since_boot(), 8 * (32768 - 512));
    let mut without = with(AUTO, &[GIB]);
    without.settings.memmap_on_memory = true;
    without.bind_dax("dax0.0", KMEM, None).unwrap();
    assert_eq!(without.managed_since_boot(), 8 * 32768, "a device is asked, too");
}
