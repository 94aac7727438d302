//! The slots from both sides: the host's methods, and the guest's registers.

use std::sync::{Arc, Mutex};

use super::*;
use crate::bus::{BusDevice, lock};
use crate::fault::{ActionName, Fault, Faults, Point};
use crate::memory::State;
use crate::placement::Placement;
use crate::testing::{Alarms, Call, Events, FakeHost, Line, outcome};
use dimmer_acpi::hotplug as block;

mod books;
mod bus_check;
mod eject;
mod eject_faults;
mod faults;
mod log;
mod places;
mod plug;
mod reset;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const START: u64 = 6 * GIB;

struct Machine {
    slots: DimmSlots,
    ged: Arc<Mutex<Ged>>,
    line: Arc<Line>,
    host: Arc<FakeHost>,
    events: Arc<Events>,
    faults: Arc<Faults>,
    alarms: Arc<Alarms>,
}

/// A device of one range.
fn dimm(id: &str, size: u64) -> Dimm {
    let ranges = vec![DimmRange { size, gap: 0 }];
    Dimm::new(id, ranges)
}

impl Machine {
    fn new(slots: u16) -> Self {
        Self::with_window(slots, 64 * GIB)
    }

    fn with_window(slots: u16, size: u64) -> Self {
        let (line, host, events) = (Line::new(), FakeHost::new(), Events::new());
        let (faults, alarms) = (Arc::<Faults>::default(), Arc::<Alarms>::default());
        let ged = Arc::new(Mutex::new(Ged::new(line.clone())));
        let config =
            DimmSlotsConfig { window: GuestRange::new(START, size), alignment: Alignment::Gibibyte, slots };
        let outside = Outside {
            host: host.clone(),
            events: events.clone(),
            faults: faults.clone(),
            alarm: alarms.clone(),
        };
        let slots = DimmSlots::new(config, ged.clone(), outside).unwrap();
        Self { slots, ged, line, host, events, faults, alarms }
    }

    /// Other slots, made the same, take over from these: their state as text, their host memory and their guest.
    fn moves_on(&mut self) {
        let state = serde_json::to_string(&self.slots.state()).unwrap();
        let window = self.slots.window.range();
        let slots = u16::try_from(self.slots.slots.len()).unwrap();
        let config = DimmSlotsConfig { window, alignment: Alignment::Gibibyte, slots };
        let mut other = DimmSlots::new(config, self.ged.clone(), self.slots.outside.clone()).unwrap();
        other.restore(&serde_json::from_str(&state).unwrap()).unwrap();
        // What is left of a delay shrinks as time goes by.
        let still = |mut state: DimmSlotsState| {
            for occupant in state.slots.iter_mut().filter_map(|slot| slot.occupant.as_mut()) {
                occupant.delayed_ms = occupant.delayed_ms.map(|_| 0);
            }
            state
        };
        assert_eq!(still(other.state()), still(self.slots.state()));
        assert_eq!(other.statuses(), self.slots.statuses());
        self.slots = other;
    }

    fn add(&mut self, id: &str, size: u64) -> Result<MemoryStatus, DimmError> {
        self.slots.add(dimm(id, size), Notify::DeviceCheck)
    }

    fn state(&self, id: &str) -> State {
        self.slots.status(id).expect("the device is there").state
    }

    fn waits_for(&self, id: &str) -> Option<String> {
        self.slots.status(id).expect("the device is there").waits_for
    }

    fn ids(&self) -> Vec<String> {
        self.slots.statuses().into_iter().map(|status| status.id).collect()
    }

    fn read(&mut self, register: u16) -> u32 {
        let mut data = [0; 4];
        self.slots.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&mut self, register: u16, value: u32) {
        self.slots.write(register.into(), &value.to_le_bytes());
    }

    /// What the guest's GED method does, when there was an interrupt: the notifications, as (slot,
    /// value).
    fn fetch(&mut self) -> Vec<(u32, u32)> {
        if !self.line.is_high() {
            return Vec::new();
        }
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

    /// What `_CRS` of the slot names, as (start, size).
    fn crs(&mut self, slot: u32) -> Vec<(u64, u64)> {
        self.write(block::SLOT, slot);
        let count = self.read(block::RANGE);
        let wide = |machine: &mut Self, low, high| {
            u64::from(machine.read(high)) << 32 | u64::from(machine.read(low))
        };
        let range = |index| {
            self.write(block::RANGE, index);
            let start = wide(self, block::BASE_LOW, block::BASE_HIGH);
            (start, wide(self, block::LENGTH_LOW, block::LENGTH_HIGH))
        };
        (0..count).map(range).collect()
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

    /// Asks for a device back and lets the guest begin to eject it.
    fn begin_eject(&mut self, id: &str) -> u32 {
        let slot = u32::from(self.slots.remove(id).unwrap().slot.unwrap());
        assert_eq!(self.fetch(), [(slot, 3)]);
        self.ost(slot, 3, 0x84);
        self.events.taken();
        slot
    }

    /// Sets one fault that acts once, on the first occasion.
    fn fault(&self, device: &str, on: Point, action: ActionName) {
        let milliseconds = (action == ActionName::Delay).then_some(1500);
        let device = device.to_owned();
        self.faults
            .set(vec![Fault { device, on, nth: 1, times: 1, action, milliseconds, size: None }])
            .unwrap();
    }

    /// The devices' own books agree with what the host was asked for.
    fn assert_books(&self) {
        let holdings = self.slots.holdings();
        let mut ranges: Vec<_> = holdings.into_iter().flat_map(|holding| holding.ranges).collect();
        ranges.sort();
        assert_eq!(self.host.backed(), ranges);
    }
}
