//! Devices go: because the host asked, or by the guest's own doing.

use super::*;

#[test]
fn an_ejected_device_is_gone_when_the_register_write_returns() {
    let mut machine = Machine::new(4);
    let slot = machine.plug("d0", GIB);
    let status = machine.slots.remove("d0").unwrap();
    assert_eq!((status.state, status.requested_size, status.plugged_size), (State::Unplugging, 0, GIB));
    assert_eq!(machine.fetch(), [(slot, block::NOTIFY_EJECT_REQUEST)]);
    machine.ost(slot, 3, 0x84);
    assert_eq!(machine.sta(slot), block::STATUS_PRESENT);
    machine.eject(slot);
    assert_eq!(machine.sta(slot), 0);
    assert_eq!(machine.read(block::RANGE), 0);
    assert_eq!(machine.host.backed(), []);
    assert_eq!(machine.slots.statuses(), []);
    machine.ost(slot, 3, 0);
    let expected =
        ["accepted d0", "ost d0 0 0x3 0x84", "finished d0 done", "removed d0 done", "ost d0 0 0x3 0x0"];
    assert_eq!(machine.events.taken(), expected);
}

#[test]
fn a_refused_eject_leaves_the_device_plugged_and_says_why() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.begin_eject("d0");
    machine.ost(0, 3, 0x82);
    let status = machine.slots.status("d0").unwrap();
    assert_eq!((status.state, status.requested_size, status.plugged_size), (State::Plugged, GIB, GIB));
    assert!(outcome(&status).contains("busy: the guest could not take a memory block offline"));
    assert_eq!(machine.host.backed().len(), 1);
    machine.slots.remove("d0").unwrap();
    machine.eject(0);
    assert_eq!(machine.slots.statuses(), []);
}

#[test]
fn ejection_that_is_disabled_in_the_guest_is_refused_as_disabled() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.slots.remove("d0").unwrap();
    machine.ost(0, 3, 0x80);
    let status = machine.slots.status("d0").unwrap();
    assert_eq!(status.state, State::Plugged);
    assert!(outcome(&status).starts_with("refused: disabled: "), "{}", outcome(&status));
}

#[test]
fn the_guest_can_eject_by_itself() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.ost(0, 3, 0x84);
    assert_eq!(machine.state("d0"), State::Unplugging);
    machine.eject(0);
    machine.ost(0, 0x103, 0);
    let expected = [
        "ost d0 0 0x3 0x84",
        "progress d0 0x40000000",
        "finished d0 done",
        "removed d0 done",
        "ost d0 0 0x103 0x0",
    ];
    assert_eq!(machine.events.taken(), expected);
    assert_eq!(machine.plug("d1", GIB), 0);
}

#[test]
fn a_device_the_guest_never_saw_is_removed_at_once() {
    let mut machine = Machine::new(1);
    machine.plug("old", GIB);
    machine.eject(0);
    machine.add("new", GIB).unwrap();
    machine.events.taken();
    assert_eq!(machine.slots.remove("new").unwrap().state, State::Idle);
    assert_eq!(machine.host.backed(), []);
    assert_eq!(machine.slots.statuses(), []);
    let expected = [
        "finished new refused: superseded by a request to remove the device",
        "accepted new",
        "finished new done",
        "removed new done",
    ];
    assert_eq!(machine.events.taken(), expected);
    machine.ost(0, 3, 0);
    assert_eq!(machine.events.taken(), ["ost old 0 0x3 0x0"]);
}

#[test]
fn several_changes_are_in_flight_at_once() {
    let mut machine = Machine::new(8);
    let a = machine.plug("a", GIB);
    for id in ["b", "c", "d"] {
        machine.add(id, GIB).unwrap();
    }
    machine.slots.remove("a").unwrap();
    machine.slots.remove("c").unwrap();
    assert_eq!(machine.fetch(), [(1, 1), (2, 1), (3, 1), (a, 3), (2, 3)]);
    for slot in 1..4 {
        machine.ost(slot, 1, 0);
    }
    assert_eq!(machine.state("c"), State::Unplugging);
    assert_eq!(machine.slots.status("c").unwrap().plugged_size, GIB);
    machine.eject(a);
    machine.ost(2, 3, 0x82);
    let states = machine.slots.statuses().into_iter().map(|status| (status.id, status.state));
    let expected = ["b", "c", "d"].map(|id| (id.to_owned(), State::Plugged));
    assert_eq!(states.collect::<Vec<_>>(), expected);
}

#[test]
fn changes_wait_visibly_for_an_ejection_that_does_not_end() {
    let mut machine = Machine::new(4);
    for id in ["stuck", "idle", "going"] {
        machine.plug(id, GIB);
    }
    machine.slots.remove("going").unwrap();
    assert_eq!(machine.waits_for("going"), None, "the guest has not begun with anything");
    machine.fetch();
    let slot = machine.begin_eject("stuck");
    assert_eq!(machine.waits_for("going").as_deref(), Some("stuck"));
    let coming = machine.add("coming", GIB).unwrap();
    assert_eq!(coming.waits_for.as_deref(), Some("stuck"), "it shows from the first moment");
    assert_eq!((machine.waits_for("idle"), machine.waits_for("stuck")), (None, None));
    machine.ost(slot, 3, 0x82);
    assert!(machine.slots.statuses().iter().all(|status| status.waits_for.is_none()));
    machine.slots.remove("stuck").unwrap();
    assert_eq!(machine.fetch(), [(3, 1), (slot, 3)]);
    machine.ost(slot, 3, 0x84);
    assert_eq!(machine.waits_for("coming").as_deref(), Some("stuck"));
    machine.eject(slot);
    assert_eq!(machine.waits_for("coming"), None, "it is gone");
}

#[test]
fn a_device_that_nobody_was_told_of_waits_for_no_ejection() {
    let mut machine = Machine::new(3);
    machine.plug("stuck", GIB);
    machine.begin_eject("stuck");
    let status = machine.slots.add(dimm("quiet", GIB), Notify::None).unwrap();
    assert_eq!((status.state, status.waits_for), (State::Plugging, None));
}

#[test]
fn asking_again_and_again_queues_one_notification() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    for _ in 0..1000 {
        machine.slots.remove("d0").unwrap();
    }
    assert_eq!(machine.fetch(), [(0, 3)]);
    machine.slots.remove("d0").unwrap();
    assert_eq!(machine.fetch(), [(0, 3)]);
    assert_eq!(machine.events.taken(), vec!["accepted d0"; 1001]);
}

#[test]
fn memory_that_the_host_cannot_take_back_stays_in_its_slot() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.slots.remove("d0").unwrap();
    machine.fetch();
    machine.host.fail_when(|call| matches!(call, Call::Unback(_)));
    machine.eject(0);
    assert_eq!(machine.sta(0), block::STATUS_PRESENT);
    machine.ost(0, 3, 0);
    let status = machine.slots.status("d0").unwrap();
    assert_eq!(outcome(&status), "refused: the host could not take the memory back: out of memory");
    machine.host.recover();
    machine.slots.remove("d0").unwrap();
    machine.eject(0);
    assert_eq!((machine.sta(0), machine.host.backed()), (0, vec![]));
}
