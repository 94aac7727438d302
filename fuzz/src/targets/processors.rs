//! Processor slots between a host that asks for a number and a guest that says and does anything.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use arbitrary::{Result, Unstructured};
use dimmer_acpi::hotplug::STATUS_PRESENT;
use dimmer_acpi::processors as block;
use dimmer_devices::bus::{BusDevice, lock};
use dimmer_devices::ged::Ged;
use dimmer_devices::processors::{ProcessorEvent, ProcessorSink, ProcessorSlots, Seats, Surroundings};

use crate::host::Line;

const BOOT: u16 = 2;
const MAX: u16 = 6;

/// The processors that run.
#[derive(Debug)]
struct Running(Mutex<BTreeSet<u16>>);

impl Seats for Running {
    fn arrive(&self, number: u16) {
        lock(&self.0).insert(number);
    }

    fn leave(&self, number: u16) {
        lock(&self.0).remove(&number);
    }
}

#[derive(Debug)]
struct Silence;

impl ProcessorSink for Silence {
    fn processors(&self, _: ProcessorEvent) {}
}

pub fn slots(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let seats = Arc::new(Running(Mutex::new((0..BOOT).collect())));
    let ged = Arc::new(Mutex::new(Ged::new(Arc::<Line>::default())));
    let outside = Surroundings { ged, seats: seats.clone(), events: Arc::new(Silence) };
    let mut slots = ProcessorSlots::new(BOOT, MAX, outside.clone());
    while !input.is_empty() && step(&mut slots, &outside, &mut input).is_ok() {
        let there: BTreeSet<u16> = (0..MAX).filter(|number| slots.is_present(*number)).collect();
        assert_eq!(*lock(&seats.0), there, "what runs is not what is present");
        assert!(there.contains(&0), "the processor that the guest booted on is gone");
        let status = slots.status();
        assert!(status.max == MAX && (1..=MAX).contains(&status.requested) && status.plugged <= MAX);
        let selected = read(&mut slots, block::PROCESSOR);
        for number in 0..MAX {
            write(&mut slots, block::PROCESSOR, number.into());
            let present = read(&mut slots, block::STATUS) == STATUS_PRESENT;
            assert_eq!(present, there.contains(&number), "what the guest reads of processor {number}");
        }
        write(&mut slots, block::PROCESSOR, selected);
    }
}

fn read(slots: &mut ProcessorSlots, register: u16) -> u32 {
    let mut data = [0; 4];
    slots.read(register.into(), &mut data);
    u32::from_le_bytes(data)
}

fn write(slots: &mut ProcessorSlots, register: u16, value: u32) {
    slots.write(register.into(), &value.to_le_bytes());
}

fn moved_on(
    state: &dimmer_devices::processors::ProcessorSlotsState,
    outside: &Surroundings,
) -> ProcessorSlots {
    let mut other = ProcessorSlots::new(BOOT, MAX, outside.clone());
    let text = serde_json::to_string(state).expect("a state is plain data");
    let read = serde_json::from_str(&text).expect("what was written");
    other.restore(&read).expect("a state that slots had is one that slots can have");
    assert_eq!(other.state(), *state, "a state is not what was restored");
    other
}

fn step(slots: &mut ProcessorSlots, outside: &Surroundings, input: &mut Unstructured<'_>) -> Result<()> {
    match input.int_in_range(0_u8..=8)? {
        0 | 1 => {
            let count = input.int_in_range(0_u16..=MAX + 1)?;
            let taken = slots.request(count).is_ok();
            assert_eq!(taken, (1..=MAX).contains(&count), "a request for {count}");
        }
        2 => drop(read(slots, block::EVENT)),
        3 => {
            let (data, mut read) = (input.arbitrary::<[u8; 8]>()?, [0; 8]);
            let width = [1, 2, 4, 8][input.choose_index(4)?];
            let offset = input.int_in_range(0_u64..=0x20)?;
            slots.write(offset, &data[..width]);
            slots.read(offset, &mut read[..width]);
        }
        4 | 5 => {
            write(slots, block::PROCESSOR, input.int_in_range(0_u32..=7)?);
            write(slots, block::EJECT, 1);
        }
        6 if input.ratio(1_u8, 4_u8)? => slots.reset(),
        6 => *slots = moved_on(&slots.state(), outside),
        _ => {
            write(slots, block::PROCESSOR, input.int_in_range(0_u32..=7)?);
            write(slots, block::OST_SOURCE, [0, 1, 3, 0x103, 0x200][input.choose_index(5)?]);
            write(slots, block::OST_STATUS, [0, 1, 0x80, 0x81, 0x84][input.choose_index(5)?]);
        }
    }
    Ok(())
}
