//! Faults on `_EJ0`: refused, delayed, `_STA` cleared late.

use std::time::Duration;

use super::*;
use crate::alarm::LONGEST;

impl Machine {
    /// A machine whose guest lets "d0" in slot 0 go, up to `_EJ0`, with a fault on that.
    fn ejecting(action: ActionName) -> Self {
        let mut machine = Self::new(2);
        machine.plug("d0", GIB);
        machine.fault("d0", Point::Eject, action);
        machine.begin_eject("d0");
        machine.eject(0);
        machine
    }
}

#[test]
fn an_eject_that_is_refused_has_no_effect() {
    let mut machine = Machine::ejecting(ActionName::Refuse);
    assert_eq!((machine.sta(0), machine.crs(0)), (0xf, vec![(START, GIB)]));
    machine.assert_books();
    let reason = "refused: failed: the machine refused to eject the device, because a fault was set";
    assert_eq!(machine.events.taken(), [format!("finished d0 {reason}")]);
    machine.ost(0, 3, 0);
    let status = machine.slots.status("d0").unwrap();
    assert_eq!((outcome(&status), status.state, status.plugged_size), (reason.to_owned(), State::Idle, 0));
    assert_eq!(machine.host.backed().len(), 1);
    machine.begin_eject("d0");
    machine.eject(0);
    assert_eq!((machine.sta(0), machine.ids()), (0, vec![]));
    machine.assert_books();
}

#[test]
fn an_eject_that_is_delayed_takes_effect_with_the_alarm() {
    let mut machine = Machine::ejecting(ActionName::Delay);
    assert_eq!(machine.alarms.taken(), [(Duration::from_millis(1500), "d0".to_owned())]);
    machine.eject(0);
    assert_eq!(machine.alarms.taken(), [], "it is under way already");
    for report in [(3, 0), (3, 0x82), (1, 0)] {
        machine.ost(0, report.0, report.1);
        assert_eq!((machine.state("d0"), machine.sta(0)), (State::Unplugging, 0xf));
    }
    machine.assert_books();
    assert_eq!(machine.host.backed().len(), 1);
    machine.events.taken();
    machine.slots.alarm("d0");
    assert_eq!((machine.sta(0), machine.ids()), (0, vec![]));
    assert_eq!(machine.events.taken(), ["finished d0 done", "removed d0 done"]);
    machine.assert_books();
    assert_eq!(machine.plug("d1", GIB), 0, "the guest owes nothing");
}

#[test]
fn an_alarm_before_the_guests_last_report_keeps_the_slot_hidden_until_then() {
    let mut machine = Machine::ejecting(ActionName::Delay);
    machine.slots.alarm("d0");
    machine.add("d1", GIB).unwrap();
    assert_eq!((machine.sta(0), machine.fetch()), (0, vec![]));
    machine.ost(0, 3, 0);
    assert_eq!((machine.sta(0), machine.fetch()), (0xf, vec![(0, 1)]));
    assert_eq!(machine.slots.ost("d0").len(), 3);
}

#[test]
fn an_alarm_that_nothing_waits_for_changes_nothing() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.slots.alarm("d0");
    machine.slots.alarm("d9");
    assert_eq!((machine.state("d0"), machine.sta(0)), (State::Plugged, 0xf));
}

#[test]
fn a_delay_that_begins_in_the_guest_shows_as_unplugging() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.fault("d0", Point::Eject, ActionName::Delay);
    machine.eject(0);
    assert_eq!(machine.events.taken(), ["progress d0 0x40000000"]);
    assert_eq!(machine.state("d0"), State::Unplugging);
}

#[test]
fn a_reset_does_not_keep_a_device_whose_eject_is_delayed() {
    let mut machine = Machine::ejecting(ActionName::Delay);
    machine.slots.reset();
    assert_eq!((machine.sta(0), machine.ids()), (0, vec![]));
    assert_eq!(machine.events.taken(), ["finished d0 done", "removed d0 done"]);
    machine.assert_books();
    machine.slots.alarm("d0");
}

#[test]
fn a_delayed_eject_that_the_host_cannot_carry_out_is_refused() {
    let mut machine = Machine::ejecting(ActionName::Delay);
    machine.ost(0, 3, 0);
    machine.host.fail_when(|call| matches!(call, Call::Unback(_)));
    machine.slots.alarm("d0");
    let status = machine.slots.status("d0").unwrap();
    assert!(outcome(&status).starts_with("refused: the host could not take the memory back"));
    machine.assert_books();
}

#[test]
fn a_delay_beyond_all_bounds_is_the_longest_that_there_is_and_so_is_one_that_is_restored() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.fault("d0", Point::Eject, ActionName::Delay);
    let mut faults = machine.faults.list();
    faults[0].fault.milliseconds = Some(u64::MAX);
    machine.faults.restore(faults).unwrap();
    machine.eject(0);
    let longest = [(LONGEST, "d0".to_owned())];
    assert_eq!(machine.alarms.taken(), longest);
    let mut state = machine.slots.state();
    fn left(state: &mut DimmSlotsState) -> &mut Option<u64> {
        &mut state.slots[0].occupant.as_mut().unwrap().delayed_ms
    }
    let is_bounded = |left: Option<u64>| left.is_some_and(|left| u128::from(left) <= LONGEST.as_millis());
    assert!(is_bounded(*left(&mut state)), "{state:?}");
    *left(&mut state) = Some(u64::MAX);
    machine.slots.restore(&state).unwrap();
    assert_eq!(machine.alarms.taken(), longest);
    let mut state = machine.slots.state();
    assert!(is_bounded(*left(&mut state)), "{state:?}");
    assert!(*left(&mut state) > Some(0), "it is not yet time");
}

#[test]
fn a_late_status_shows_a_device_that_is_gone_until_the_last_report() {
    let mut machine = Machine::ejecting(ActionName::LateStatus);
    assert_eq!(machine.sta(0), 0xf);
    assert_eq!((machine.ids(), machine.host.backed(), machine.crs(0)), (vec![], vec![], vec![]));
    assert_eq!(machine.events.taken(), ["finished d0 done", "removed d0 done"]);
    machine.add("d1", GIB).unwrap();
    assert_eq!(machine.crs(0), [], "the newcomer is not what the guest sees");
    machine.ost(0, 3, 0);
    assert_eq!((machine.sta(0), machine.crs(0).len(), machine.fetch()), (0xf, 1, vec![(0, 1)]));
    machine.ost(0, 1, 0);
    machine.begin_eject("d1");
    machine.eject(0);
    assert_eq!(machine.sta(0), 0, "the fault acted once");
    machine.assert_books();
}

#[test]
fn a_late_status_is_gone_after_a_reset() {
    let mut machine = Machine::ejecting(ActionName::LateStatus);
    machine.slots.reset();
    assert_eq!(machine.sta(0), 0);
}
