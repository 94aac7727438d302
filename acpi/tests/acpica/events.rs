//! Notifications and ranges against a model of the two devices in ASL.
//!
//! Plain memory cannot model a register that changes when it is read. So the fields of the DSDT are
//! renamed, and the test's table puts methods in their places; the methods under test stay byte for
//! byte what they are.

use dimmer_acpi::ged;
use dimmer_acpi::hotplug::{
    CONTAINER, MAX_RANGES, MAX_SLOTS, NOTIFY_BUS_CHECK, NOTIFY_DEVICE_CHECK, NOTIFY_EJECT_REQUEST,
};

use crate::tools::{Interpreter, buffer};
use crate::{dsdt, platform, rename};

/// The model: `EVNT` pops from a queue, `EVTS` reads and clears, and each range of each slot has an
/// address and a length of its own.
const MODEL: &str = r"
    External (\_SB.MHPC, DeviceObj)
    External (\_SB.GED, DeviceObj)
    Scope (\_SB.MHPC)
    {
        Name (SLOT, 0)
        Name (RANG, @ranges@)
        Method (BASE, 0) { Return ((SLOT << 44) + (RANG << 40)) }
        Method (LENG, 0) { Return ((RANG + 1) << 27) }
        Name (QUEU, Package () { @queue@ })
        Name (HEAD, 0)
        Method (EVNT, 0, Serialized)
        {
            If (HEAD >= SizeOf (QUEU)) { Return (0xffffffff) }
            Local0 = DerefOf (QUEU [HEAD])
            HEAD++
            Return (Local0)
        }
    }
    Scope (\_SB.GED)
    {
        Name (PEND, @pending@)
        Method (EVTS, 0, Serialized) { Local0 = PEND PEND = 0 Return (Local0) }
    }
";

/// The machine with these events waiting.
fn machine(slots: u16, pending: u32, queue: &[(u16, u32)]) -> Interpreter {
    let queue: Vec<_> =
        queue.iter().map(|(slot, value)| format!("{:#x}", value << 16 | u32::from(*slot))).collect();
    let model = MODEL
        .replace("@pending@", &format!("{pending:#x}"))
        .replace("@queue@", &queue.join(", "))
        .replace("@ranges@", &MAX_RANGES.to_string());
    let names = ["SLOT", "RANG", "BASE", "LENG", "EVNT", "EVTS"];
    Interpreter::new(&rename(dsdt(&platform(slots)), &names), &model)
}

/// What an interrupt makes the guest notify.
fn interrupt(slots: u16, pending: u32, queue: &[(u16, u32)]) -> Vec<(String, u32)> {
    machine(slots, pending, queue).notifications(&[r"\_SB.GED._EVT 5"]).remove(0)
}

fn notified(device: &str, value: u32) -> (String, u32) {
    (device.to_owned(), value)
}

#[test]
fn a_memory_event_notifies_the_queued_slots_in_order() {
    let queue = [
        (1023, NOTIFY_DEVICE_CHECK),
        (0, NOTIFY_EJECT_REQUEST),
        (1, NOTIFY_DEVICE_CHECK),
        (1023, NOTIFY_EJECT_REQUEST),
        (512, NOTIFY_DEVICE_CHECK),
        (511, NOTIFY_DEVICE_CHECK),
    ];
    let expected = [("M3FF", 1), ("M000", 3), ("M001", 1), ("M3FF", 3), ("M200", 1), ("M1FF", 1)];
    let expected = expected.map(|(device, value)| notified(device, value));
    assert_eq!(interrupt(MAX_SLOTS, ged::MEMORY, &queue), expected);
}

#[test]
fn every_slot_has_its_own_notification() {
    for slots in [1, 2, 3, 16, MAX_SLOTS] {
        let queue: Vec<_> = (0..slots).map(|slot| (slot, NOTIFY_DEVICE_CHECK)).collect();
        let expected: Vec<_> = (0..slots).map(|slot| notified(&format!("M{slot:03X}"), 1)).collect();
        // A package in ASL has at most 255 elements.
        for (queue, expected) in queue.chunks(255).zip(expected.chunks(255)) {
            assert_eq!(interrupt(slots, ged::MEMORY, queue), expected);
        }
    }
}

#[test]
fn the_container_is_notified_among_the_slots() {
    let queue = [(1, NOTIFY_DEVICE_CHECK), (CONTAINER, NOTIFY_BUS_CHECK), (0, NOTIFY_EJECT_REQUEST)];
    let expected = [notified("M001", 1), notified("MHPC", 0), notified("M000", 3)];
    assert_eq!(interrupt(2, ged::MEMORY, &queue), expected);
}

#[test]
fn a_slot_that_does_not_exist_is_not_notified() {
    let queue = [(16, NOTIFY_DEVICE_CHECK), (0xfffe, NOTIFY_DEVICE_CHECK), (15, NOTIFY_DEVICE_CHECK)];
    assert_eq!(interrupt(16, ged::MEMORY, &queue), [notified("M00F", 1)]);
}

#[test]
fn the_power_button_is_notified() {
    assert_eq!(interrupt(2, ged::POWER_BUTTON, &[(0, 1)]), [notified("PWRB", 0x80)]);
}

#[test]
fn another_generation_id_is_notified_once_and_nothing_else_is() {
    let machine = machine(2, ged::GENERATION, &[(0, NOTIFY_DEVICE_CHECK)]);
    let results = machine.notifications(&[r"\_SB.GED._EVT 5", r"\_SB.GED._EVT 5"]);
    assert_eq!((&results[0][..], &results[1][..]), (&[notified("VMGI", 0x80)][..], &[][..]));
}

#[test]
fn no_other_event_is_one_of_the_generation_id() {
    let others = interrupt(2, !ged::GENERATION, &[(1, NOTIFY_DEVICE_CHECK)]);
    assert_eq!(others, [notified("M001", 1), notified("PWRB", 0x80)]);
    let all = interrupt(2, u32::MAX, &[(1, NOTIFY_DEVICE_CHECK)]);
    assert_eq!(all, [notified("VMGI", 0x80), notified("M001", 1), notified("PWRB", 0x80)]);
}

#[test]
fn two_events_in_one_interrupt_are_both_handled_and_then_gone() {
    let machine = machine(2, ged::MEMORY | ged::POWER_BUTTON, &[(1, NOTIFY_DEVICE_CHECK)]);
    let results = machine.notifications(&[r"\_SB.GED._EVT 5", r"\_SB.GED._EVT 5"]);
    assert_eq!(results[0], [notified("M001", 1), notified("PWRB", 0x80)]);
    assert_eq!(results[1], []);
}

#[test]
fn the_power_button_works_without_memory_slots() {
    let table = rename(dsdt(&platform(0)), &["EVTS"]);
    let pending = ged::MEMORY | ged::POWER_BUTTON;
    let model = format!(r"External (\_SB.GED, DeviceObj) Scope (\_SB.GED) {{ Name (EVTS, {pending}) }}");
    let results = Interpreter::new(&table, &model).notifications(&[r"\_SB.GED._EVT 5"]);
    assert_eq!(results[0], [notified("PWRB", 0x80)]);
}

#[test]
fn crs_has_each_range_of_its_own_slot() {
    let results = machine(MAX_SLOTS, 0, &[]).evaluate(&[r"\_SB.MHPC.N3FF.M3FF._CRS"]);
    let template = buffer(&results[0]);
    let field = |at: usize| u64::from_le_bytes(template[at..at + 8].try_into().unwrap());
    let ranges: Vec<_> = (0..MAX_RANGES).map(|n| [14, 22, 38].map(|offset| field(n * 46 + offset))).collect();
    let expected: Vec<[u64; 3]> = (0..MAX_RANGES as u64)
        .map(|range| {
            let (base, length) = ((1023 << 44) + (range << 40), (range + 1) << 27);
            [base, base + length - 1, length]
        })
        .collect();
    assert_eq!(ranges, expected);
}
