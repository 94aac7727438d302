//! The tables as bytes. What ACPICA makes of them is in `tests/acpica`.

use crate::places::MAX_PLACES;
use crate::platform::{
    Cpu, IoDevice, MemoryPerformance, MemoryRange, MemorySlots, Places, Platform, VirtioMmio,
};
use crate::{ALIGNMENT, dsdt, fadt, hmat, hotplug, madt, power, slit, srat, table, tables};

fn cpu(uid: u32, apic_id: u32, node: u32) -> Cpu {
    Cpu { uid, apic_id, node, present: true }
}

fn platform() -> Platform {
    let range = |start, size, node, hot_pluggable| MemoryRange { start, size, node, hot_pluggable };
    Platform {
        cpus: vec![cpu(0, 0, 0), cpu(1, 1, 0x0102_0304)],
        memory: vec![range(0, 0x8000_0000, 0, false), range(6 << 30, 64 << 30, 0x0102_0304, true)],
        persistent: Vec::new(),
        distances: vec![vec![10, 20], vec![30, 10]],
        performance: Vec::new(),
        processor_port: None,
        memory_slots: Some(MemorySlots { count: 16, port: 0xa00 }),
        virtio: vec![VirtioMmio { address: 0xd000_0000, size: 0x1000, gsi: 6 }],
        places: None,
        serial: IoDevice { port: 0x3f8, gsi: 4 },
        ged: IoDevice { port: 0xb00, gsi: 5 },
        power_port: 0x600,
        pvpanic_port: 0x505,
        watchdog_port: Some(0xb20),
        generation_id: 0xf_f000,
        io_apic: 0xfec0_0000,
        local_apic: 0xfee0_0000,
    }
}

/// 255 processors and as many slots and transports as a machine can have.
fn largest() -> Platform {
    Platform {
        cpus: (0..255).map(|apic_id| cpu(apic_id, apic_id, apic_id % 8)).collect(),
        memory_slots: Some(MemorySlots { count: hotplug::MAX_SLOTS, port: 0xa00 }),
        places: Some(Places {
            port: 0xb40,
            transports: vec![VirtioMmio { address: 0xd010_0000, size: 0x1000, gsi: 5 }; MAX_PLACES],
        }),
        virtio: (0..32)
            .map(|n| VirtioMmio { address: 0xd000_0000 + n * 0x1000, size: 0x1000, gsi: 5 + n })
            .collect(),
        ..platform()
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

fn read_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

fn read_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
}

#[test]
fn a_table_has_a_right_length_and_checksum() {
    let table = table::table(*b"TEST", 7, &[1, 2, 3]);
    assert_eq!(table.len(), 39);
    assert_eq!(read_u32(&table, 4), 39);
    assert_eq!((&table[..4], table[8], &table[36..]), (&b"TEST"[..], 7, &[1, 2, 3][..]));
    assert_eq!(sum(&table), 0);
}

#[test]
fn madt_has_a_local_apic_per_processor_and_one_io_apic() {
    let madt = madt::madt(&platform());
    assert_eq!(read_u32(&madt, 36), 0xfee0_0000);
    assert_eq!(read_u32(&madt, 40), 0, "no 8259");
    assert_eq!(madt[44..52], [0, 8, 0, 0, 1, 0, 0, 0]);
    assert_eq!(madt[52..60], [0, 8, 1, 1, 1, 0, 0, 0]);
    assert_eq!(madt[60..], [1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0]);
}

#[test]
fn madt_lists_what_can_be_plugged_as_such() {
    let absent = |uid, apic_id| Cpu { present: false, ..cpu(uid, apic_id, 0) };
    let madt = madt::madt(&Platform { cpus: vec![cpu(0, 0, 0), absent(1, 1), absent(2, 255)], ..platform() });
    assert_eq!(madt[52..60], [0, 8, 1, 1, 2, 0, 0, 0]);
    assert_eq!(madt[60..76], [9, 16, 0, 0, 255, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn madt_and_srat_name_apic_ids_from_255_as_x2apics() {
    let cpus = vec![cpu(0, 254, 1), cpu(1, 255, 2)];
    let platform = Platform { cpus, ..platform() };
    let madt = madt::madt(&platform);
    assert_eq!(madt[44..52], [0, 8, 0, 254, 1, 0, 0, 0]);
    assert_eq!(madt[52..68], [9, 16, 0, 0, 255, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    let srat = srat::srat(&Platform { distances: Vec::new(), ..platform });
    assert_eq!(srat[48..64], [0, 16, 1, 254, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(srat[64..76], [2, 24, 0, 0, 2, 0, 0, 0, 255, 0, 0, 0]);
    assert_eq!(srat[76..88], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Linux numbers nodes as they come, and knows no others.
#[test]
fn srat_names_every_node_in_order_with_a_processor_of_its_own_or_one_that_is_not_there() {
    let cpus = vec![cpu(0, 0, 3), cpu(1, 254, 1), cpu(2, 2, 3)];
    let distances = vec![vec![10; 5]; 5];
    let srat = srat::srat(&Platform { cpus, distances, memory: Vec::new(), ..platform() });
    let entries: Vec<_> = srat[48..].chunks(16).map(|entry| (entry[2], entry[3], entry[4])).collect();
    assert_eq!(entries, [(0, 253, 1), (1, 254, 1), (2, 253, 1), (3, 0, 1), (3, 2, 1), (4, 253, 1)]);
}

#[test]
fn srat_places_processors_boot_ram_and_windows() {
    let srat = srat::srat(&platform());
    assert_eq!(read_u32(&srat, 36), 1, "reserved, and 1");
    assert_eq!(srat[80..96], [0, 16, 0x04, 1, 1, 0, 0, 0, 0, 0x03, 0x02, 0x01, 0, 0, 0, 0]);
    let memory: Vec<_> = srat[96..]
        .chunks(40)
        .map(|entry| {
            (
                entry[0],
                entry[1],
                read_u32(entry, 2),
                read_u64(entry, 8),
                read_u64(entry, 16),
                read_u32(entry, 28),
            )
        })
        .collect();
    // Flags: 1 is enabled, 2 hot-pluggable.
    assert_eq!(memory, [(1, 40, 0, 0, 0x8000_0000, 1), (1, 40, 0x0102_0304, 6 << 30, 64 << 30, 3)]);
}

#[test]
fn slit_is_the_matrix_row_by_row() {
    let slit = slit::slit(&platform());
    assert_eq!(read_u64(&slit, 36), 2);
    assert_eq!(slit[44..], [10, 20, 30, 10]);
}

fn performance(node: u32, latency: u32, bandwidth: u32) -> MemoryPerformance {
    MemoryPerformance { node, latency, bandwidth }
}

/// Node 3's memory is the nearest to node 1, whose processors are there.
#[test]
fn hmat_describes_memory_for_its_nearest_processors() {
    let distances = vec![vec![10, 20, 20, 30], vec![20, 10, 20, 15], vec![20, 20, 10, 11], vec![10; 4]];
    let absent = Cpu { present: false, ..cpu(2, 2, 2) };
    let described = vec![performance(0, 100, 20_000), performance(1, 110, 20_001), performance(3, 250, 5000)];
    let cpus = vec![cpu(0, 0, 0), cpu(1, 1, 1), absent];
    let hmat = hmat::hmat(&Platform { cpus, distances, performance: described, ..platform() });
    assert_eq!((hmat[8], read_u32(&hmat, 36)), (2, 0), "revision; reserved");
    let attributes: Vec<_> = hmat[40..160]
        .chunks(40)
        .map(|entry| (entry[0], read_u32(entry, 4), entry[8], read_u32(entry, 12), read_u32(entry, 16)))
        .collect();
    assert_eq!(attributes, [(0, 40, 1, 0, 0), (0, 40, 1, 1, 1), (0, 40, 1, 1, 3)]);
    let matrices = [&hmat[160..224], &hmat[224..]];
    let of = |matrix: &[u8]| {
        let words = |range: std::ops::Range<usize>| -> Vec<u32> {
            matrix[range].chunks(4).map(|word| read_u32(word, 0)).collect()
        };
        let entries: Vec<u16> =
            matrix[52..64].chunks(2).map(|entry| u16::from_le_bytes([entry[0], entry[1]])).collect();
        assert_eq!((matrix[0], read_u32(matrix, 4), words(12..20)), (1, 64, vec![2, 3]));
        assert_eq!(words(32..52), [0, 1, 0, 1, 3]);
        (matrix[9], read_u64(matrix, 24), entries)
    };
    assert_eq!(of(matrices[0]), (0, 1000, vec![100, 0, 0, 0, 110, 250]));
    assert_eq!(of(matrices[1]), (3, 1, vec![20_000, 0, 0, 0, 20_001, 5000]));
}

#[test]
fn hmat_counts_bandwidth_in_a_unit_in_which_the_highest_fits() {
    for (bandwidths, unit, entries) in
        [([65_534, 1], 1, [65_534, 1]), ([65_535, 12], 10, [6554, 2]), ([6_553_400, 1], 100, [65_534, 1])]
    {
        let described = vec![performance(0, 1, bandwidths[0]), performance(0x0102_0304, 1, bandwidths[1])];
        let hmat = hmat::hmat(&Platform { performance: described, ..platform() });
        let matrix = &hmat[hmat.len() - 56..];
        assert_eq!(read_u64(matrix, 24), unit);
        let entry = |index| u16::from_le_bytes([matrix[index], matrix[index + 1]]);
        assert_eq!([entry(48), entry(54)], entries);
    }
}

/// Linux takes no HMAT that describes memory of which the SRAT says nothing.
#[test]
fn srat_has_an_empty_range_of_a_node_that_is_described_before_it_has_memory() {
    let described = vec![performance(0, 1, 1), performance(7, 1, 1)];
    let with = srat::srat(&Platform { performance: described, ..platform() });
    let without = srat::srat(&platform());
    assert_eq!(with.len(), without.len() + 40);
    let entry = &with[without.len()..];
    assert_eq!((read_u32(entry, 2), read_u64(entry, 8), read_u64(entry, 16)), (7, 1 << 32, 0));
}

#[test]
fn fadt_is_hardware_reduced_with_sleep_and_reset_ports() {
    let fadt = fadt::fadt(&platform(), 0x1234);
    assert_eq!((fadt.len(), fadt[8]), (276, 6));
    let flags = read_u32(&fadt, 112);
    assert_eq!(flags & (1 << 20 | 1 << 10), 1 << 20 | 1 << 10, "HW_REDUCED_ACPI, RESET_REG_SUP");
    assert_eq!(fadt[109..111], [0x24, 0], "no VGA, no CMOS RTC, no 8042, no legacy devices");
    let register = |offset: usize| (fadt[offset], fadt[offset + 1], read_u64(&fadt, offset + 4));
    assert_eq!(register(116), (1, 8, u64::from(0x600 + power::RESET)));
    assert_eq!(fadt[128], power::RESET_VALUE);
    assert_eq!(register(244), (1, 8, u64::from(0x600 + power::SLEEP_CONTROL)));
    assert_eq!(register(256), (1, 8, u64::from(0x600 + power::SLEEP_STATUS)));
    assert_eq!((read_u64(&fadt, 132), read_u64(&fadt, 140)), (0, 0x1234), "no FACS; the DSDT");
}

#[test]
fn the_rsdp_leads_to_every_table() {
    for (platform, expected) in [
        (platform(), vec![&b"FACP"[..], b"APIC", b"SRAT", b"WDAT", b"SLIT"]),
        (Platform { distances: vec![vec![10]], ..platform() }, vec![&b"FACP"[..], b"APIC", b"SRAT", b"WDAT"]),
        (Platform { watchdog_port: None, ..platform() }, vec![&b"FACP"[..], b"APIC", b"SRAT", b"SLIT"]),
    ] {
        let base = 0xa_0000;
        let tables = tables(&platform, base);
        assert_eq!((tables.rsdp, tables.base), (base, base));
        assert_eq!(&tables.bytes[..8], b"RSD PTR ");
        assert_eq!((sum(&tables.bytes[..20]), sum(&tables.bytes[..36])), (0, 0));
        let table = |address: u64| {
            assert!(address.is_multiple_of(ALIGNMENT as u64), "{address:#x}");
            let bytes = &tables.bytes[usize::try_from(address - base).unwrap()..];
            let table = &bytes[..usize::try_from(read_u32(bytes, 4)).unwrap()];
            assert_eq!(sum(table), 0);
            table
        };
        let xsdt = table(read_u64(&tables.bytes, 24));
        let listed: Vec<_> = xsdt[36..].chunks(8).map(|entry| table(read_u64(entry, 0))).collect();
        assert_eq!(listed.iter().map(|table| &table[..4]).collect::<Vec<_>>(), expected);
        assert_eq!(&table(read_u64(listed[0], 140))[..4], b"DSDT");
    }
}

#[test]
fn the_largest_machine_fits_below_1_mib() {
    let size = tables(&largest(), 0xa_0000).bytes.len();
    assert!(size <= 300 << 10, "{size} bytes of tables");
}

#[test]
fn the_dsdt_mentions_memory_devices_only_where_there_are_slots() {
    let has = |platform: &Platform, name: &[u8]| dsdt::dsdt(platform).windows(4).any(|window| window == name);
    let without = Platform { memory_slots: None, ..platform() };
    assert!(has(&platform(), b"MHPC") && has(&platform(), b"M00F") && !has(&platform(), b"M010"));
    assert!(!has(&without, b"MHPC") && !has(&without, b"M000"));
}

#[test]
#[should_panic(expected = "1025 memory slots")]
fn more_slots_than_the_registers_allow_are_refused() {
    let memory_slots = Some(MemorySlots { count: hotplug::MAX_SLOTS + 1, port: 0xa00 });
    tables(&Platform { memory_slots, ..platform() }, 0xa_0000);
}
