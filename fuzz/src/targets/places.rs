//! virtio-mem devices that come to places and go, between a host and a guest that drives, leaves and resets them.

use std::sync::{Arc, Mutex};

use arbitrary::{Result, Unstructured};
use dimmer_devices::bus::{BusDevice, lock};
use dimmer_devices::ged::Ged;
use dimmer_devices::memory::{GuestRange, State};
use dimmer_devices::places::{NewVirtioMem, PlaceConfig, Places, Room, TURNS};
use virtio_bindings::bindings::virtio_mmio as reg;

use crate::guest::plain_memory;
use crate::host::{Host, Line, UNIT, outside};

const MIB: u64 = 1 << 20;
/// Size in MiB and node of each place.
const PLACES: [(u64, u16); 3] = [(256, 0), (512, 1), (1024, 0)];
/// The status bit of a driver that knows the device (virtio 1.2, section 2.1).
const DRIVER: u32 = 2;
/// The device ID of virtio-mem.
const MEM: u32 = 24;

/// Who is to be in a place.
#[derive(Debug, Clone, Default)]
struct Expected {
    turn: u8,
    device: Option<Occupant>,
}

#[derive(Debug, Clone)]
struct Occupant {
    id: String,
    size: u64,
    requested: u64,
    driven: bool,
    leaving: bool,
}

struct Machine {
    places: Places,
    expected: [Expected; PLACES.len()],
    next: usize,
}

pub fn devices(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let mut machine = Machine { places: places(), expected: Default::default(), next: 0 };
    while !input.is_empty() && machine.step(&mut input).is_ok() {
        machine.check();
    }
}

/// Three places that are free.
fn places() -> Places {
    let memory = plain_memory(0x6000);
    let place = |(number, (size, node)): (u64, (u64, u16))| PlaceConfig {
        room: Room {
            id: format!("place{number}"),
            region: GuestRange::new((number + 1) << 32, size * MIB),
            node,
            block_size: UNIT,
            max_block_size: 128 * MIB,
            legacy: false,
        },
        memory: memory.clone(),
        irq: Arc::<Line>::default(),
    };
    let ged = Arc::new(Mutex::new(Ged::new(Arc::<Line>::default())));
    Places::new((0..).zip(PLACES).map(place).collect(), ged, &outside(&Arc::<Host>::default()))
}

impl Machine {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let place = input.choose_index(PLACES.len())?;
        match input.int_in_range(0_u8..=9)? {
            0..=2 => self.add(input)?,
            3 | 4 => self.remove(place),
            5 => self.status(place, DRIVER | 1),
            6 => self.status(place, 0),
            7 => {
                let (data, mut read) = (input.arbitrary::<[u8; 8]>()?, [0; 8]);
                let width = [1, 2, 4, 8][input.choose_index(4)?];
                let offset = input.int_in_range(0_u64..=0x20)?;
                self.places.write(offset, &data[..width]);
                self.places.read(offset, &mut read[..width]);
            }
            8 if input.ratio(1_u8, 4_u8)? => self.reset(),
            8 => self.resize(place, input.int_in_range(0_u64..=1)? * UNIT),
            _ => self.move_on(),
        }
        Ok(())
    }

    fn add(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let size = [None, Some(128 * MIB), Some(512 * MIB), Some(2048 * MIB), Some(100 * MIB)]
            [input.choose_index(5)?];
        let node = [None, Some(0), Some(1), Some(2)][input.choose_index(4)?];
        let block_size = [None, Some(4 * MIB), Some(MIB), Some(3 * MIB)][input.choose_index(4)?];
        let requested_size = input.int_in_range(0_u64..=2)? * UNIT;
        let id = format!("m{}", self.next);
        let new = NewVirtioMem { id: id.clone(), size, block_size, requested_size, node };
        let fits = |(expected, (room, of)): &(&mut Expected, (u64, u16))| {
            expected.device.is_none()
                && expected.turn < TURNS
                && size.is_none_or(|size| size <= room * MIB)
                && node.is_none_or(|node| node == u32::from(*of))
        };
        let block = block_size.unwrap_or(UNIT);
        let can_be = [UNIT, 4 * MIB].contains(&block)
            && size.is_none_or(|size| size.is_multiple_of(128 * MIB))
            && requested_size.is_multiple_of(block);
        let place = self.expected.iter_mut().zip(PLACES).find(fits).filter(|_| can_be);
        let added = self.places.add(&new);
        assert_eq!(added.is_ok(), place.is_some(), "{new:?}: {added:?}");
        if let Some((expected, (room, _))) = place {
            let size = size.unwrap_or(room * MIB);
            expected.turn += 1;
            expected.device =
                Some(Occupant { id, size, requested: requested_size, driven: false, leaving: false });
            self.next += 1;
        }
        Ok(())
    }

    /// Nothing is ever plugged here, so that what is requested decides.
    fn remove(&mut self, place: usize) {
        let Some(device) = &mut self.expected[place].device else { return };
        let left = self.places.remove(&device.id).expect("the device is there");
        assert_eq!(left.is_ok(), device.requested == 0, "{left:?}");
        device.leaving |= left.is_ok();
        self.let_go(place);
    }

    fn status(&mut self, place: usize, value: u32) {
        let transport = &self.places.all()[place];
        lock(transport).write(reg::VIRTIO_MMIO_STATUS.into(), &value.to_le_bytes());
        if let Some(device) = &mut self.expected[place].device {
            device.driven = value & DRIVER != 0;
        }
        self.let_go(place);
    }

    fn let_go(&mut self, place: usize) {
        self.expected[place].device.take_if(|device| device.leaving && !device.driven);
    }

    fn resize(&mut self, place: usize, size: u64) {
        let Some(expected) = &mut self.expected[place].device else { return };
        let all = self.places.devices();
        let device = all.iter().find(|device| lock(device).status().id == expected.id).expect("it is there");
        let block = lock(device).status().block_size;
        let accepted = lock(device).request(size).is_ok();
        assert_eq!(accepted, !expected.leaving && size.is_multiple_of(block), "{expected:?}");
        expected.requested = if accepted { size } else { expected.requested };
    }

    fn reset(&mut self) {
        self.places.reset();
        for place in 0..PLACES.len() {
            if let Some(device) = &mut self.expected[place].device {
                device.driven = false;
            }
            self.let_go(place);
            self.expected[place].turn = self.expected[place].device.is_some().into();
        }
    }

    /// Other places go on from what these are.
    fn move_on(&mut self) {
        let state = self.places.state();
        let text = serde_json::to_string(&state).expect("a state is plain data");
        let read: Vec<_> = serde_json::from_str(&text).expect("what was written");
        let others = places();
        others.restore(&read).expect("a state that places had is one that places can have");
        assert_eq!(others.state(), state, "a state is not what was restored");
        self.places = others;
    }

    /// What both sides see is what is to be there.
    fn check(&mut self) {
        let mut present = [0; PLACES.len()];
        self.places.read(0, &mut present);
        let statuses = self.places.statuses();
        let devices: Vec<_> = self.places.devices().iter().map(|device| lock(device).status()).collect();
        for (number, Expected { turn, device }) in self.expected.iter().enumerate() {
            let status = &statuses[number];
            let seen = (status.device.as_ref(), status.turns_left);
            assert_eq!(seen, (device.as_ref().map(|device| &device.id), TURNS - turn));
            let stays = device.as_ref().is_some_and(|device| !device.leaving);
            assert_eq!(present[number], if stays { *turn } else { 0 }, "what the guest reads of {status}");
            let mut id = [0; 4];
            lock(&self.places.all()[number]).read(reg::VIRTIO_MMIO_DEVICE_ID.into(), &mut id);
            assert_eq!(u32::from_le_bytes(id), if device.is_some() { MEM } else { 0 }, "{status}");
            let Some(device) = device else { continue };
            let found = devices.iter().find(|found| found.id == device.id).expect("it is there");
            let size: u64 = found.ranges.iter().map(|range| range.size).sum();
            assert_eq!((size, found.requested_size), (device.size, device.requested), "{found:?}");
            assert_eq!(found.state == State::Unplugging, device.leaving, "{found:?}");
        }
    }
}
