//! What is behind the guest's memory, and what goes wrong with it.

use dimmer_devices::dimm::{Dimm, DimmRange};
use dimmer_devices::fault::{ActionName, Fault, Point};
use dimmer_devices::placement::Placement;

use super::{complaint, spec};
use crate::spec::{Backing, BalloonSpec, FirmwareRangeKind, FirmwareRangeSpec, MachineSpec, WindowSpec};
use crate::units::{GIB, MIB};

/// The rest of `every_flag_reaches_the_machine`.
pub fn check(spec: &MachineSpec) {
    let dimm = |id: &str, ranges: &[(u64, u64)], more| Dimm {
        id: id.to_owned(),
        ranges: ranges.iter().map(|(size, gap)| DimmRange { size: *size, gap: *gap }).collect(),
        descending: more,
        node: more.into(),
        unaligned: more,
        placement: Placement { start: more.then_some(6 * GIB), align: more.then_some(GIB) },
    };
    let ranges = [(GIB, 512 * MIB), (3 * GIB, 0)];
    assert_eq!(spec.dimms, [dimm("d0", &[(4 * GIB, 0)], false), dimm("d1", &ranges, true)]);
    let range = |kind, size, start| FirmwareRangeSpec { kind, start, size, node: 0 };
    let pmem = range(FirmwareRangeKind::Pmem, 192 * MIB, None);
    let reserved = range(FirmwareRangeKind::Reserved, 64 * MIB, Some(1 << 44));
    let soft = range(FirmwareRangeKind::SoftReserved, GIB, None);
    let soft = FirmwareRangeSpec { node: 1, ..soft };
    assert_eq!(spec.firmware_ranges, [pmem, reserved, soft]);
    let fault = Fault {
        device: "vmem0".to_owned(),
        on: Point::Plug,
        nth: 2,
        times: 3,
        action: ActionName::Delay,
        milliseconds: Some(500),
        size: None,
    };
    assert_eq!(spec.faults, [fault]);
}

#[test]
fn host_memory_comes_from_where_it_is_told_to() {
    let table = [
        ("", Backing::Anon),
        (",backing=anon", Backing::Anon),
        (",backing=memfd", Backing::Memfd),
        (",backing=hugetlb", Backing::Hugetlb(2 * MIB)),
        (",backing=hugetlb,page=1G", Backing::Hugetlb(GIB)),
        (",path=/dev/shm,backing=file", Backing::File("/dev/shm".into())),
    ];
    for (keys, backing) in table {
        assert_eq!(spec(&["--memory", &format!("size=4G{keys}")]).memory.backing, backing, "{keys}");
    }
}

#[test]
fn blocks_and_slots_of_virtio_mem_are_as_large_as_they_have_to_be() {
    let sizes = |memory: &str, keys: &str| {
        let device = format!("method=virtio-mem,size=8G{keys}");
        let spec = spec(&["--memory", memory, "--memory-hotplug", &device]);
        let [WindowSpec::VirtioMem(device)] = &*spec.windows else { panic!("one device") };
        (device.block_size, device.slot_size)
    };
    assert_eq!(sizes("size=4G", ""), (2 * MIB, 128 * MIB));
    assert_eq!(sizes("size=4G", ",block=4G"), (4 * GIB, 4 * GIB));
    assert_eq!(sizes("size=4G,backing=hugetlb,page=1G", ""), (GIB, GIB));
}

#[test]
fn a_place_is_a_window_without_device() {
    let windows = ["method=virtio-mem,size=8G,present=off", "method=virtio-mem,size=4G"];
    let spec = spec(&["--memory-hotplug", windows[0], "--memory-hotplug", windows[1]]);
    let ids: Vec<_> = spec.virtio_mem().map(|device| device.id.as_str()).collect();
    assert_eq!((spec.windows.len(), ids), (2, vec!["vmem1"]));
}

#[test]
fn a_balloon_is_asked_for_with_or_without_keys() {
    assert_eq!(spec(&[]).balloon, None);
    let empty = BalloonSpec { size: 0, deflate_on_oom: false, free_page_reporting: false, statistics: None };
    assert_eq!(spec(&["--balloon", "--rng"]).balloon, Some(empty));
    let some = BalloonSpec { size: 64 * MIB, deflate_on_oom: true, ..empty };
    assert_eq!(spec(&["--balloon", "size=64M,deflate_on_oom=on"]).balloon, Some(some));
    let error = complaint(&["--balloon", "size=2G"]);
    assert!(
        error.starts_with("--balloon: size=2 GiB: must be a multiple of 4 KiB of at most 1 GiB"),
        "{error}"
    );
}
