//! The slots from both sides: the host's methods, and the guest's registers.

use proptest::prelude::*;

use super::*;
use crate::bus::BusDevice;
use crate::memory::{Kind, State};
use crate::testing::{Call, Events, FakeHost, Line, outcome};
use dimmer_acpi::hotplug as block;

const GIB: u64 = 1 << 30;
const START: u64 = 6 * GIB;

struct Machine {
    slots: DimmSlots,
    ged: Arc<Mutex<Ged>>,
    line: Arc<Line>,
    host: Arc<FakeHost>,
    events: Arc<Events>,
}

impl Machine {
    fn new(slots: u16) -> Self {
        let (line, host, events) = (Line::new(), FakeHost::new(), Events::new());
        let ged = Arc::new(Mutex::new(Ged::new(line.clone())));
        let config = DimmSlotsConfig { window: GuestRange::new(START, 64 * GIB), slots };
        let slots = DimmSlots::new(config, ged.clone(), host.clone(), events.clone()).unwrap();
        Self { slots, ged, line, host, events }
    }

    fn add(&mut self, id: &str, size: u64) -> Result<MemoryStatus, DimmError> {
        self.slots.add(Dimm { id: id.to_owned(), size, node: 0 })
    }

    fn state(&self, id: &str) -> State {
        self.slots.status(id).expect("the device is there").state
    }

    fn read(&mut self, register: u16) -> u32 {
        let mut data = [0; 4];
        self.slots.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&mut self, register: u16, value: u32) {
        self.slots.write(register.into(), &value.to_le_bytes());
    }

    /// What the guest's GED method does: the notifications, as (slot, value).
    fn fetch(&mut self) -> Vec<(u32, u32)> {
        lock(&self.ged).read(0, &mut [0; 4]);
        std::iter::from_fn(|| Some(self.read(block::EVENT)).filter(|event| *event != block::NO_EVENT))
            .map(|event| (event & 0xffff, event >> 16))
            .collect()
    }

    fn ost(&mut self, slot: u32, source: u32, status: u32) {
        self.write(block::SLOT, slot);
        self.write(block::OST_SOURCE, source);
        self.write(block::OST_STATUS, status);
    }

    fn eject(&mut self, slot: u32) {
        self.write(block::SLOT, slot);
        self.write(block::EJECT, 1);
    }

    fn sta(&mut self, slot: u32) -> u32 {
        self.write(block::SLOT, slot);
        self.read(block::STATUS)
    }

    /// Adds a device and lets the guest take it.
    fn plug(&mut self, id: &str, size: u64) -> u32 {
        let slot = u32::from(self.add(id, size).unwrap().slot.unwrap());
        assert_eq!(self.fetch(), [(slot, 1)]);
        self.ost(slot, 1, 0);
        assert_eq!(self.state(id), State::Plugged);
        self.events.taken();
        slot
    }
}

#[test]
fn an_added_device_is_backed_announced_and_described_to_the_guest() {
    let mut machine = Machine::new(4);
    let status = machine.slots.add(Dimm { id: "d0".to_owned(), size: 4 * GIB, node: 3 }).unwrap();
    let range = GuestRange::new(START, 4 * GIB);
    assert_eq!(machine.host.calls(), [Call::Back(range)]);
    assert_eq!((status.kind, status.slot, status.state), (Kind::Dimm, Some(0), State::Plugging));
    assert_eq!((status.requested_size, status.plugged_size, status.last), (4 * GIB, 0, None));
    assert!(machine.line.is_high());
    assert_eq!(machine.fetch(), [(0, block::NOTIFY_DEVICE_CHECK)]);
    assert!(!machine.line.is_high());
    assert_eq!(machine.sta(0), block::STATUS_PRESENT);
    assert_eq!((machine.read(block::RANGE), machine.read(block::PROXIMITY)), (1, 3));
    assert_eq!((machine.read(block::BASE_LOW), machine.read(block::BASE_HIGH)), (0x8000_0000, 1));
    assert_eq!((machine.read(block::LENGTH_LOW), machine.read(block::LENGTH_HIGH)), (0, 1));
    machine.ost(0, 1, 0);
    assert_eq!(machine.slots.status("d0").unwrap().plugged_size, 4 * GIB);
    assert_eq!(machine.events.taken(), ["accepted d0", "ost d0 0 0x1 0x0", "finished d0 done"]);
}

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
        ["accepted d0", "ost d0 0 0x3 0x84", "finished d0 done", "removed d0 done", "ost - 0 0x3 0x0"];
    assert_eq!(machine.events.taken(), expected);
}

#[test]
fn a_refused_eject_leaves_the_device_plugged_and_says_why() {
    let mut machine = Machine::new(1);
    machine.plug("d0", GIB);
    machine.slots.remove("d0").unwrap();
    machine.fetch();
    machine.ost(0, 3, 0x84);
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
        "ost - 0 0x103 0x0",
    ];
    assert_eq!(machine.events.taken(), expected);
    assert_eq!(machine.plug("d1", GIB), 0);
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
fn slots_and_addresses_are_taken_from_the_lowest_and_used_again() {
    let mut machine = Machine::new(3);
    for (index, id) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(machine.plug(id, GIB), u32::try_from(index).unwrap());
    }
    assert!(matches!(machine.add("d", GIB), Err(DimmError::NoFreeSlot(3))));
    machine.slots.remove("b").unwrap();
    machine.fetch();
    machine.eject(1);
    machine.ost(1, 3, 0);
    let status = machine.add("d", GIB).unwrap();
    assert_eq!((status.slot, status.ranges), (Some(1), vec![GuestRange::new(START + GIB, GIB)]));
    let ids: Vec<String> = machine.slots.statuses().into_iter().map(|status| status.id).collect();
    assert_eq!(ids, ["a", "d", "c"]);
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
fn bad_requests_name_what_is_wrong_and_change_nothing() {
    let mut machine = Machine::new(4);
    machine.plug("d0", 32 * GIB);
    machine.host.calls();
    for (id, size, expected) in [
        ("d1", 0, "size: 0 is not a multiple of 134217728 bytes (128 MiB) greater than 0"),
        ("d1", 192 << 20, "size: 201326592 is not a multiple"),
        ("d1", 65 * GIB, "size: 69793218560 bytes are more than the window for memory devices has"),
        ("d1", !(GRANULE - 1), "are more than the window"),
        ("d1", 33 * GIB, "size: no 35433480192 bytes in a row are free"),
        ("d0", GIB, r#"id: "d0" is the name of another memory device"#),
    ] {
        let error = machine.add(id, size).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let error = machine.slots.remove("d9").unwrap_err().to_string();
    assert_eq!(error, r#"id: there is no DIMM "d9""#);
    assert_eq!((machine.host.calls(), machine.events.taken(), machine.fetch()), (vec![], vec![], vec![]));
    assert_eq!(machine.slots.statuses().len(), 1);
}

#[test]
fn the_number_of_slots_has_bounds() {
    for slots in [0, MAX_SLOTS + 1] {
        let config = DimmSlotsConfig { window: GuestRange::new(START, GIB), slots };
        let ged = Arc::new(Mutex::new(Ged::new(Line::new())));
        let error = DimmSlots::new(config, ged, FakeHost::new(), Events::new()).unwrap_err();
        assert_eq!(error.to_string(), format!("slots: {slots} is not between 1 and 1024"));
    }
    let mut machine = Machine::new(MAX_SLOTS);
    assert_eq!(machine.sta(1023), 0);
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

proptest! {
    /// Whatever a guest writes, nothing panics, host memory and devices agree, and every
    /// accepted change on a device ends before the device does.
    #[test]
    fn a_hostile_guest_is_survived(
        steps in prop::collection::vec((0_u8..6, 0_u32..4, prop::sample::select(vec![0, 1, 3, 0x80, 0x82, 0x84, 0x103])), 1..200)
    ) {
        let mut machine = Machine::new(3);
        for (number, (what, slot, value)) in steps.into_iter().enumerate() {
            match what {
                0 => drop(machine.add(&format!("d{number}"), GIB)),
                1 => drop(machine.slots.statuses().first().map(|status| machine.slots.remove(&status.id))),
                2 => machine.eject(slot),
                3 => machine.ost(slot, if slot % 2 == 0 { 3 } else { 0x103 }, value),
                4 => machine.ost(slot, 1, value),
                _ => drop(machine.fetch()),
            }
            let mut ranges: Vec<GuestRange> =
                machine.slots.statuses().into_iter().flat_map(|status| status.ranges).collect();
            ranges.sort();
            prop_assert_eq!(machine.host.backed(), ranges);
        }
        let events = machine.events.taken();
        for (index, event) in events.iter().enumerate() {
            if let Some(rest) = event.strip_prefix("removed ") {
                let id = rest.split(' ').next().unwrap();
                let about: Vec<&String> =
                    events[..index].iter().filter(|event| event.contains(&format!("{id} "))).collect();
                let expected = format!("finished {id} done");
                prop_assert_eq!(about.last(), Some(&&expected));
            }
        }
        machine.slots.reset();
        for status in machine.slots.statuses() {
            prop_assert!(matches!(status.state, State::Plugged | State::Plugging));
        }
    }
}
