//! DIMM slots between a host that adds and removes and a guest that says and does anything.

use std::sync::{Arc, Mutex};

use arbitrary::{Result, Unstructured};
use dimmer_acpi::hotplug as block;
use dimmer_devices::bus::{BusDevice, lock};
use dimmer_devices::dimm::{Dimm, DimmRange, DimmSlots, DimmSlotsConfig, Notify};
use dimmer_devices::ged::Ged;
use dimmer_devices::memory::GuestRange;
use dimmer_devices::placement::Alignment;

use crate::host::{Host, Line, outside};

const GIB: u64 = 1 << 30;
const WINDOW: GuestRange = GuestRange::new(8 * GIB, 8 * GIB);
const SLOTS: u16 = 4;
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Most memory, in steps of this.
const STEP: u64 = 128 << 20;

struct Machine {
    slots: DimmSlots,
    ged: Arc<Mutex<Ged>>,
    host: Arc<Host>,
}

pub fn slots(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let (host, ged) = (Arc::<Host>::default(), Arc::new(Mutex::new(Ged::new(Arc::<Line>::default()))));
    let slots = made(&ged, &host);
    let mut machine = Machine { slots, ged, host };
    while !input.is_empty() && machine.step(&mut input).is_ok() {
        machine.check();
    }
}

fn made(ged: &Arc<Mutex<Ged>>, host: &Arc<Host>) -> DimmSlots {
    let config = DimmSlotsConfig { window: WINDOW, alignment: Alignment::Gibibyte, slots: SLOTS };
    DimmSlots::new(config, ged.clone(), outside(host)).expect("slots that can be")
}

impl Machine {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match input.int_in_range(0_u8..=11)? {
            0 | 1 => self.add(input)?,
            2 => drop(self.slots.remove(NAMES[input.choose_index(NAMES.len())?])),
            3 => self.slots.alarm(NAMES[input.choose_index(NAMES.len())?]),
            4 => self.host.fail(input.arbitrary()?),
            5 => self.moves_on(),
            6 => {
                let mut data = [0; 8];
                let width = [1, 2, 4, 8][input.choose_index(4)?];
                self.slots.read(input.int_in_range(0_u64..=0x40)?, &mut data[..width]);
            }
            7 => {
                let data = input.arbitrary::<[u8; 8]>()?;
                let width = [1, 2, 4, 8][input.choose_index(4)?];
                self.slots.write(input.int_in_range(0_u64..=0x40)?, &data[..width]);
            }
            8 if input.ratio(1_u8, 4_u8)? => self.slots.reset(),
            8 => drop(self.read(block::EVENT)),
            9 => {
                self.select(input)?;
                self.write(block::EJECT, 1);
            }
            _ => {
                self.select(input)?;
                self.write(block::OST_SOURCE, [0, 1, 3, 0x103, 0x200][input.choose_index(5)?]);
                self.write(block::OST_STATUS, [0, 1, 0x80, 0x81, 0x84][input.choose_index(5)?]);
            }
        }
        Ok(())
    }

    fn add(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let mut ranges = Vec::new();
        for index in 0..input.int_in_range(1_u8..=3)? {
            let size = u64::from(input.int_in_range(0_u8..=8)?) * STEP;
            ranges.push(DimmRange { size, gap: if index == 0 { 0 } else { STEP } });
        }
        ranges.reverse();
        let mut dimm = Dimm::new(NAMES[input.choose_index(NAMES.len())?], ranges);
        dimm.descending = input.arbitrary()?;
        if input.ratio(1_u8, 8_u8)? {
            dimm.placement.start = Some(WINDOW.start + u64::from(input.arbitrary::<u8>()?) * STEP);
        }
        let notify = [Notify::DeviceCheck, Notify::BusCheck, Notify::None][input.choose_index(3)?];
        drop(if input.ratio(1_u8, 8_u8)? {
            self.slots.add_at_boot(dimm)
        } else {
            self.slots.add(dimm, notify)
        });
        Ok(())
    }

    fn select(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let slot = [0, 1, 2, 3, 4, u32::from(block::CONTAINER), u32::MAX][input.choose_index(7)?];
        self.write(block::SLOT, slot);
        Ok(())
    }

    fn moves_on(&mut self) {
        let state = self.slots.state();
        let text = serde_json::to_string(&state).expect("a state is plain data");
        let mut other = made(&self.ged, &self.host);
        let read = serde_json::from_str(&text).expect("what was written");
        other.restore(&read).expect("a state that slots had is one that slots can have");
        assert_eq!(other.state(), state, "a state is not what was restored");
        self.slots = other;
    }

    fn read(&mut self, register: u16) -> u32 {
        let mut data = [0; 4];
        self.slots.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    fn write(&mut self, register: u16, value: u32) {
        self.slots.write(register.into(), &value.to_le_bytes());
    }

    /// Devices, host memory and registers agree.
    fn check(&mut self) {
        let statuses = self.slots.statuses();
        let mut places: Vec<GuestRange> = statuses.iter().flat_map(|status| status.ranges.clone()).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0].end() <= pair[1].start), "devices overlap: {places:x?}");
        assert!(places.iter().all(|range| WINDOW.contains(range)), "a device is outside: {places:x?}");
        assert!(statuses.len() <= usize::from(SLOTS));
        for holding in self.slots.holdings() {
            assert_eq!(
                holding.ranges,
                self.host.of(&holding.id),
                "the books of {} are not the host's",
                holding.id
            );
        }
        let held: u64 =
            self.slots.holdings().iter().flat_map(|one| &one.ranges).map(|range| range.size).sum();
        assert_eq!(held, self.host.backed(), "somebody has memory whom there is not");
        let pending = lock(&self.ged).state();
        self.check_registers();
        assert_eq!(lock(&self.ged).state(), pending, "looking changed what the guest is told");
    }

    /// What the guest reads of each slot is what there is in it.
    fn check_registers(&mut self) {
        let selected = self.read(block::SLOT);
        for slot in 0..SLOTS {
            self.write(block::SLOT, slot.into());
            let status = self.slots.statuses().into_iter().find(|status| status.slot == Some(slot));
            let present = self.read(block::STATUS) == block::STATUS_PRESENT;
            assert!(!present || status.is_some(), "an empty slot has a device");
            let count = self.read(block::RANGE);
            assert!(status.is_some() || count == 0, "an empty slot has ranges");
            for range in 0..count {
                self.write(block::RANGE, range);
                let two = |low, high| u64::from(low) | u64::from(high) << 32;
                let start = two(self.read(block::BASE_LOW), self.read(block::BASE_HIGH));
                let size = two(self.read(block::LENGTH_LOW), self.read(block::LENGTH_HIGH));
                let known = status.iter().any(|status| status.ranges.contains(&GuestRange::new(start, size)));
                assert!(known, "slot {slot} shows {size:#x} bytes at {start:#x}");
            }
        }
        self.write(block::SLOT, selected);
    }
}
