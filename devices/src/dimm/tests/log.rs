//! What the guest reported, as it can be looked up.

use super::*;

impl Machine {
    fn reports(&self, id: &str) -> Vec<(Option<u16>, u32, u32)> {
        self.slots.ost(id).iter().map(|report| (report.slot, report.source, report.status)).collect()
    }
}

#[test]
fn every_report_is_kept_with_the_device_it_is_about() {
    let mut machine = Machine::new(2);
    let slot = machine.plug("old", GIB);
    machine.begin_eject("old");
    machine.ost(slot, 3, 0x82);
    machine.begin_eject("old");
    machine.eject(slot);
    machine.add("new", GIB).unwrap();
    machine.ost(slot, 3, 0);
    machine.ost(slot, 1, 0);
    let old =
        [(1, 0), (3, 0x84), (3, 0x82), (3, 0x84), (3, 0)].map(|(source, status)| (Some(0), source, status));
    assert_eq!(machine.reports("old"), old, "the last one came when the device was gone");
    assert_eq!(machine.reports("new"), [(Some(0), 1, 0)]);
    assert_eq!(machine.reports("never"), []);
    let reports = machine.slots.ost("old");
    assert_eq!(reports.iter().map(|report| report.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(reports[1].meaning, "eject request: in progress");
}

#[test]
fn the_containers_report_is_found_at_each_device_it_answers_for() {
    let mut machine = Machine::new(3);
    machine.slots.add(dimm("a", GIB), Notify::None).unwrap();
    machine.slots.add(dimm("b", GIB), Notify::BusCheck).unwrap();
    machine.add("c", GIB).unwrap();
    machine.fetch();
    machine.ost(block::CONTAINER.into(), 0, 0);
    machine.ost(2, 1, 0);
    for id in ["a", "b"] {
        assert_eq!(machine.reports(id), [(None, 0, 0)]);
    }
    assert_eq!(machine.reports("c"), [(Some(2), 1, 0)]);
}

#[test]
fn a_report_about_a_slot_that_nobody_left_is_about_nobody() {
    let mut machine = Machine::new(2);
    let slot = machine.plug("d0", GIB);
    machine.begin_eject("d0");
    machine.eject(slot);
    machine.ost(slot, 3, 0);
    machine.events.taken();
    machine.ost(slot, 3, 0x84);
    machine.ost(7, 1, 0);
    assert_eq!(machine.events.taken(), ["ost - 0 0x3 0x84"], "and none about a slot that does not exist");
    assert_eq!(machine.reports("d0").len(), 3);
}
