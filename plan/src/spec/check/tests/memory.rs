//! Boot RAM, its backing, and the other ranges of the firmware's memory map.

use super::{complaint, machine, virtio_mem};
use crate::spec::{Backing, FirmwareRangeKind, FirmwareRangeSpec};
use crate::units::{GIB, KIB, MIB};

#[test]
fn boot_ram_is_whole_pages_and_enough() {
    let rule = "must be a multiple of 4 KiB, at least 64 MiB";
    for (size, shown) in [(0, "0 bytes"), (4 * GIB + 1, "4294967297 bytes"), (60 * MIB, "60 MiB")] {
        let line = complaint(|spec| spec.memory.size = size);
        assert_eq!(line, format!("--memory: size={shown}: {rule}"));
    }
    let line = complaint(|spec| spec.memory.size = u64::MAX - 4095);
    assert_eq!(line, "--memory: size=18014398509481980 KiB: boot RAM must end within 4096 TiB");
}

#[test]
fn low_ram_leaves_room_for_registers() {
    let rule = "must be a multiple of 4 KiB, from 64 MiB to 3 GiB";
    let table = [
        (0, "0 bytes"),
        (4 * GIB, "4 GiB"),
        (3 * GIB + 4 * KIB, "3145732 KiB"),
        (GIB + 1, "1073741825 bytes"),
    ];
    for (low, shown) in table {
        let line = complaint(|spec| spec.memory.low = low);
        assert_eq!(line, format!("--memory: low={shown}: {rule}"));
    }
}

#[test]
fn high_ram_begins_at_a_memory_block_above_4_gib() {
    for (high, shown) in [(2 * GIB, "2 GiB"), (62 * GIB + MIB, "63489 MiB"), (0, "0 bytes")] {
        let line = complaint(|spec| spec.memory.high = high);
        assert_eq!(line, format!("--memory: high={shown}: must be a multiple of 128 MiB, at least 4 GiB"));
    }
    let line = complaint(|spec| (spec.memory.size, spec.memory.high) = (2 * GIB, 62 * GIB));
    assert_eq!(line, "--memory: high=62 GiB: no RAM is left to be there: size=2 GiB is all low");
    let line = complaint(|spec| spec.memory.high = 1 << 52);
    assert_eq!(line, "--memory: size=4 GiB: boot RAM must end within 4096 TiB");
    let mut spec = machine();
    spec.memory.high = 62 * GIB;
    assert_eq!(spec.check(), Ok(()));
}

#[test]
fn everything_is_whole_huge_pages_where_the_host_has_no_others() {
    let mut spec = machine();
    spec.memory.backing = Backing::Hugetlb(2 * MIB);
    assert_eq!(spec.check(), Ok(()));
    let gib = |spec: &mut crate::spec::MachineSpec| {
        spec.memory.backing = Backing::Hugetlb(GIB);
        spec.windows[1] = virtio_mem(|device| (device.block_size, device.slot_size) = (GIB, GIB));
    };
    gib(&mut spec);
    assert_eq!(spec.check(), Ok(()));
    let line = complaint(|spec| spec.memory.backing = Backing::Hugetlb(4 * MIB));
    assert_eq!(line, "--memory: page=4 MiB: must be 2M or 1G");
    let line = complaint(|spec| {
        gib(spec);
        spec.memory.size += 512 * MIB;
    });
    assert_eq!(line, "--memory: size=4608 MiB: must be a multiple of 1 GiB, at least 64 MiB");
    let line = complaint(|spec| {
        gib(spec);
        spec.memory.low = 512 * MIB;
    });
    assert_eq!(line, "--memory: low=512 MiB: must be a multiple of 1 GiB, from 64 MiB to 3 GiB");
    let line = complaint(|spec| {
        gib(spec);
        spec.numa[0].memory = GIB + 512 * MIB;
    });
    assert_eq!(line, "--numa: memory=1536 MiB: must be a multiple of 1 GiB");
    let line = complaint(|spec| {
        gib(spec);
        spec.windows[1] = virtio_mem(|_| {});
    });
    assert_eq!(line, "--memory-hotplug: block=2 MiB: must be a power of two from 1 GiB to 4 GiB");
    let line = complaint(|spec| {
        gib(spec);
        spec.dimms = vec![super::devices::dimm(&[512 * MIB])];
    });
    let rule = "sizes and gaps must be multiples of the host's huge pages of 1 GiB";
    assert_eq!(line, format!("--dimm: size=512 MiB: {rule}"));
}

#[test]
fn firmware_ranges_are_whole_pages() {
    let range = |size, start| FirmwareRangeSpec { kind: FirmwareRangeKind::Pmem, size, start, node: 0 };
    let mut spec = machine();
    spec.firmware_ranges = vec![range(192 * MIB, None), range(4 * KIB, Some(64 * GIB))];
    assert_eq!(spec.check(), Ok(()));
    let table = [
        (range(0, None), "size=0 bytes: must be a multiple of 4 KiB, and not 0"),
        (range(100, None), "size=100 bytes: must be a multiple of 4 KiB, and not 0"),
        (range(MIB, Some(1)), "start=0x1: must be a multiple of 4 KiB"),
        (range(1 << 52, None), "size=4096 TiB: all ranges must end within 4096 TiB"),
        (range(MIB, Some(1 << 52)), "size=1 MiB: all ranges must end within 4096 TiB"),
    ];
    for (range, what) in table {
        let line = complaint(|spec| spec.firmware_ranges = vec![range]);
        assert_eq!(line, format!("--firmware-range: {what}"));
    }
    let line = complaint(|spec| spec.firmware_ranges = vec![range(MIB, None); 65]);
    assert_eq!(
        line,
        "--firmware-range: kind=pmem|nvdimm|reserved|soft-reserved: must be given 64 times at most, not 65"
    );
}

#[test]
fn a_range_with_a_node_is_of_one_that_there_is_and_no_other_has_one() {
    let range = |kind, node| FirmwareRangeSpec { kind, size: MIB, start: None, node };
    for kind in [FirmwareRangeKind::SoftReserved, FirmwareRangeKind::Nvdimm] {
        let line = complaint(|spec| spec.firmware_ranges = vec![range(kind, 2)]);
        assert!(line.starts_with("--firmware-range: node=2: "), "{line}");
    }
    let line = complaint(|spec| spec.firmware_ranges = vec![range(FirmwareRangeKind::Pmem, 1)]);
    assert_eq!(line, "--firmware-range: node=1: must be of a range of kind=nvdimm or kind=soft-reserved");
}
