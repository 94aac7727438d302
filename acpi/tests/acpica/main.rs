//! The tables held against ACPICA, the implementation that Linux has of ACPI: `iasl` takes them
//! apart and puts them together again, `acpiexec` runs the AML.

#![expect(clippy::unwrap_used, reason = "in a test, a failed unwrap is a failed test")]

mod events;
mod generation;
mod places;
mod processors;
mod registers;
mod round_trip;
mod tools;

use dimmer_acpi::platform::{Cpu, IoDevice, MemoryRange, MemorySlots, Platform, VirtioMmio};

/// Where the tests place the tables.
const BASE: u64 = 0xa_0000;
/// First port of the memory-hotplug registers.
const MEMORY_PORT: u16 = 0xa00;
/// Port of the Generic Event Device's register.
const GED_PORT: u16 = 0xb00;

/// Place of the generation ID: one that needs more than 32 bits.
const GENERATION_ID: u64 = 0x12_3456_7890;

/// Two nodes, a window, `slots` memory slots, and one device of every kind.
fn platform(slots: u16) -> Platform {
    let range = |start, size, node, hot_pluggable| MemoryRange { start, size, node, hot_pluggable };
    Platform {
        cpus: (0..4).map(|id| Cpu { uid: id, apic_id: id, node: id / 2, present: true }).collect(),
        memory: vec![
            range(0, 0x8000_0000, 0, false),
            range(4 << 30, 2 << 30, 1, false),
            range(6 << 30, 64 << 30, 1, true),
        ],
        persistent: Vec::new(),
        distances: vec![vec![10, 20], vec![30, 10]],
        performance: Vec::new(),
        processor_port: None,
        memory_slots: (slots > 0).then_some(MemorySlots { count: slots, port: MEMORY_PORT }),
        virtio: (0..3)
            .map(|n| VirtioMmio { address: 0xd000_0000 + n * 0x1000, size: 0x1000, gsi: 6 + n })
            .collect(),
        places: None,
        serial: IoDevice { port: 0x3f8, gsi: 4 },
        ged: IoDevice { port: GED_PORT, gsi: 5 },
        power_port: 0x600,
        pvpanic_port: 0x505,
        watchdog_port: Some(0xb20),
        generation_id: GENERATION_ID,
        io_apic: 0xfec0_0000,
        local_apic: 0xfee0_0000,
    }
}

/// Each table of `platform` with its signature, the RSDP as `RSDP`.
fn split(platform: &Platform) -> Vec<(String, Vec<u8>)> {
    let tables = dimmer_acpi::tables(platform, BASE);
    let rsdp = &tables.bytes[..36];
    let mut all = vec![("RSDP".to_owned(), rsdp.to_vec())];
    let at = |address: u64| {
        let bytes = &tables.bytes[usize::try_from(address - BASE).unwrap()..];
        let length = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
        let table = bytes[..usize::try_from(length).unwrap()].to_vec();
        (String::from_utf8(table[..4].to_vec()).unwrap(), table)
    };
    let address = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    all.push(at(address(&rsdp[24..32])));
    let listed: Vec<_> = all[1].1[36..].chunks(8).map(|entry| at(address(entry))).collect();
    let fadt = &listed.iter().find(|(signature, _)| signature == "FACP").unwrap().1;
    all.push(at(address(&fadt[140..148])));
    all.extend(listed);
    all
}

/// The DSDT of `platform`.
fn dsdt(platform: &Platform) -> Vec<u8> {
    let tables = split(platform);
    tables.into_iter().find(|(signature, _)| signature == "DSDT").unwrap().1
}

/// A DSDT with the fields `names` renamed, so that a model can have their names.
fn rename(mut table: Vec<u8>, names: &[&str]) -> Vec<u8> {
    for name in names {
        // The field is the name's first place: an object is defined before it is used.
        let at = table.windows(4).position(|window| window == name.as_bytes()).expect("the field exists");
        table[at] = b'X';
    }
    table[9] = 0;
    table[9] = table.iter().fold(0, |sum: u8, byte| sum.wrapping_sub(*byte));
    table
}
