//! Faults other than on `_EJ0`: surprise removal, an empty `_CRS`, a lost interrupt.

use super::*;

#[test]
fn a_surprise_removal_takes_the_memory_and_then_has_the_guest_look() {
    let mut machine = Machine::new(2);
    machine.plug("d0", GIB);
    machine.fault("d0", Point::Remove, ActionName::Surprise);
    let status = machine.slots.remove("d0").unwrap();
    assert_eq!((status.state, status.plugged_size, status.requested_size), (State::Idle, 0, 0));
    assert_eq!((machine.sta(0), machine.host.backed(), machine.ids()), (0, vec![], vec![]));
    assert_eq!(machine.events.taken(), ["accepted d0", "finished d0 done", "removed d0 done"]);
    assert_eq!(machine.fetch(), [(0, 1)]);
    machine.add("new", GIB).unwrap();
    assert_eq!((machine.sta(0), machine.fetch()), (0, vec![]), "the guest is still to find the slot empty");
    machine.ost(0, 1, 1);
    assert_eq!((machine.sta(0), machine.fetch()), (0xf, vec![(0, 1)]));
    assert_eq!(machine.slots.ost("d0").last().map(|report| report.status), Some(1));
    assert_eq!(machine.state("new"), State::Plugging, "that report was not about it");
    machine.assert_books();
}

#[test]
fn a_surprise_before_the_guest_took_the_device_ends_its_insertion() {
    let mut machine = Machine::new(1);
    machine.add("d0", GIB).unwrap();
    machine.fault("d0", Point::Remove, ActionName::Surprise);
    machine.slots.remove("d0").unwrap();
    let expected = [
        "accepted d0",
        "finished d0 refused: superseded by a request to remove the device",
        "accepted d0",
        "finished d0 done",
        "removed d0 done",
    ];
    assert_eq!(machine.events.taken(), expected);
    assert_eq!(machine.fetch(), [(0, 1)], "the check that waits already finds it gone");
}

#[test]
fn a_surprise_that_the_host_cannot_carry_out_changes_nothing() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.fault("d0", Point::Remove, ActionName::Surprise);
    machine.host.fail_when(|call| matches!(call, Call::Unback(_)));
    assert!(matches!(machine.slots.remove("d0"), Err(DimmError::Host(_))));
    assert_eq!((machine.sta(0), machine.state("d0")), (0xf, State::Plugged));
    assert_eq!((machine.events.taken(), machine.fetch()), (vec![], vec![]));
    machine.assert_books();
}

#[test]
fn an_empty_crs_names_no_ranges_once() {
    let mut machine = Machine::new(1);
    machine.fault("d0", Point::Resources, ActionName::Empty);
    machine.add("d0", GIB).unwrap();
    assert_eq!((machine.sta(0), machine.crs(0)), (0xf, vec![]));
    assert_eq!(machine.crs(0), [(START, GIB)]);
    machine.assert_books();
    let status = &machine.faults.list()[0];
    assert_eq!((status.seen, status.acted), (2, 1));
}

#[test]
fn a_lost_interrupt_leaves_its_notification_for_the_next_one() {
    let mut machine = Machine::new(2);
    machine.fault("a", Point::Interrupt, ActionName::Lose);
    assert_eq!(machine.add("a", GIB).unwrap().state, State::Plugging);
    assert!(!machine.line.is_high());
    assert_eq!((machine.sta(0), machine.fetch()), (0xf, vec![]));
    machine.add("b", GIB).unwrap();
    assert_eq!(machine.fetch(), [(0, 1), (1, 1)]);
    machine.ost(0, 1, 0);
    assert_eq!(machine.state("a"), State::Plugged);
    machine.assert_books();
}

#[test]
fn a_lost_eject_request_is_delivered_by_asking_again() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.fault("d0", Point::Interrupt, ActionName::Lose);
    machine.slots.remove("d0").unwrap();
    assert!(!machine.line.is_high());
    machine.slots.remove("d0").unwrap();
    assert_eq!(machine.fetch(), [(0, 3)]);
}

#[test]
fn a_bus_check_loses_the_interrupt_of_the_device_that_asked_for_it() {
    let mut machine = Machine::new(3);
    machine.slots.add(dimm("quiet", GIB), Notify::None).unwrap();
    machine.fault("asks", Point::Interrupt, ActionName::Lose);
    machine.slots.add(dimm("asks", GIB), Notify::BusCheck).unwrap();
    assert!(!machine.line.is_high());
    machine.add("other", GIB).unwrap();
    assert_eq!(machine.fetch(), [(u32::from(block::CONTAINER), 0), (2, 1)]);
    machine.ost(block::CONTAINER.into(), 0, 0);
    assert_eq!((machine.state("quiet"), machine.state("asks")), (State::Plugged, State::Plugged));
}

#[test]
fn a_lost_surprise_is_still_a_surprise() {
    let mut machine = Machine::new(2);
    machine.plug("d0", GIB);
    let fault = |on, action| Fault {
        device: "d0".to_owned(),
        on,
        nth: 1,
        times: 1,
        action,
        milliseconds: None,
        size: None,
    };
    let faults = vec![fault(Point::Remove, ActionName::Surprise), fault(Point::Interrupt, ActionName::Lose)];
    machine.faults.set(faults).unwrap();
    machine.slots.remove("d0").unwrap();
    assert_eq!((machine.sta(0), machine.line.is_high()), (0, false));
    machine.add("d1", GIB).unwrap();
    assert_eq!(machine.fetch(), [], "the newcomer waits for the old device's slot");
    machine.slots.add(dimm("d2", GIB), Notify::DeviceCheck).unwrap();
    assert_eq!(machine.fetch(), [(0, 1), (1, 1)]);
}
