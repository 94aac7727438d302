//! Where memory goes for the flags of a machine.

use super::*;
use crate::placement::Placement;
use crate::spec::sample::{self, acpi};
use crate::spec::{FirmwareRangeKind, FirmwareRangeSpec, PmemSpec, WindowSpec};
use crate::units::MIB;
use proptest::prelude::*;

fn spec(size: u64, low: u64, windows: Vec<WindowSpec>) -> MachineSpec {
    MachineSpec { memory: sample::memory(size, low), windows, ..sample::machine() }
}

fn virtio_mem(size: u64, block_size: u64) -> WindowSpec {
    WindowSpec::VirtioMem(sample::virtio_mem(size, block_size))
}

fn firmware(kind: FirmwareRangeKind, size: u64, start: Option<u64>) -> FirmwareRangeSpec {
    FirmwareRangeSpec { kind, start, size, node: 0 }
}

use FirmwareRangeKind::{Pmem, Reserved, SoftReserved};

#[test]
fn a_4_gib_machine_has_its_first_window_at_block_48() {
    let layout = Layout::plan(&spec(4 * GIB, 2 * GIB, vec![acpi(24 * GIB), virtio_mem(GIB, 2 * MIB)]), 40);
    let layout = layout.unwrap();
    assert_eq!(layout.ram, [GuestRange::new(0, 2 * GIB), GuestRange::new(4 * GIB, 2 * GIB)]);
    assert_eq!(layout.windows[0].start, 48 * 128 * MIB);
    assert_eq!(layout.windows[1], GuestRange::new(30 * GIB, GIB));
}

#[test]
fn a_small_machine_has_its_first_window_at_4_gib() {
    let layout = Layout::plan(&spec(256 * MIB, 2 * GIB, vec![acpi(GIB)]), 40).unwrap();
    assert_eq!(layout.ram, [GuestRange::new(0, 256 * MIB)]);
    assert_eq!(layout.windows[0].start, 4 * GIB);
}

#[test]
fn high_ram_takes_the_windows_with_it() {
    let mut spec = spec(4 * GIB, 2 * GIB, vec![acpi(GIB), virtio_mem(8 * GIB, 4 * GIB)]);
    spec.memory.high = 62 * GIB;
    let layout = Layout::plan(&spec, 40).unwrap();
    assert_eq!(layout.ram, [GuestRange::new(0, 2 * GIB), GuestRange::new(62 * GIB, 2 * GIB)]);
    let windows = [GuestRange::new(64 * GIB, GIB), GuestRange::new(68 * GIB, 8 * GIB)];
    assert_eq!(layout.windows, windows, "aligned to the device's blocks");
    spec.memory.high = 1 << 40;
    let error = Layout::plan(&spec, 40).unwrap_err().to_string();
    assert_eq!(error, "--memory: size=4 GiB reaches past this CPU's 40 physical address bits (1 TiB)");
    spec.memory.high = 1 << 41;
    let error = Layout::plan(&spec, 40).unwrap_err().to_string();
    assert_eq!(error, "--memory: high=2 TiB reaches past this CPU's 40 physical address bits (1 TiB)");
}

#[test]
fn nodes_take_ram_in_order_across_the_hole() {
    let mut spec = spec(4 * GIB, 3 * GIB, Vec::new());
    spec.numa = vec![sample::node(0, &[], 2 * GIB), sample::node(1, &[], 2 * GIB)];
    let piece = |start, size, node| RamRange { range: GuestRange::new(start, size), node };
    assert_eq!(
        Layout::plan(&spec, 40).unwrap().nodes,
        [piece(0, 2 * GIB, 0), piece(2 * GIB, GIB, 1), piece(4 * GIB, GIB, 1)]
    );
}

#[test]
fn what_the_cpu_cannot_address_is_an_error_that_says_what_fits() {
    let error = Layout::plan(&spec(4 * GIB, 2 * GIB, vec![acpi(GIB), acpi(1 << 40)]), 40).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("window 2") && text.contains("40 physical"), "{text}");
    assert!(text.contains("at most 1017 GiB"), "{text}");
    let error = Layout::plan(&spec(u64::MAX / 4096 * 4096, 2 * GIB, vec![]), 40).unwrap_err();
    assert!(error.to_string().contains("--memory"), "{error}");
}

#[test]
fn firmware_ranges_follow_ram_and_windows_follow_them() {
    let mut spec = spec(4 * GIB + 64 * MIB, 2 * GIB, vec![acpi(GIB)]);
    spec.firmware_ranges = vec![
        firmware(Pmem, 32 * MIB, None),
        firmware(Reserved, GIB, Some(2 * GIB)),
        firmware(Reserved, 64 * MIB, Some(6 * GIB + 128 * MIB)),
    ];
    let layout = Layout::plan(&spec, 40).unwrap();
    let placed: Vec<_> = layout.firmware.iter().map(|piece| (piece.range, piece.kind)).collect();
    let expected = [
        (GuestRange::new(2 * GIB, GIB), Reserved),
        (GuestRange::new(6 * GIB + 64 * MIB, 32 * MIB), Pmem),
        (GuestRange::new(6 * GIB + 128 * MIB, 64 * MIB), Reserved),
    ];
    assert_eq!(placed, expected);
    assert_eq!(layout.windows[0].start, 7 * GIB);
}

#[test]
fn soft_reserved_ranges_keep_their_nodes() {
    let mut spec = spec(4 * GIB, 2 * GIB, Vec::new());
    let soft = |node, start| FirmwareRangeSpec { node, ..firmware(SoftReserved, GIB, start) };
    spec.firmware_ranges = vec![soft(1, None), firmware(Pmem, MIB, None), soft(0, Some(2 * GIB))];
    let layout = Layout::plan(&spec, 40).unwrap();
    let placed: Vec<_> = layout.soft_reserved().map(|piece| (piece.range, piece.node)).collect();
    assert_eq!(placed, [(GuestRange::new(2 * GIB, GIB), 0), (GuestRange::new(6 * GIB, GIB), 1)]);
}

#[test]
fn firmware_ranges_lie_on_nothing_else() {
    let table = [
        (firmware(Pmem, GIB, Some(GIB)), "0x40000000..0x80000000 lies on boot RAM (0x0..0x80000000)"),
        (firmware(Reserved, 2 * GIB, Some(2 * GIB)), "0x80000000..0x100000000 lies on device registers"),
        (firmware(Reserved, GIB, Some(1 << 40)), "0x10000000000..0x10040000000 reaches past 0x10000000000"),
        (firmware(Reserved, GIB, Some(u64::MAX - 4095)), "reaches past 0x10000000000"),
    ];
    for (range, what) in table {
        let mut spec = spec(4 * GIB, 2 * GIB, Vec::new());
        spec.firmware_ranges = vec![range];
        let error = Layout::plan(&spec, 40).unwrap_err().to_string();
        assert!(error.starts_with("--firmware-range: ") && error.contains(what), "{error}");
    }
    let mut spec = spec(4 * GIB, 2 * GIB, Vec::new());
    spec.firmware_ranges =
        vec![firmware(Pmem, GIB, None), firmware(Reserved, GIB, Some(6 * GIB + 512 * MIB))];
    let error = Layout::plan(&spec, 40).unwrap_err().to_string();
    assert!(error.contains("lies on another range of the firmware (0x180000000..0x1c0000000)"), "{error}");
}

fn at(size: u64, start: Option<u64>, align: Option<u64>) -> WindowSpec {
    WindowSpec::Acpi { slots: 1, size, placement: Placement { start, align } }
}

#[test]
fn a_window_lies_where_it_is_told_to_and_the_others_around_it() {
    let windows = vec![virtio_mem(4 * GIB, GIB), at(GIB, Some(2 * GIB), None), virtio_mem(GIB, 2 * MIB)];
    let starts = |windows| {
        let layout = Layout::plan(&spec(4 * GIB, 2 * GIB, windows), 40).unwrap();
        layout.windows.iter().map(|range| range.start / MIB).collect::<Vec<_>>()
    };
    assert_eq!(starts(windows), [6 << 10, 2 << 10, 10 << 10], "also below 4 GiB");
    let windows = vec![at(GIB, Some(8 * GIB), None), virtio_mem(4 * GIB, GIB), virtio_mem(GIB, 2 * MIB)];
    assert_eq!(starts(windows), [8 << 10, 9 << 10, 13 << 10], "there are not 4 GiB before it");
    assert_eq!(starts(vec![at(GIB, None, Some(4 * GIB))]), [8 << 10]);
    assert_eq!(starts(vec![at(GIB, None, Some(128 * MIB))]), [6 << 10]);
}

#[test]
fn kaslr_may_leave_10_tib_behind_ram() {
    let reach = |size| Layout::plan(&spec(size, 2 * GIB, Vec::new()), 46).unwrap().reach_with_kaslr();
    assert_eq!((reach(4 * GIB), reach(1022 * GIB)), (11 << 40, 11 << 40));
    assert_eq!(reach(1023 * GIB), 12 << 40, "RAM goes on at 4 GiB");
}

#[test]
fn a_window_lies_on_nothing_else() {
    let table = [
        (
            vec![at(GIB, Some(5 * GIB), None)],
            "0x140000000..0x180000000 lies on boot RAM (0x100000000..0x180000000)",
        ),
        (vec![at(2 * GIB, Some(2 * GIB), None)], "0x80000000..0x100000000 lies on device registers"),
        (vec![at(GIB, Some(1 << 40), None)], "0x10000000000..0x10040000000 reaches past 0x10000000000"),
        (
            vec![at(GIB, Some(8 * GIB), None), at(GIB, Some(8 * GIB), None)],
            "0x200000000..0x240000000 lies on another window (0x200000000..0x240000000)",
        ),
    ];
    for (windows, what) in table {
        let error = Layout::plan(&spec(4 * GIB, 2 * GIB, windows), 40).unwrap_err().to_string();
        assert!(error.starts_with("--memory-hotplug: ") && error.contains(what), "{error}");
    }
}

#[test]
fn windows_behind_64_gib_of_ram_are_made_of_the_largest_blocks() {
    let windows = || vec![acpi(16 * GIB), virtio_mem(GIB, 2 * MIB), virtio_mem(GIB, 2 * MIB)];
    let layout = Layout::plan(&spec(63 * GIB, 2 * GIB, windows()), 40).unwrap();
    let starts = |layout: &Layout| layout.windows.iter().map(|range| range.start / GIB).collect::<Vec<_>>();
    assert_eq!((starts(&layout), layout.alignment), (vec![66, 82, 84], Alignment::Natural));
    let layout = Layout::plan(&spec(60 * GIB, 2 * GIB, windows()), 40).unwrap();
    assert_eq!((starts(&layout), layout.alignment), (vec![62, 78, 79], Alignment::Gibibyte));
}

proptest! {
    #[test]
    fn nothing_overlaps_and_windows_keep_their_alignment(
        size in 1u64..64, low in 1u64..24, high in 32u64..600,
        ranges in prop::collection::vec((1u64..600, any::<bool>()), 0..4),
        sizes in prop::collection::vec((1u64..40, 20u32..33), 0..5)
    ) {
        let windows = sizes.iter().map(|(size, bits)| virtio_mem(*size << *bits, 1 << *bits)).collect();
        let mut spec = spec(size * 128 * MIB, low * 128 * MIB, windows);
        spec.memory.high = high * 128 * MIB;
        // A machine whose RAM is all low has these behind it, below the registers when they fit.
        let start = spec.memory.high.max(4 * GIB) + spec.memory.size;
        let kind = |pmem| if pmem { Pmem } else { Reserved };
        spec.firmware_ranges = ranges
            .iter()
            .enumerate()
            .map(|(index, (mib, pmem))| firmware(kind(*pmem), mib * MIB, (index == 0).then_some(start)))
            .collect();
        let layout = Layout::plan(&spec, 46).unwrap();
        let total: u64 = layout.ram.iter().map(|range| range.size).sum();
        prop_assert_eq!(total, spec.memory.size);
        let mut all = layout.ram.clone();
        all.extend(layout.firmware.iter().map(|piece| piece.range));
        all.extend(&layout.windows);
        prop_assert!(all.windows(2).all(|pair| pair[0].end() <= pair[1].start));
        prop_assert!(all.iter().all(|range| !range.overlaps(&REGISTERS)));
        for (range, (_, bits)) in layout.windows.iter().zip(&sizes) {
            prop_assert_eq!(range.start % GIB.max(1 << bits), 0);
            prop_assert!(range.start >= HIGH_RAM_START);
        }
    }
}

#[test]
fn persistent_memory_has_blocks_of_its_own_behind_the_windows() {
    let pmem = |size| PmemSpec { id: "p".to_owned(), path: "/p".into(), size: Some(size), readonly: false };
    let pmems = vec![pmem(6 * MIB), pmem(GIB + 2 * MIB), pmem(2 * MIB)];
    let spec = MachineSpec { windows: vec![sample::acpi(2 * GIB)], pmems, ..sample::machine() };
    let layout = Layout::plan(&spec, 40).unwrap();
    let without = Layout::plan(&MachineSpec { pmems: Vec::new(), ..spec.clone() }, 40).unwrap();
    assert_eq!((&layout.windows, &layout.ram), (&without.windows, &without.ram));
    let starts: Vec<_> = layout.pmems.iter().map(|range| range.start / GIB).collect();
    assert_eq!(starts, [8, 9, 11]);
    let large = MachineSpec { memory: sample::memory(64 * GIB, 2 * GIB), ..spec.clone() };
    assert_eq!(Layout::plan(&large, 40).unwrap().pmems[1].start, 70 * GIB);
    let error = Layout::plan(&spec, 33).unwrap_err().to_string();
    assert!(error.starts_with("--pmem") && error.contains("0x200000000"), "{error}");
}
