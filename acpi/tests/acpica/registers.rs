//! The memory devices' methods against the register block, which here is plain memory: the test
//! writes what the device would answer and reads what the guest would write.

use std::fmt::Write;

use dimmer_acpi::hotplug;

use crate::tools::{Interpreter, buffer, integers};
use crate::{MEMORY_PORT, dsdt, platform};

/// Size of a QWord address space descriptor in a resource template.
const DESCRIPTOR: usize = 46;
/// A resource template's last two bytes: the end tag and a checksum of 0, which stands for none.
const END_TAG: [u8; 2] = [0x79, 0];

/// The registers by their offsets, as methods: `Wnn (value)` writes and `Rnn` reads.
fn register_access() -> String {
    let mut source = format!("OperationRegion (TREG, SystemIO, {MEMORY_PORT}, {})\n", hotplug::SIZE);
    source += "Field (TREG, DWordAcc, NoLock, Preserve) {\n";
    for offset in (0..hotplug::SIZE).step_by(4) {
        writeln!(source, "F{offset:03X}, 32,").unwrap();
    }
    source += "}\n";
    for offset in (0..hotplug::SIZE).step_by(4) {
        writeln!(source, "Method (W{offset:03X}, 1) {{ F{offset:03X} = Arg0 }}").unwrap();
        writeln!(source, "Method (R{offset:03X}, 0) {{ Return (F{offset:03X}) }}").unwrap();
    }
    source
}

fn interpreter() -> Interpreter {
    Interpreter::new(&dsdt(&platform(hotplug::MAX_SLOTS)), &register_access())
}

fn write(register: u16, value: u32) -> String {
    format!("\\W{register:03X} 0x{value:x}")
}

fn read(register: u16) -> String {
    format!("\\R{register:03X}")
}

/// Evaluates `method` of a slot's device after `writes`, then reads `reads`.
fn evaluate(slot: u16, method: &str, writes: &[(u16, u32)], reads: &[u16]) -> (String, Vec<u64>) {
    evaluate_in(&format!(".N{slot:03X}.M{slot:03X}"), method, writes, reads)
}

/// The same of any device, by its name below the controller.
fn evaluate_in(device: &str, method: &str, writes: &[(u16, u32)], reads: &[u16]) -> (String, Vec<u64>) {
    let mut commands: Vec<String> = writes.iter().map(|&(register, value)| write(register, value)).collect();
    commands.push(format!("\\_SB.MHPC{device}.{method}"));
    commands.extend(reads.iter().map(|&register| read(register)));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let results = interpreter().evaluate(&commands);
    let (result, values) = (&results[writes.len()], &results[writes.len() + 1..]);
    (result.clone(), values.iter().flat_map(|value| integers(value)).collect())
}

#[test]
fn sta_reads_the_status_of_the_selected_slot() {
    for slot in [0, 1, 255, 256, 1023] {
        let writes = [(hotplug::SLOT, 0xffff), (hotplug::STATUS, hotplug::STATUS_PRESENT)];
        let (result, selected) = evaluate(slot, "_STA", &writes, &[hotplug::SLOT]);
        assert_eq!(integers(&result), [0xf]);
        assert_eq!(selected, [u64::from(slot)]);
    }
}

#[test]
fn sta_of_an_empty_slot_is_zero() {
    let (result, _) = evaluate(3, "_STA", &[(hotplug::STATUS, 0)], &[]);
    assert_eq!(integers(&result), [0]);
}

#[test]
fn pxm_reads_the_proximity_of_the_selected_slot() {
    let (result, selected) = evaluate(1023, "_PXM", &[(hotplug::PROXIMITY, 7)], &[hotplug::SLOT]);
    assert_eq!(integers(&result), [7]);
    assert_eq!(selected, [1023]);
}

#[test]
fn ost_writes_source_and_status_of_the_selected_slot() {
    let reads = [hotplug::SLOT, hotplug::OST_SOURCE, hotplug::OST_STATUS];
    let (_, values) = evaluate(1023, "_OST 0x103 0x84 (00)", &[], &reads);
    assert_eq!(values, [1023, 0x103, 0x84]);
}

#[test]
fn ost_of_the_container_writes_the_number_that_stands_for_it() {
    let reads = [hotplug::SLOT, hotplug::OST_SOURCE, hotplug::OST_STATUS];
    let writes = [(hotplug::SLOT, 3), (hotplug::OST_SOURCE, 9), (hotplug::OST_STATUS, 9)];
    let (_, values) = evaluate_in("", "_OST 0 0 (00)", &writes, &reads);
    assert_eq!(values, [u64::from(hotplug::CONTAINER), 0, 0]);
}

#[test]
fn a_bay_has_its_slot_as_address() {
    for slot in [0, 1023] {
        let results = interpreter().evaluate(&[&format!("\\_SB.MHPC.N{slot:03X}._ADR")]);
        assert_eq!(integers(&results[0]), [slot]);
    }
}

/// With a hardware id a bay would become a platform device of the guest, with `_STA` it would cost one
/// more access for each look at a slot.
#[test]
fn a_slot_adds_one_hardware_id_and_one_status() {
    let (one, two) = (dsdt(&platform(1)), dsdt(&platform(2)));
    for name in [b"_HID", b"_STA", b"_ADR"] {
        let count = |table: &[u8]| table.windows(4).filter(|window| window == name).count();
        assert_eq!(count(&two) - count(&one), 1);
    }
}

#[test]
fn ej0_ejects_the_selected_slot() {
    let (_, values) = evaluate(1, "_EJ0 1", &[], &[hotplug::SLOT, hotplug::EJECT]);
    assert_eq!(values, [1, 1]);
}

#[test]
fn crs_of_an_empty_slot_has_no_descriptor() {
    let (result, selected) = evaluate(1023, "_CRS", &[(hotplug::RANGE, 0)], &[hotplug::SLOT]);
    assert_eq!(buffer(&result), END_TAG);
    assert_eq!(selected, [1023]);
}

#[test]
fn crs_describes_one_range_above_4_gib() {
    let writes = [
        (hotplug::RANGE, 1),
        (hotplug::BASE_LOW, 0x4000_0000),
        (hotplug::BASE_HIGH, 0x12),
        (hotplug::LENGTH_LOW, 0xc800_0000),
        (hotplug::LENGTH_HIGH, 0x3),
    ];
    let (result, _) = evaluate(0, "_CRS", &writes, &[]);
    let template = buffer(&result);
    assert_eq!(template.len(), DESCRIPTOR + END_TAG.len());
    assert_eq!(&template[..3], [0x8a, 0x2b, 0], "a QWord address space descriptor");
    assert_eq!(&template[3..6], [0, 0x0c, 0x03], "cacheable, writable memory at a fixed place");
    let field = |offset: usize| u64::from_le_bytes(template[offset..offset + 8].try_into().unwrap());
    assert_eq!([6, 14, 22, 30, 38].map(field), [0, 0x12_4000_0000, 0x16_07ff_ffff, 0, 0x3_c800_0000]);
}

#[test]
fn crs_describes_as_many_ranges_as_the_slot_has() {
    for count in 1..=hotplug::MAX_RANGES {
        let writes = [(hotplug::RANGE, u32::try_from(count).unwrap()), (hotplug::LENGTH_LOW, 0x800_0000)];
        let (result, selected) = evaluate(2, "_CRS", &writes, &[hotplug::RANGE]);
        assert_eq!(buffer(&result).len(), count * DESCRIPTOR + END_TAG.len());
        assert_eq!(selected, [count as u64 - 1], "the last range was selected last");
    }
}
