//! The processors from both sides: a host that asks, and a guest that reads registers and reports.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use dimmer_acpi::hotplug::{NO_EVENT, STATUS_PRESENT};
use dimmer_acpi::processors as block;
use proptest::prelude::*;

use super::*;
use crate::bus::{BusDevice, lock};
use crate::memory::Outcome;
use crate::testing::Line;

/// Seats that know who sits there, and events that are kept.
#[derive(Debug, Default)]
struct World {
    seated: Mutex<BTreeSet<u16>>,
    events: Mutex<Vec<ProcessorEvent>>,
}

impl Seats for World {
    fn arrive(&self, number: u16) {
        lock(&self.seated).insert(number);
    }

    fn leave(&self, number: u16) {
        lock(&self.seated).remove(&number);
    }
}

impl ProcessorSink for World {
    fn processors(&self, event: ProcessorEvent) {
        lock(&self.events).push(event);
    }
}

struct Machine {
    slots: ProcessorSlots,
    world: Arc<World>,
    line: Arc<Line>,
}

impl Machine {
    /// Processors 0 up to `boot` of `max`.
    fn new(boot: u16, max: u16) -> Self {
        let (world, line) = (Arc::<World>::default(), Line::new());
        let ged = Arc::new(Mutex::new(Ged::new(line.clone())));
        let outside = Surroundings { ged, seats: world.clone(), events: world.clone() };
        lock(&world.seated).extend(0..boot);
        Self { slots: ProcessorSlots::new(boot, max, outside), world, line }
    }

    fn read(&mut self, register: u16) -> u32 {
        let mut data = [0; 4];
        self.slots.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&mut self, register: u16, value: u32) {
        self.slots.write(register.into(), &value.to_le_bytes());
    }

    /// The notifications that wait.
    fn fetch(&mut self) -> Vec<(u32, u32)> {
        let next = |machine: &mut Self| Some(machine.read(block::EVENT)).filter(|event| *event != NO_EVENT);
        std::iter::from_fn(|| next(self)).map(|event| (event & 0xffff, event >> 16)).collect()
    }

    fn ost(&mut self, number: u32, source: u32, status: u32) {
        self.write(block::PROCESSOR, number);
        self.write(block::OST_SOURCE, source);
        self.write(block::OST_STATUS, status);
    }

    /// The guest ejects a processor and reports that it has.
    fn eject(&mut self, number: u32) {
        self.write(block::PROCESSOR, number);
        self.write(block::EJECT, 1);
        self.ost(number, 3, 0);
    }

    fn present(&mut self) -> Vec<u32> {
        let all = self.slots.numbers().map(u32::from);
        let is_there = |number: &u32| {
            self.write(block::PROCESSOR, *number);
            self.read(block::STATUS) == STATUS_PRESENT
        };
        let present: Vec<u32> = all.filter(is_there).collect();
        let seated: Vec<u32> = lock(&self.world.seated).iter().map(|number| u32::from(*number)).collect();
        assert_eq!(present, seated, "who can run, and who is there");
        present
    }

    /// Plugged of requested, state, and the last outcome.
    fn status(&self) -> (u16, u16, State, Option<Outcome>) {
        let status = self.slots.status();
        (status.plugged, status.requested, status.state, status.last.map(|last| last.outcome))
    }
}

#[test]
fn processors_come_and_go() {
    let mut machine = Machine::new(1, 4);
    assert_eq!(machine.status(), (1, 1, State::Plugged, None));
    machine.slots.request(3).unwrap();
    assert!(machine.line.is_high());
    assert_eq!(machine.status(), (1, 3, State::Plugging, None));
    assert_eq!(machine.fetch(), [(1, 1), (2, 1)]);
    assert_eq!(machine.present(), [0, 1, 2]);
    machine.ost(1, 1, 0);
    assert_eq!(machine.status(), (2, 3, State::Plugging, None));
    machine.ost(2, 1, 0);
    assert_eq!(machine.status(), (3, 3, State::Plugged, Some(Outcome::Done)));
    machine.slots.request(1).unwrap();
    assert_eq!(machine.fetch(), [(2, 3), (1, 3)]);
    machine.ost(2, 3, 0x84);
    machine.eject(2);
    assert_eq!(machine.status(), (2, 1, State::Unplugging, Some(Outcome::Done)));
    machine.eject(1);
    assert_eq!(machine.status(), (1, 1, State::Plugged, Some(Outcome::Done)));
    assert_eq!(machine.present(), [0]);
}

#[test]
fn what_is_refused_is_told_and_not_asked_for_again() {
    let mut machine = Machine::new(2, 3);
    machine.slots.request(3).unwrap();
    machine.fetch();
    machine.ost(2, 1, 1);
    assert_eq!(machine.status(), (2, 3, State::Plugged, Some(Outcome::Refused)));
    assert_eq!(machine.fetch(), []);
    machine.slots.request(1).unwrap();
    assert_eq!(machine.fetch(), [(2, 3), (1, 3)], "first what the guest does not use");
    machine.eject(2);
    machine.ost(1, 3, 0x82);
    let last = machine.slots.status().last.unwrap();
    assert_eq!(last.outcome, Outcome::Refused, "it had two, and has two");
    assert!(last.reason.unwrap().starts_with("busy: the guest could not take the processor offline"));
    machine.slots.request(3).unwrap();
    assert_eq!(machine.fetch(), [(2, 1)]);
    machine.ost(2, 1, 0);
    assert_eq!(machine.status(), (3, 3, State::Plugged, Some(Outcome::Done)));
}

#[test]
fn when_one_does_not_go_another_is_asked() {
    let mut machine = Machine::new(3, 3);
    machine.slots.request(2).unwrap();
    assert_eq!(machine.fetch(), [(2, 3)]);
    machine.ost(2, 3, 0x82);
    assert_eq!(machine.fetch(), [(1, 3)]);
    machine.eject(1);
    assert_eq!(machine.status(), (2, 2, State::Plugged, Some(Outcome::Done)));
    assert_eq!(machine.present(), [0, 2]);
}

#[test]
fn a_place_is_taken_again_when_the_guest_has_reported_the_end() {
    let mut machine = Machine::new(2, 2);
    machine.slots.request(1).unwrap();
    machine.fetch();
    machine.write(block::PROCESSOR, 1);
    machine.write(block::EJECT, 1);
    assert_eq!(machine.status().3, Some(Outcome::Done));
    machine.slots.request(2).unwrap();
    assert_eq!((machine.present(), machine.fetch()), (vec![0], vec![]));
    assert_eq!(machine.status(), (1, 2, State::Plugging, Some(Outcome::Done)));
    machine.ost(1, 3, 0);
    assert_eq!((machine.present(), machine.fetch()), (vec![0, 1], vec![(1, 1)]));
}

#[test]
fn another_request_takes_the_place_of_one_under_way() {
    let mut machine = Machine::new(1, 2);
    machine.slots.request(2).unwrap();
    machine.slots.request(1).unwrap();
    let events = lock(&machine.world.events).clone();
    let [
        ProcessorEvent::CpusAccepted { .. },
        ProcessorEvent::CpusFinished { cpus },
        ProcessorEvent::CpusAccepted { .. },
    ] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(cpus.last.as_ref().unwrap().outcome, Outcome::Refused);
    assert_eq!(machine.fetch(), [(1, 1), (1, 3)]);
    machine.ost(1, 1, 0);
    machine.eject(1);
    assert_eq!(machine.status(), (1, 1, State::Plugged, Some(Outcome::Done)));
}

#[test]
fn a_new_guest_finds_what_the_old_one_was_asked_to_take() {
    let mut machine = Machine::new(1, 3);
    machine.slots.request(2).unwrap();
    machine.slots.reset();
    assert_eq!((machine.present(), machine.fetch()), (vec![0, 1], vec![]));
    assert_eq!(machine.status(), (2, 2, State::Plugged, Some(Outcome::Done)));
    machine.slots.request(1).unwrap();
    machine.slots.reset();
    assert_eq!(machine.present(), [0, 1]);
    assert_eq!(machine.status(), (2, 1, State::Plugged, Some(Outcome::Refused)));
}

#[test]
fn counts_that_cannot_be_are_refused() {
    let mut machine = Machine::new(1, 2);
    for count in [0, 3, u16::MAX] {
        assert_eq!(machine.slots.request(count), Err(BadCount { max: 2 }));
    }
    assert_eq!(machine.slots.request(1).unwrap().state, State::Plugged);
    assert!(lock(&machine.world.events).is_empty(), "nothing had to change");
}

#[test]
fn the_guest_may_let_one_go_by_itself_but_not_the_first() {
    let mut machine = Machine::new(2, 2);
    machine.ost(1, 0x103, 0x84);
    assert_eq!(machine.status().2, State::Unplugging);
    machine.write(block::PROCESSOR, 0);
    machine.write(block::EJECT, 1);
    machine.write(block::PROCESSOR, 1);
    machine.write(block::EJECT, 1);
    machine.ost(1, 0x103, 0);
    assert_eq!((machine.present(), machine.status().0), (vec![0], 1));
}

/// Something that either side does.
#[derive(Debug, Clone)]
enum Act {
    Request(u16),
    Write(u16, u32),
    Read(u16),
    Reset,
    Move,
}

fn act() -> impl Strategy<Value = Act> {
    let register = prop_oneof![
        Just(block::PROCESSOR),
        Just(block::EJECT),
        Just(block::OST_SOURCE),
        Just(block::OST_STATUS)
    ];
    let value =
        prop_oneof![0..6_u32, Just(0x80), Just(0x82), Just(0x84), Just(0x103), Just(0x200), any::<u32>()];
    prop_oneof![
        4 => (0..6_u16).prop_map(Act::Request),
        12 => (register, value).prop_map(|(register, value)| Act::Write(register, value)),
        3 => prop_oneof![Just(block::EVENT), Just(block::STATUS)].prop_map(Act::Read),
        1 => Just(Act::Reset),
        1 => Just(Act::Move),
    ]
}

proptest! {
    /// Whatever a guest does: the boot processor stays, who can run is who is there, no queue grows, and a change that was
    /// accepted is under way or has ended. Another machine goes on from any state as this one does.
    #[test]
    fn the_books_agree_whatever_happens(acts in prop::collection::vec(act(), 0..60)) {
        let mut machine = Machine::new(2, 4);
        for act in acts {
            match act {
                Act::Request(count) => drop(machine.slots.request(count)),
                Act::Write(register, value) => machine.write(register, value),
                Act::Read(register) => drop(machine.read(register)),
                Act::Reset => machine.slots.reset(),
                Act::Move => {
                    let mut other = Machine::new(2, 4);
                    other.slots.restore(&machine.slots.state()).unwrap();
                    prop_assert_eq!(other.slots.state(), machine.slots.state());
                    machine = other;
                }
            }
            prop_assert!(machine.slots.notifications.len() <= 8);
            let events = lock(&machine.world.events).clone();
            let count = |which: fn(&ProcessorEvent) -> bool| events.iter().filter(|event| which(event)).count();
            let accepted = count(|event| matches!(event, ProcessorEvent::CpusAccepted { .. }));
            let finished = count(|event| matches!(event, ProcessorEvent::CpusFinished { .. }));
            let moved = usize::from(machine.slots.change.is_some());
            prop_assert!(accepted == finished + moved || accepted + 1 == finished + moved, "{:?}", events);
        }
        prop_assert!(machine.present().contains(&0));
    }
}

#[test]
fn states_that_cannot_be_are_refused() {
    let mut machine = Machine::new(2, 4);
    machine.slots.request(3).unwrap();
    let good = machine.slots.state();
    let mut homeless = good.clone();
    homeless.slots[0].phase = None;
    for wrong in [
        ProcessorSlotsState { requested: 0, ..good.clone() },
        ProcessorSlotsState { requested: 5, ..good.clone() },
        ProcessorSlotsState { notifications: vec![(4, 1)], ..good.clone() },
        ProcessorSlotsState { notifications: vec![(1, 7)], ..good.clone() },
        ProcessorSlotsState { notifications: vec![(1, 1); 9], ..good.clone() },
        ProcessorSlotsState { slots: good.slots[..3].to_vec(), ..good.clone() },
        homeless,
    ] {
        assert!(machine.slots.restore(&wrong).is_err(), "{wrong:?}");
        assert_eq!(machine.slots.state(), good);
    }
}
