//! Devices that are announced by a bus check of their container.

use super::*;

const CONTAINER: u32 = block::CONTAINER as u32;
const BUS_CHECK: (u32, u32) = (CONTAINER, block::NOTIFY_BUS_CHECK);

impl Machine {
    fn add_with(&mut self, id: &str, notify: Notify) -> MemoryStatus {
        self.slots.add(dimm(id, GIB), notify).unwrap()
    }
}

#[test]
fn a_device_that_nobody_is_told_of_stays_unseen_until_a_bus_check() {
    let mut machine = Machine::new(8);
    for id in ["a", "b"] {
        assert_eq!(machine.add_with(id, Notify::None).state, State::Plugging);
    }
    assert_eq!((machine.sta(0), machine.crs(1)), (0, vec![]));
    assert!(!machine.line.is_high());
    machine.assert_books();
    machine.add_with("c", Notify::BusCheck);
    assert_eq!([0, 1, 2, 3].map(|slot| machine.sta(slot)), [0xf, 0xf, 0xf, 0]);
    assert_eq!(machine.fetch(), [BUS_CHECK], "one notification for all");
    machine.events.taken();
    machine.ost(CONTAINER, 0, 0);
    let expected = ["ost - container 0x0 0x0", "finished a done", "finished b done", "finished c done"];
    assert_eq!(machine.events.taken(), expected);
    assert!(machine.slots.statuses().iter().all(|status| status.state == State::Plugged));
}

#[test]
fn nothing_is_done_before_the_guest_has_looked() {
    let mut machine = Machine::new(8);
    machine.add_with("a", Notify::BusCheck);
    machine.ost(CONTAINER, 0, 0);
    assert_eq!(machine.state("a"), State::Plugging, "the guest has not fetched the notification");
    assert_eq!(machine.fetch(), [BUS_CHECK]);
    machine.add_with("b", Notify::BusCheck);
    for (source, status) in [(0, 0x80), (1, 0), (3, 0), (0x103, 0)] {
        machine.ost(CONTAINER, source, status);
        assert_eq!(machine.state("a"), State::Plugging, "({source:#x}, {status:#x}) ends no bus check");
    }
    machine.ost(CONTAINER, 0, 0);
    assert_eq!((machine.state("a"), machine.state("b")), (State::Plugged, State::Plugging));
    machine.ost(CONTAINER, 0, 0);
    assert_eq!(machine.state("b"), State::Plugging, "its own bus check was not fetched");
    assert_eq!(machine.fetch(), [BUS_CHECK]);
    machine.ost(CONTAINER, 0, 0);
    assert_eq!(machine.state("b"), State::Plugged);
}

#[test]
fn a_bus_check_that_fails_refuses_every_device_it_was_about() {
    let mut machine = Machine::new(2);
    machine.add_with("a", Notify::None);
    machine.add_with("b", Notify::BusCheck);
    machine.fetch();
    machine.ost(CONTAINER, 0, 1);
    for id in ["a", "b"] {
        let status = machine.slots.status(id).unwrap();
        assert!(outcome(&status).starts_with("refused: failed: "), "{}", outcome(&status));
        assert_eq!(status.plugged_size, 0);
    }
}

#[test]
fn devices_come_one_by_one_and_together_in_one_machine() {
    let mut machine = Machine::new(4);
    machine.add_with("quiet", Notify::None);
    machine.plug("single", GIB);
    assert_eq!(machine.state("quiet"), State::Plugging);
    machine.add_with("check", Notify::BusCheck);
    machine.add_with("other", Notify::DeviceCheck);
    assert_eq!(machine.fetch(), [BUS_CHECK, (3, 1)]);
    machine.ost(CONTAINER, 0, 0);
    let states = ["quiet", "single", "check", "other"].map(|id| machine.state(id));
    assert_eq!(states, [State::Plugged, State::Plugged, State::Plugged, State::Plugging]);
}

#[test]
fn a_device_that_waits_unseen_goes_at_once_and_no_bus_check_asks_for_it() {
    let mut machine = Machine::new(2);
    machine.add_with("a", Notify::None);
    assert_eq!(machine.slots.remove("a").unwrap().state, State::Idle);
    assert_eq!((machine.ids(), machine.host.backed()), (vec![], vec![]));
    machine.add_with("b", Notify::BusCheck);
    machine.fetch();
    machine.eject(0);
    machine.ost(0, 0x103, 0);
    machine.add_with("c", Notify::DeviceCheck);
    machine.ost(CONTAINER, 0, 0);
    assert_eq!(machine.state("c"), State::Plugging, "the bus check was about what was here before");
}

#[test]
fn a_device_asked_back_before_the_bus_check_was_answered_leaves_in_order() {
    let mut machine = Machine::new(1);
    machine.add_with("a", Notify::BusCheck);
    machine.slots.remove("a").unwrap();
    assert_eq!(machine.fetch(), [BUS_CHECK, (0, 3)]);
    machine.ost(CONTAINER, 0, 0);
    assert_eq!(machine.state("a"), State::Unplugging);
    machine.ost(0, 3, 0x84);
    machine.eject(0);
    machine.ost(0, 3, 0);
    assert_eq!(machine.ids(), [""; 0]);
}

#[test]
fn a_slot_that_is_not_settled_gets_a_bus_check_of_its_own() {
    let mut machine = Machine::new(2);
    let old = machine.plug("old", GIB);
    machine.begin_eject("old");
    machine.eject(old);
    machine.add_with("new", Notify::None);
    machine.add_with("other", Notify::BusCheck);
    assert_eq!((machine.sta(0), machine.sta(1)), (0, 0xf));
    assert_eq!(machine.fetch(), [BUS_CHECK]);
    machine.ost(old, 3, 0);
    assert_eq!((machine.sta(0), machine.fetch()), (0xf, vec![BUS_CHECK]));
    machine.ost(CONTAINER, 0, 0);
    assert_eq!((machine.state("new"), machine.state("other")), (State::Plugging, State::Plugged));
    machine.ost(CONTAINER, 0, 0);
    assert_eq!(machine.state("new"), State::Plugged);
}
