//! Places from both sides: a host that puts devices there, and a guest that looks, drives them, and lets go.

use std::sync::{Arc, Mutex};

use super::*;
use crate::bus::BusDevice;
use crate::fault::Faults;
use crate::memory_map::MemoryMap;
use crate::testing::{Alarms, Events, FakeHost, Line};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
const STATUS: u64 = 0x70;

/// A driver's way to DRIVER_OK: features 0, then the upper half with VERSION_1, then a queue.
const START: [(u64, u32); 14] = [
    (STATUS, 1),
    (STATUS, 3),
    (0x24, 0),
    (0x20, 2),
    (0x24, 1),
    (0x20, 1),
    (STATUS, 0xb),
    (0x30, 0),
    (0x38, 4),
    (0x80, 0x1000),
    (0x90, 0x2000),
    (0xa0, 0x3000),
    (0x44, 1),
    (STATUS, 0xf),
];

/// Two places: 4 GiB in node 0, 8 GiB in node 1.
struct Machine {
    places: Places,
    events: Arc<Events>,
    line: Arc<Line>,
}

impl Machine {
    fn new() -> Self {
        let events = Events::new();
        let outside = Outside {
            host: FakeHost::new(),
            events: events.clone(),
            faults: Arc::<Faults>::default(),
            alarm: Arc::<Alarms>::default(),
        };
        let memory = MemoryMap::from_ranges(&[(vm_memory::GuestAddress(0), 0x4000)]).unwrap();
        let memory = Memory::new(memory);
        let room = |node: u16| Room {
            id: format!("place{node}"),
            region: GuestRange::new(u64::from(node + 1) * 8 * GIB, u64::from(node + 1) * 4 * GIB),
            node,
            block_size: 2 * MIB,
            max_block_size: 128 * MIB,
            legacy: false,
        };
        let place = |node| PlaceConfig { room: room(node), memory: memory.clone(), irq: Line::new() };
        let line = Line::new();
        let ged = Arc::new(Mutex::new(Ged::new(line.clone())));
        Self { places: Places::new(vec![place(0), place(1)], ged, &outside), events, line }
    }

    fn add(&self, id: &str) -> Result<MemoryStatus, PlaceError> {
        self.places.add(&NewVirtioMem { id: id.to_owned(), ..NewVirtioMem::default() })
    }

    fn remove(&self, id: &str) -> Result<MemoryStatus, VirtioMemError> {
        self.places.remove(id).expect("there is one of this name")
    }

    /// Who is there, as the guest reads it.
    fn present(&mut self) -> [u8; 3] {
        let mut bytes = [0xee; 3];
        self.places.read(0, &mut bytes);
        bytes
    }

    fn read(&self, place: usize, register: u64) -> u32 {
        let mut data = [0xee; 4];
        lock(&self.places.all()[place]).read(register, &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&self, place: usize, register: u64, value: u32) {
        lock(&self.places.all()[place]).write(register, &value.to_le_bytes());
    }

    fn drive(&self, place: usize) {
        START.iter().for_each(|(register, value)| self.write(place, *register, *value));
    }

    fn resize(&self, size: u64) {
        lock(&self.places.devices()[0]).request(size).unwrap();
    }
}

#[test]
fn a_device_comes_and_goes() {
    let mut machine = Machine::new();
    let status = machine.add("a").unwrap();
    assert_eq!(
        (status.state, status.ranges),
        (crate::memory::State::Plugging, vec![GuestRange::new(8 * GIB, 4 * GIB)])
    );
    assert!(machine.line.is_high());
    assert_eq!(machine.present(), [1, 0, 0]);
    assert_eq!(machine.events.taken(), ["accepted a"]);
    machine.drive(0);
    assert_eq!(machine.events.taken(), ["finished a done"]);
    assert_eq!(machine.remove("a").unwrap().state, crate::memory::State::Unplugging);
    assert_eq!((machine.present(), machine.read(0, 8)), ([0, 0, 0], 24), "the driver still has it");
    assert_eq!(machine.events.taken(), ["accepted a"]);
    machine.write(0, STATUS, 0);
    assert_eq!(machine.events.taken(), ["removed a done"]);
    assert_eq!(machine.places.devices().len(), 0);
    // What Linux does then.
    machine.write(0, 0x30, 0);
    machine.write(0, 0x44, 0);
    assert_eq!((machine.read(0, 0x44), machine.read(0, STATUS)), (0, 0));
    machine.add("b").unwrap();
    assert_eq!(machine.present(), [2, 0, 0]);
}

#[test]
fn an_empty_place_is_a_placeholder() {
    let machine = Machine::new();
    machine.drive(1);
    let registers: Vec<_> = (0..0x40).map(|index| machine.read(1, index * 4)).collect();
    assert_eq!(registers[..2], [0x7472_6976, 2]);
    assert!(registers[2..].iter().all(|value| *value == 0), "{registers:x?}");
    let mut wide = [0xee; 8];
    lock(&machine.places.all()[1]).read(u64::MAX - 3, &mut wide);
    assert_eq!(wide, [0; 8]);
    assert!(machine.events.taken().is_empty());
}

#[test]
fn a_device_without_driver_goes_at_once() {
    let mut machine = Machine::new();
    machine.add("a").unwrap();
    machine.remove("a").unwrap();
    let never = "finished a refused: the device was asked to go before a driver had come";
    assert_eq!(machine.events.taken(), ["accepted a", never, "accepted a", "removed a done"]);
    machine.add("b").unwrap();
    machine.drive(0);
    machine.write(0, STATUS, 0);
    machine.write(0, STATUS, 1);
    machine.remove("b").unwrap();
    assert_eq!((machine.present(), machine.places.devices().len()), ([0, 0, 0], 0), "as Linux leaves it");
}

#[test]
fn what_has_something_does_not_go_and_what_is_to_go_gets_nothing() {
    let machine = Machine::new();
    machine.add("a").unwrap();
    machine.drive(0);
    machine.resize(2 * MIB);
    let error = machine.remove("a").unwrap_err().to_string();
    assert!(error.starts_with("it has 0 bytes plugged, and 2 MiB requested"), "{error}");
    machine.resize(0);
    machine.remove("a").unwrap();
    let error = lock(&machine.places.devices()[0]).request(2 * MIB).unwrap_err();
    assert_eq!(error, VirtioMemError::Leaving);
    assert!(machine.places.remove("b").is_none());
}

#[test]
fn a_device_takes_the_first_place_that_fits() {
    let machine = Machine::new();
    let new = |id: &str| NewVirtioMem { id: id.to_owned(), ..NewVirtioMem::default() };
    let status = machine.places.add(&NewVirtioMem { size: Some(5 * GIB), ..new("a") }).unwrap();
    assert_eq!((status.node, status.ranges[0].size), (1, 5 * GIB));
    let said = |new: NewVirtioMem| machine.places.add(&new).unwrap_err().to_string();
    assert_eq!(
        said(NewVirtioMem { node: Some(1), size: Some(GIB), ..new("b") }),
        "no place is free for 1 GiB in node 1; there are place0 (4 GiB, node 0, free), place1 (8 GiB, node 1, taken by a)"
    );
    let block = |size| said(NewVirtioMem { block_size: Some(size), ..new("b") });
    assert_eq!(block(MIB), "block_size: 1 MiB must be 2 MiB to 128 MiB");
    let size = |size| said(NewVirtioMem { size: Some(size), ..new("b") });
    for wrong in [0, 100 * MIB] {
        assert!(size(wrong).ends_with(" must be a multiple of 128 MiB, and not 0"), "{}", size(wrong));
    }
    assert!(block(3 * MIB).starts_with("block_size: 3 MiB is not a power of two"));
    assert!(said(NewVirtioMem { requested_size: MIB, ..new("b") }).starts_with("requested_size: 1 MiB"));
    assert_eq!(machine.places.statuses()[0].turns_left, TURNS);
    machine
        .places
        .add(&NewVirtioMem { block_size: Some(4 * MIB), requested_size: 8 * MIB, ..new("b") })
        .unwrap();
}

#[test]
fn a_place_is_used_up_until_the_guest_boots_again() {
    let mut machine = Machine::new();
    for turn in 1..=TURNS {
        machine
            .places
            .add(&NewVirtioMem { id: "a".to_owned(), node: Some(0), ..NewVirtioMem::default() })
            .unwrap();
        assert_eq!(machine.present(), [turn, 0, 0]);
        machine.remove("a").unwrap();
    }
    machine.add("b").unwrap();
    assert_eq!(machine.present(), [0, 1, 0], "the other place");
    let error = machine.add("c").unwrap_err().to_string();
    assert!(error.contains("place0 (4 GiB, node 0, used up until the guest boots again)"), "{error}");
    machine.places.reset();
    machine.add("c").unwrap();
    assert_eq!(machine.present(), [1, 1, 0]);
}

#[test]
fn a_system_reset_keeps_who_stays_and_lets_go_who_does_not() {
    let mut machine = Machine::new();
    for (place, id) in ["a", "b"].into_iter().enumerate() {
        machine.add(id).unwrap();
        machine.drive(place);
    }
    machine.remove("a").unwrap();
    machine.places.reset();
    assert_eq!((machine.present(), machine.read(1, STATUS)), ([0, 1, 0], 0));
    assert_eq!(machine.events.taken().last().unwrap(), "removed a done");
}

#[test]
fn others_go_on_from_their_state() {
    let mut machine = Machine::new();
    machine.add("a").unwrap();
    machine
        .places
        .add(&NewVirtioMem {
            id: "b".to_owned(),
            size: Some(GIB),
            block_size: Some(4 * MIB),
            ..NewVirtioMem::default()
        })
        .unwrap();
    let state = machine.places.state();
    let mut other = Machine::new();
    other.places.restore(&state).unwrap();
    assert_eq!((other.places.state(), other.places.statuses()), (state.clone(), machine.places.statuses()));
    assert_eq!(other.present(), machine.present());
    other.drive(0);
    assert_eq!(other.events.taken(), ["finished a done"]);
    let wrong = |change: fn(&mut Vec<PlaceState>)| {
        let mut state = state.clone();
        change(&mut state);
        Machine::new().places.restore(&state).unwrap_err().to_string()
    };
    assert_eq!(wrong(|state| drop(state.pop())), "there are 2 places for virtio-mem devices, and not 1");
    assert_eq!(wrong(|state| state[0].turn = 0), "place place0: 0 devices have not come to it");
    assert_eq!(wrong(|state| state[0].turn = TURNS + 1), "place place0: 9 devices have not come to it");
    let occupant = |change: fn(&mut state::OccupantState)| {
        let mut state = state.clone();
        state[0].device.iter_mut().for_each(change);
        Machine::new().places.restore(&state).unwrap_err().to_string()
    };
    assert_eq!(occupant(|device| device.size = 5 * GIB), "place place0: a does not fit");
    assert_eq!(
        occupant(|device| device.block_size = GIB),
        "place place0: block_size: 1 GiB must be 2 MiB to 128 MiB"
    );
    assert!(occupant(|device| device.size -= 1).starts_with("place place0: size: "));
    assert_eq!(
        occupant(|device| {
            device.state.device.stay = crate::virtio_mem::Stay::Leaving;
            device.state.device.requested_size = GIB;
        }),
        "a: it is to go, and has something"
    );
}
