//! System reset.

use super::*;

#[test]
fn devices_stay_over_a_system_reset() {
    let mut machine = Machine::new(4);
    machine.plug("plugged", GIB);
    machine.plug("leaving", GIB);
    machine.slots.remove("leaving").unwrap();
    machine.add("coming", GIB).unwrap();
    machine.write(block::SLOT, 2);
    machine.events.taken();
    lock(&machine.ged).reset();
    machine.slots.reset();
    assert_eq!(machine.read(block::SLOT), 0);
    assert_eq!(machine.host.backed().len(), 3);
    assert!(machine.line.is_high());
    assert_eq!(machine.fetch(), [(2, 1)]);
    let expected = "finished leaving refused: the machine was reset before the guest let the device go";
    assert_eq!(machine.events.taken(), [expected]);
    assert_eq!((machine.state("plugged"), machine.state("leaving")), (State::Plugged, State::Plugged));
    assert_eq!(machine.state("coming"), State::Plugging);
    machine.ost(2, 1, 0);
    assert_eq!(machine.state("coming"), State::Plugged);
}

#[test]
fn a_reset_in_the_middle_of_an_eject_leaves_no_slot_waiting() {
    let mut machine = Machine::new(1);
    machine.plug("old", GIB);
    machine.slots.remove("old").unwrap();
    machine.eject(0);
    machine.add("new", GIB).unwrap();
    assert_eq!(machine.sta(0), 0);
    machine.slots.reset();
    assert_eq!(machine.sta(0), block::STATUS_PRESENT);
    assert_eq!(machine.fetch(), [(0, 1)]);
}

#[test]
fn a_bus_check_of_the_old_guest_becomes_device_checks_of_the_new() {
    let mut machine = Machine::new(4);
    machine.slots.add(dimm("a", GIB), Notify::None).unwrap();
    machine.slots.add(dimm("b", GIB), Notify::BusCheck).unwrap();
    machine.slots.add(dimm("quiet", GIB), Notify::None).unwrap();
    lock(&machine.ged).reset();
    machine.slots.reset();
    assert_eq!(machine.fetch(), [(0, 1), (1, 1)]);
    assert_eq!(machine.sta(2), 0, "one that waits for a bus check still does");
    machine.ost(block::CONTAINER.into(), 0, 0);
    assert_eq!(machine.state("a"), State::Plugging, "the new guest was sent no bus check");
    machine.ost(0, 1, 0);
    machine.ost(1, 1, 0);
    assert_eq!((machine.state("a"), machine.state("b")), (State::Plugged, State::Plugged));
    machine.slots.add(dimm("c", GIB), Notify::BusCheck).unwrap();
    assert_eq!((machine.sta(2), machine.sta(3)), (0xf, 0xf));
}

#[test]
fn a_stuck_ejection_ends_with_the_guest() {
    let mut machine = Machine::new(2);
    machine.plug("stuck", GIB);
    machine.begin_eject("stuck");
    machine.add("coming", GIB).unwrap();
    machine.slots.reset();
    assert_eq!((machine.state("stuck"), machine.waits_for("coming")), (State::Plugged, None));
}
