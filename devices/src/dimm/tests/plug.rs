//! Devices come.

use super::*;
use crate::memory::Kind;

#[test]
fn an_added_device_is_backed_announced_and_described_to_the_guest() {
    let mut machine = Machine::new(4);
    let status = machine.slots.add(Dimm { node: 3, ..dimm("d0", 4 * GIB) }, Notify::DeviceCheck).unwrap();
    let range = GuestRange::new(START, 4 * GIB);
    assert_eq!(machine.host.calls(), [Call::Back(range)]);
    assert_eq!((status.kind, status.slot, status.state), (Kind::Dimm, Some(0), State::Plugging));
    assert_eq!((status.requested_size, status.plugged_size, status.last), (4 * GIB, 0, None));
    assert!(machine.line.is_high());
    assert_eq!(machine.fetch(), [(0, block::NOTIFY_DEVICE_CHECK)]);
    assert!(!machine.line.is_high());
    assert_eq!(machine.sta(0), block::STATUS_PRESENT);
    assert_eq!(machine.read(block::PROXIMITY), 3);
    assert_eq!(machine.crs(0), [(START, 4 * GIB)]);
    machine.ost(0, 1, 0);
    assert_eq!(machine.slots.status("d0").unwrap().plugged_size, 4 * GIB);
    assert_eq!(machine.events.taken(), ["accepted d0", "ost d0 0 0x1 0x0", "finished d0 done"]);
}

#[test]
fn a_device_the_guest_did_not_take_can_be_removed() {
    let mut machine = Machine::new(1);
    machine.add("d0", GIB).unwrap();
    machine.ost(0, 1, 1);
    let status = machine.slots.status("d0").unwrap();
    assert_eq!((status.state, status.plugged_size), (State::Idle, 0));
    assert!(outcome(&status).starts_with("refused: failed"));
    machine.slots.remove("d0").unwrap();
    machine.eject(0);
    assert_eq!(machine.host.backed(), []);
}

#[test]
fn a_device_at_boot_is_found_without_a_notification_or_a_report() {
    let mut machine = Machine::new(2);
    let status = machine.slots.add_at_boot(dimm("d0", GIB)).unwrap();
    assert_eq!((status.state, status.plugged_size, status.last), (State::Plugged, GIB, None));
    assert!(!machine.line.is_high());
    assert_eq!((machine.sta(0), machine.sta(1)), (block::STATUS_PRESENT, 0));
    assert_eq!(machine.crs(0), [(START, GIB)]);
    assert_eq!(machine.events.taken(), [""; 0]);
    machine.assert_books();
    lock(&machine.ged).reset();
    machine.slots.reset();
    assert!(!machine.line.is_high(), "it stays as it is over a reset");
    machine.begin_eject("d0");
    machine.eject(0);
    assert_eq!(machine.ids(), [""; 0]);
}

#[test]
fn a_slot_shows_a_new_device_only_after_the_guest_has_finished_with_the_old() {
    let mut machine = Machine::new(1);
    machine.plug("old", GIB);
    machine.slots.remove("old").unwrap();
    machine.fetch();
    // Asked again, and that request still waits when the first one is answered.
    machine.slots.remove("old").unwrap();
    machine.ost(0, 3, 0x84);
    machine.eject(0);
    assert_eq!(machine.add("new", GIB).unwrap().state, State::Plugging);
    machine.events.taken();
    assert_eq!(machine.sta(0), 0, "the guest checks that the slot is empty");
    machine.ost(0, 3, 0);
    assert_eq!(machine.fetch(), [(0, 3)]);
    machine.ost(0, 3, 0x84);
    machine.eject(0);
    assert_eq!(machine.sta(0), 0);
    machine.ost(0, 3, 0);
    assert_eq!(machine.fetch(), [(0, 1)]);
    assert_eq!(machine.sta(0), block::STATUS_PRESENT);
    machine.ost(0, 1, 0);
    assert_eq!(machine.state("new"), State::Plugged);
    assert!(machine.events.taken().iter().all(|event| !event.starts_with("removed")));
}

#[test]
fn a_host_without_memory_refuses_and_nothing_happens() {
    let mut machine = Machine::new(4);
    machine.host.fail_when(|call| matches!(call, Call::Back(_)));
    assert!(matches!(machine.add("d0", GIB), Err(DimmError::Host(_))));
    assert_eq!((machine.events.taken(), machine.fetch()), (vec![], vec![]));
    machine.host.recover();
    assert_eq!(machine.plug("d0", GIB), 0);
}

#[test]
fn a_host_without_memory_for_the_last_range_keeps_none_of_the_others() {
    let mut machine = Machine::new(1);
    let ranges = vec![DimmRange { size: GIB, gap: GIB }, DimmRange { size: GIB, gap: 0 }];
    let wanted = Dimm { ranges, ..dimm("d0", GIB) };
    machine.host.fail_when(|call| matches!(call, Call::Back(range) if range.start > START));
    assert!(matches!(machine.slots.add(wanted.clone(), Notify::DeviceCheck), Err(DimmError::Host(_))));
    assert_eq!((machine.host.backed(), machine.ids()), (vec![], vec![]));
    machine.host.recover();
    assert_eq!(machine.slots.add(wanted, Notify::DeviceCheck).unwrap().slot, Some(0));
    machine.assert_books();
}

#[test]
fn narrow_accesses_neither_lose_a_notification_nor_write_half_a_register() {
    let mut machine = Machine::new(2);
    machine.add("d0", GIB).unwrap();
    let mut data = [0xee; 2];
    machine.slots.read(u64::from(block::EVENT) + 2, &mut data);
    assert_eq!(data, [1, 0]);
    machine.slots.read(block::EVENT.into(), &mut data);
    assert_eq!(machine.fetch(), [(0, 1)]);
    machine.slots.write(block::EJECT.into(), &[1]);
    machine.slots.write(u64::from(block::EJECT) - 2, &[1; 4]);
    assert_eq!(machine.sta(0), block::STATUS_PRESENT);
}
