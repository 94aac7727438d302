//! Every register that belongs to no memory, processor or virtio device: serial port, PCI configuration, keyboard controller,
//! event device, power, panic device.

use std::io;
use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use dimmer_devices::bus::BusDevice;
use dimmer_devices::ged::Ged;
use dimmer_devices::i8042::I8042;
use dimmer_devices::pci::PciConfiguration;
use dimmer_devices::power::Power;
use dimmer_devices::pvpanic::Pvpanic;
use dimmer_devices::serial::Serial;

use crate::host::Line;

/// One of each.
struct Board {
    serial: Serial,
    pci: PciConfiguration,
    keyboard: I8042,
    events: Ged,
    power: Power,
    panic: Pvpanic,
    lines: [Arc<Line>; 2],
}

impl Board {
    fn new() -> Self {
        let lines = [Arc::<Line>::default(), Arc::default()];
        Self {
            serial: Serial::new(lines[0].clone(), Box::new(io::sink())),
            pci: PciConfiguration::default(),
            keyboard: I8042::new(Box::new(|| {})),
            events: Ged::new(lines[1].clone()),
            power: Power::new(Box::new(|_| {})),
            panic: Pvpanic::new(Box::new(|_| {})),
            lines,
        }
    }

    /// Another board that goes on from this one.
    fn twin(&self) -> Self {
        let mut twin = Self::new();
        twin.serial.restore(&self.serial.state()).expect("a state that a port had");
        twin.pci.restore(self.pci.state());
        twin.events.restore(self.events.state());
        twin.power.restore(self.power.state());
        twin.panic.restore(self.panic.state());
        twin
    }

    fn device(&mut self, which: usize) -> &mut dyn BusDevice {
        match which {
            0 => &mut self.serial,
            1 => &mut self.pci,
            2 => &mut self.keyboard,
            3 => &mut self.events,
            4 => &mut self.power,
            _ => &mut self.panic,
        }
    }

    fn levels(&self) -> [bool; 2] {
        [self.lines[0].is_high(), self.lines[1].is_high()]
    }
}

pub fn registers(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let mut board = Board::new();
    let mut twin = board.twin();
    while !input.is_empty() && step(&mut board, &mut twin, &mut input).is_ok() {
        assert_eq!(board.levels(), twin.levels(), "the lines of a twin");
    }
}

fn step(board: &mut Board, twin: &mut Board, input: &mut Unstructured<'_>) -> Result<()> {
    let width = [1, 2, 4, 8][input.choose_index(4)?];
    match input.int_in_range(0_u8..=9)? {
        0 => *twin = board.twin(),
        1 => {
            let event = input.arbitrary()?;
            board.events.raise(event);
            twin.events.raise(event);
        }
        2 => {
            let bytes = input.arbitrary::<[u8; 4]>()?;
            assert_eq!(board.serial.receive(&bytes), twin.serial.receive(&bytes), "what a twin's port takes");
        }
        3..=6 => {
            let (which, offset) = (input.choose_index(6)?, input.int_in_range(0_u64..=0x11)?);
            let data = input.arbitrary::<[u8; 8]>()?;
            board.device(which).write(offset, &data[..width]);
            twin.device(which).write(offset, &data[..width]);
        }
        _ => {
            let (which, offset) = (input.choose_index(6)?, input.int_in_range(0_u64..=0x11)?);
            let mut both = [[0; 8]; 2];
            board.device(which).read(offset, &mut both[0][..width]);
            twin.device(which).read(offset, &mut both[1][..width]);
            assert_eq!(both[0], both[1], "device {which} and its twin at {offset:#x}");
        }
    }
    Ok(())
}
