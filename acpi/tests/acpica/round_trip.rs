//! Every table, disassembled and assembled again, is the same table.

use std::fs;

use dimmer_acpi::platform::{MemoryPerformance, MemoryRange, Platform};

use crate::places::with_places;
use crate::processors::with_processors;
use crate::tools::run;
use crate::{platform, split};

/// Bytes of a table's header that the assembler writes itself: checksum, creator id and revision.
const STAMPED: [std::ops::Range<usize>; 2] = [9..10, 28..36];

/// The table without what the assembler writes itself.
fn unstamped(table: &[u8]) -> Vec<u8> {
    let mut table = table.to_vec();
    STAMPED.into_iter().for_each(|range| table[range].fill(0));
    table
}

/// All tables but the RSDP, which the disassembler does not take.
fn sdts(platform: &Platform) -> Vec<(String, Vec<u8>)> {
    split(platform).into_iter().filter(|(signature, _)| signature != "RSDP").collect()
}

fn check_round_trip(machine: &Platform) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (signature, table) in sdts(machine) {
        fs::write(path.join("table.aml"), &table).unwrap();
        run("iasl", &["-d", "table.aml"], path);
        let source = fs::read_to_string(path.join("table.dsl")).unwrap();
        assert!(!source.contains("External ("), "{signature} uses a name that it does not have:\n{source}");
        assert!(!source.contains("Invalid"), "{signature}:\n{source}");
        // -oa: no optimisation, so that what comes back depends on the source alone.
        let said = run("iasl", &["-oa", "-p", "again", "table.dsl"], path);
        assert!(said.contains("0 Errors, 0 Warnings"), "{signature}:\n{said}");
        let again = fs::read(path.join("again.aml")).unwrap();
        assert_eq!(unstamped(&table), unstamped(&again), "{signature}:\n{source}");
    }
}

#[test]
fn every_table_survives_disassembly_and_assembly() {
    check_round_trip(&platform(16));
}

#[test]
fn every_table_survives_with_the_most_slots() {
    check_round_trip(&platform(dimmer_acpi::hotplug::MAX_SLOTS));
}

#[test]
fn every_table_survives_without_slots() {
    check_round_trip(&platform(0));
}

#[test]
fn every_table_survives_with_processors_to_be_plugged() {
    // This disassembler knows no x2APIC that can be plugged: the flag would be lost on the way.
    let mut machine = with_processors();
    machine.cpus.truncate(200);
    check_round_trip(&machine);
}

#[test]
fn every_table_survives_with_memory_that_is_described() {
    let described = |node, latency| MemoryPerformance { node, latency, bandwidth: 100_000 };
    let machine = Platform { performance: vec![described(0, 100), described(1, 250)], ..platform(16) };
    assert!(sdts(&machine).iter().any(|(signature, _)| signature == "HMAT"));
    check_round_trip(&machine);
}

#[test]
fn every_table_survives_with_places_for_virtio_devices() {
    check_round_trip(&with_places());
}

/// Persistent memory on two nodes.
fn with_nvdimms() -> Platform {
    let range = |start, node| MemoryRange { start, size: 1 << 30, node, hot_pluggable: false };
    Platform { persistent: vec![range(100 << 30, 0), range(200 << 30, 1)], ..platform(16) }
}

#[test]
fn every_table_survives_with_persistent_memory() {
    check_round_trip(&with_nvdimms());
}

#[test]
fn the_disassembler_understands_the_ranges_of_persistent_memory() {
    let directory = tempfile::tempdir().unwrap();
    let (_, table) = sdts(&with_nvdimms()).into_iter().find(|(signature, _)| signature == "NFIT").unwrap();
    fs::write(directory.path().join("table.aml"), &table).unwrap();
    run("iasl", &["-d", "table.aml"], directory.path());
    let source = fs::read_to_string(directory.path().join("table.dsl")).unwrap();
    for line in [
        "Subtable Type : 0000 [System Physical Address Range]",
        "Proximity Domain Valid : 1",
        "Region Type GUID : 66F0D379-B4F3-4074-AC43-0D3318B78CDB",
        "Address Range Base : 0000003200000000",
        "Address Range Length : 0000000040000000",
        "Memory Map Attribute : 0000000000008008",
    ] {
        assert!(source.contains(line), "{line}\n{source}");
    }
}

#[test]
fn the_disassembler_finds_every_checksum_right() {
    let directory = tempfile::tempdir().unwrap();
    for (signature, table) in sdts(&platform(16)) {
        fs::write(directory.path().join("table.aml"), &table).unwrap();
        let said = run("iasl", &["-d", "table.aml"], directory.path());
        assert!(!said.to_lowercase().contains("checksum"), "{signature}:\n{said}");
    }
}

#[test]
fn the_assembler_makes_the_same_rsdp() {
    let tables = split(&platform(16));
    let (rsdp, xsdt) = (&tables[0].1, &tables[1].0);
    assert_eq!(xsdt, "XSDT", "the RSDP leads to the XSDT");
    let address = u64::from_le_bytes(rsdp[24..32].try_into().unwrap());
    let source = format!(
        "Signature : \"RSD PTR \"\nChecksum : 00\nOem ID : \"DIMMER\"\nRevision : 02\nRSDT Address : 0\n\
         Length : 24\nXSDT Address : {address:X}\nExtended Checksum : 00\nReserved : 000000\n"
    );
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("rsdp.asl"), source).unwrap();
    run("iasl", &["rsdp.asl"], directory.path());
    assert_eq!(&fs::read(directory.path().join("rsdp.aml")).unwrap(), rsdp);
}
