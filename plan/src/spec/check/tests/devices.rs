//! Windows for memory devices, and DIMMs.

use crate::dimm::{Dimm, DimmRange, Notify};
use crate::placement::Placement;

use super::{complaint, machine, virtio_mem};
use crate::spec::{DimmSpec, VirtioMemSpec, WindowSpec};
use crate::units::{GIB, MIB};

/// A DIMM with ranges of these sizes and no gaps.
pub fn dimm(sizes: &[u64]) -> Dimm {
    let ranges = sizes.iter().map(|size| DimmRange { size: *size, gap: 0 }).collect();
    Dimm::new("d0", ranges)
}

fn acpi(slots: u16, size: u64) -> WindowSpec {
    WindowSpec::Acpi { slots, size, placement: Placement::default() }
}

#[test]
fn there_is_one_acpi_window_with_slots_and_whole_memory_blocks() {
    let line = complaint(|spec| spec.windows.push(acpi(1, GIB)));
    assert_eq!(line, "--memory-hotplug: method=acpi: must be given once at most");
    for slots in [0, 1025] {
        let line = complaint(|spec| spec.windows[0] = acpi(slots, GIB));
        assert_eq!(line, format!("--memory-hotplug: slots={slots}: must be 1 to 1024"));
    }
    for (size, shown) in [(0, "0 bytes"), (64 * MIB, "64 MiB"), (GIB + 1, "1073741825 bytes")] {
        let line = complaint(|spec| spec.windows[0] = acpi(1, size));
        assert_eq!(line, format!("--memory-hotplug: size={shown}: must be a multiple of 128 MiB, and not 0"));
    }
}

#[test]
fn places_are_multiples_of_what_sizes_are() {
    let at = |start, align| {
        let placement = Placement { start, align };
        complaint(|spec| spec.windows[0] = WindowSpec::Acpi { slots: 1, size: GIB, placement })
    };
    let flag = "--memory-hotplug";
    assert_eq!(at(Some(GIB + MIB), None), format!("{flag}: start=0x40100000: must be a multiple of 128 MiB"));
    assert_eq!(
        at(Some(3 * GIB), Some(2 * GIB)),
        format!("{flag}: start=0xc0000000: must be a multiple of 2 GiB")
    );
    assert_eq!(
        at(None, Some(3 * GIB)),
        format!("{flag}: align=3 GiB: must be a power of two of at least 128 MiB")
    );
    let line = complaint(|spec| {
        spec.windows[1] = virtio_mem(|device| device.placement.start = Some(7 * GIB + MIB));
    });
    assert_eq!(line, format!("{flag}: start=0x1c0100000: must be a multiple of 2 MiB"));
    let placement = Placement { start: Some(6 * GIB + MIB), align: None };
    let line = complaint(|spec| spec.dimms = vec![Dimm { placement, ..dimm(&[GIB]) }]);
    assert_eq!(line, "--dimm: start=0x180100000: must be a multiple of 128 MiB");
}

#[test]
fn windows_fit_into_the_largest_address_space() {
    let size = !(GIB - 1);
    let line = complaint(|spec| spec.windows[0] = acpi(1, size));
    let rule = "boot RAM and all windows together must fit into 4096 TiB";
    assert_eq!(line, format!("--memory-hotplug: size=17179869183 GiB: {rule}"));
    let line = complaint(|spec| {
        spec.windows[0] = acpi(1, 1 << 51);
        spec.windows[1] = virtio_mem(|device| device.size = 1 << 51);
    });
    assert_eq!(line, format!("--memory-hotplug: size=2048 TiB: {rule}"));
}

#[test]
fn virtio_mem_devices_are_whole_blocks_in_a_node_that_is_there() {
    type Change = fn(&mut VirtioMemSpec);
    let table: [(Change, &str); 12] = [
        (|device| device.size = 0, "size=0 bytes: must be a multiple of 128 MiB, and not 0"),
        (|device| device.size = 130 * MIB, "size=130 MiB: must be a multiple of 128 MiB, and not 0"),
        (|device| device.block_size = 3 * MIB, "block=3 MiB: must be a power of two from 1 MiB to 4 GiB"),
        (|device| device.block_size = MIB / 2, "block=512 KiB: must be a power of two from 1 MiB to 4 GiB"),
        (|device| device.block_size = 8 * GIB, "block=8 GiB: must be a power of two from 1 MiB to 4 GiB"),
        (
            |device| device.slot_size = 96 * MIB,
            "slot=96 MiB: must be a power of two, at least the block size (2 MiB)",
        ),
        (
            |device| (device.block_size, device.slot_size) = (GIB, 128 * MIB),
            "slot=128 MiB: must be a power of two, at least the block size (1 GiB)",
        ),
        (
            |device| (device.size, device.block_size) = (384 * MIB, 256 * MIB),
            "size=384 MiB: must be a multiple of 256 MiB, and not 0",
        ),
        (
            |device| device.requested = 2 * GIB,
            "requested=2 GiB: must be a multiple of the block size (2 MiB), at most the device's size (1 GiB)",
        ),
        (
            |device| device.requested = MIB,
            "requested=1 MiB: must be a multiple of the block size (2 MiB), at most the device's size (1 GiB)",
        ),
        (
            |device| (device.requested, device.present) = (2 * MIB, false),
            "requested=2 MiB: must be 0 with present=off: who is not there cannot be asked",
        ),
        (|device| device.node = 2, "node=2: must be 0 to 1"),
    ];
    for (change, what) in table {
        let line = complaint(|spec| spec.windows[1] = virtio_mem(change));
        assert_eq!(line, format!("--memory-hotplug: {what}"));
    }
    let line = complaint(|spec| {
        spec.numa.clear();
        spec.windows[1] = virtio_mem(|device| device.node = 1);
    });
    assert_eq!(line, "--memory-hotplug: node=1: there is only node 0");
}

#[test]
fn devices_have_ids_of_their_own_and_are_not_too_many() {
    let line = complaint(|spec| spec.windows.push(virtio_mem(|_| {})));
    assert_eq!(line, "--memory-hotplug: id=vmem0: must be given to one device only");
    let line = complaint(|spec| spec.windows[1] = virtio_mem(|device| device.id = "a/b".to_owned()));
    assert!(line.starts_with("--memory-hotplug: id=\"a/b\": must be 1 to 64 letters"), "{line}");
    let line = complaint(|spec| {
        let device = |number| virtio_mem(|device| device.id = format!("v{number}"));
        spec.windows = (0..17).map(device).collect();
    });
    assert_eq!(line, "--memory-hotplug: method=virtio-mem: must be given 16 times at most, not 17");
}

#[test]
fn dimms_are_whole_memory_blocks() {
    let check = |sizes: &[u64]| DimmSpec { dimm: dimm(sizes), notify: Notify::DeviceCheck }.check();
    assert_eq!(check(&[128 * MIB]), Ok(()));
    for size in [0, 1, 64 * MIB, GIB + 4096, u64::MAX] {
        let bad = check(&[size]).expect_err("an invalid size");
        assert_eq!(bad.key, "size");
        assert!(bad.to_string().ends_with("must be a multiple of 128 MiB, and not 0"), "{bad}");
    }
    let complaint = |sizes: &[u64]| check(sizes).expect_err("invalid ranges").to_string();
    assert_eq!(complaint(&[]), "ranges=0: must be 1 to 8 ranges");
    assert_eq!(complaint(&[GIB; 9]), "ranges=9: must be 1 to 8 ranges");
    let rule = "must be a multiple of 128 MiB, and not 0";
    assert_eq!(complaint(&[GIB, MIB]), format!("ranges[1].size=1 MiB: {rule}"));
}

#[test]
fn gaps_lie_between_ranges_and_are_whole_memory_blocks_too() {
    let check = |gaps: [u64; 2], unaligned| {
        let ranges = gaps.map(|gap| DimmRange { size: GIB, gap }).to_vec();
        let dimm = Dimm { ranges, unaligned, ..dimm(&[]) };
        DimmSpec { dimm, notify: Notify::DeviceCheck }.check().map_err(|bad| bad.to_string())
    };
    assert_eq!(check([128 * MIB, 0], false), Ok(()));
    assert_eq!(check([3 * MIB, 0], true), Ok(()));
    let error = "ranges[0].gap=3 MiB: must be a multiple of 128 MiB";
    assert_eq!(check([3 * MIB, 0], false), Err(error.to_owned()));
    assert_eq!(check([0, GIB], false), Ok(()), "addresses behind the last range may stay free, too");
}

#[test]
fn dimms_at_boot_need_slots_names_and_nodes() {
    let mut spec = machine();
    spec.dimms = vec![dimm(&[GIB, 2 * GIB])];
    assert_eq!(spec.check(), Ok(()));
    let line = complaint(|spec| (spec.dimms, spec.windows) = (vec![dimm(&[GIB])], Vec::new()));
    assert!(line.starts_with("--dimm: id=d0: needs slots: give --memory-hotplug method=acpi"), "{line}");
    let line = complaint(|spec| spec.dimms = vec![Dimm { node: 2, ..dimm(&[GIB]) }]);
    assert_eq!(line, "--dimm: node=2: must be 0 to 1");
    let line = complaint(|spec| spec.dimms = vec![Dimm { id: "vmem0".to_owned(), ..dimm(&[GIB]) }]);
    assert_eq!(line, "--dimm: id=vmem0: must be given to one device only");
    let line = complaint(|spec| spec.dimms = vec![dimm(&[MIB])]);
    assert_eq!(line, "--dimm: size=1 MiB: must be a multiple of 128 MiB, and not 0");
    let line = complaint(|spec| {
        let dimm = |number: u32| Dimm { id: format!("d{number}"), ..dimm(&[GIB]) };
        spec.dimms = (0..17).map(dimm).collect();
    });
    assert!(line.starts_with("--dimm: id=d16: there are only 16 slots"), "{line}");
}
