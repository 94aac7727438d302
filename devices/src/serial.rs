//! The 16550 serial port: `vm-superio`'s registers with a level-triggered interrupt line.
//!
//! `vm-superio` announces an interrupt once and forgets it when IIR is read, which is right for an
//! edge. Here the line and IIR follow the conditions themselves: received data that was not read,
//! and a transmitter that became empty since IIR last said so. So IIR shows one cause at a time,
//! the more urgent first, and data that are still there keep the line high.

use std::convert::Infallible;
use std::fmt;
use std::io::Write;
use std::sync::Arc;

use vm_superio::Trigger;

use crate::bus::BusDevice;
use crate::irq::IrqLine;
use crate::warning::Said;

mod state;

pub use state::SerialState;

/// Number of registers, one byte each.
pub const SIZE: u64 = 8;

const IER_RECEIVED: u8 = 1 << 0;
const IER_EMPTY: u8 = 1 << 1;
const IIR: u8 = 2;
const IIR_NONE: u8 = 0x01;
const IIR_EMPTY: u8 = 0x02;
const IIR_RECEIVED: u8 = 0x04;
const IIR_FIFOS: u8 = 0xc0;
const LSR: u8 = 5;
const LSR_RECEIVED: u8 = 1 << 0;

/// Takes `vm-superio`'s edges, which nobody needs: the level is computed after each access.
#[derive(Debug, Clone, Copy)]
struct NoEdge;

impl Trigger for NoEdge {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

type Port = vm_superio::Serial<NoEdge, vm_superio::serial::NoEvents, Box<dyn Write + Send>>;

/// One serial port.
pub struct Serial {
    port: Port,
    irq: Arc<dyn IrqLine>,
    wake: Option<Box<dyn Fn() + Send>>,
    refused_input: bool,
    lost: Said,
}

/// The causes of an interrupt that hold at present and that the guest has enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    received: bool,
    empty: bool,
}

impl Serial {
    /// A port that writes what the guest sends to `output`, byte by byte and flushed, and drives
    /// `irq`. `output` should not block for long, since the guest's processor waits for it; what
    /// it fails to take is lost.
    pub fn new(irq: Arc<dyn IrqLine>, output: Box<dyn Write + Send>) -> Self {
        let port = vm_superio::Serial::new(NoEdge, output);
        Self { port, irq, wake: None, refused_input: false, lost: Said::default() }
    }

    /// Sets what is called, on a vCPU thread, when [`receive`](Self::receive) did not take
    /// everything and the guest has read what it had. It must neither block nor come back into a device.
    pub fn set_wake(&mut self, wake: Box<dyn Fn() + Send>) {
        self.wake = Some(wake);
    }

    /// Gives the guest bytes to read. Returns how many were taken; the rest is to be offered again
    /// when the guest has read some.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let room = bytes.len().min(self.port.fifo_capacity());
        // Fails only without room, or when `NoEdge` does.
        let taken = self.port.enqueue_raw_bytes(&bytes[..room]).unwrap_or(0);
        self.refused_input = taken < bytes.len();
        self.drive();
        taken
    }

    /// Number of bytes that [`receive`](Self::receive) would take now.
    pub fn capacity(&self) -> usize {
        self.port.fifo_capacity()
    }

    /// System reset: registers as at power-on, nothing received.
    pub fn reset(&mut self) {
        let output = std::mem::replace(self.port.writer_mut(), Box::new(std::io::sink()));
        self.port = vm_superio::Serial::new(NoEdge, output);
        self.drive();
    }

    fn pending(&mut self) -> Pending {
        // With the input empty, as it nearly always is, taking the state allocates nothing.
        let state = self.port.state();
        let enabled = state.interrupt_enable;
        Pending {
            received: enabled & IER_RECEIVED != 0 && self.port.read(LSR) & LSR_RECEIVED != 0,
            empty: enabled & IER_EMPTY != 0 && state.interrupt_identification & IIR_EMPTY != 0,
        }
    }

    fn drive(&mut self) {
        let pending = self.pending();
        self.irq.set(pending.received || pending.empty);
    }

    fn wake_when_drained(&mut self) {
        if self.refused_input
            && self.port.read(LSR) & LSR_RECEIVED == 0
            && let Some(wake) = &self.wake
        {
            self.refused_input = false;
            wake();
        }
    }

    fn read_register(&mut self, register: u8) -> u8 {
        if register != IIR {
            return self.port.read(register);
        }
        let cause = match self.pending() {
            Pending { received: true, .. } => IIR_RECEIVED,
            Pending { empty: true, .. } => {
                // Reading the cause "transmitter empty" clears it.
                self.port.read(IIR);
                IIR_EMPTY
            }
            _ => IIR_NONE,
        };
        cause | IIR_FIFOS
    }

    fn write_register(&mut self, register: u8, value: u8) {
        if let Err(error) = self.port.write(register, value)
            && self.lost.first()
        {
            tracing::warn!("The serial console loses what the guest writes: {error}");
        }
    }
}

impl BusDevice for Serial {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        for (register, byte) in (offset..=u64::MAX).zip(data) {
            *byte = u8::try_from(register).map_or(0, |register| self.read_register(register));
        }
        self.drive();
        self.wake_when_drained();
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        for (register, byte) in (offset..=u64::MAX).zip(data) {
            if let Ok(register) = u8::try_from(register) {
                self.write_register(register, *byte);
            }
        }
        self.drive();
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serial").field("state", &self.port.state()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Line, Output};

    const DATA: u64 = 0;
    const IER: u8 = 1;

    fn serial() -> (Serial, Arc<Line>, Output) {
        let (line, output) = (Line::new(), Output::default());
        (Serial::new(line.clone(), Box::new(output.clone())), line, output)
    }

    fn read(serial: &mut Serial, register: impl Into<u64>) -> u8 {
        let mut data = [0];
        serial.read(register.into(), &mut data);
        data[0]
    }

    #[test]
    fn what_the_guest_writes_comes_out() {
        let (mut serial, line, output) = serial();
        for byte in b"hello" {
            serial.write(DATA, &[*byte]);
        }
        assert_eq!(output.bytes(), b"hello");
        assert!(!line.is_high(), "no interrupt is enabled");
    }

    #[test]
    fn the_line_stays_high_until_all_data_are_read() {
        let (mut serial, line, _) = serial();
        serial.write(IER.into(), &[IER_RECEIVED]);
        assert_eq!(serial.receive(b"ab"), 2);
        assert!(line.is_high());
        assert_eq!(read(&mut serial, IIR), IIR_RECEIVED | IIR_FIFOS);
        assert_eq!(read(&mut serial, DATA), b'a');
        assert!(line.is_high());
        assert_eq!(read(&mut serial, IIR), IIR_RECEIVED | IIR_FIFOS);
        assert_eq!(read(&mut serial, DATA), b'b');
        assert!(!line.is_high());
        assert_eq!(read(&mut serial, IIR), IIR_NONE | IIR_FIFOS);
    }

    #[test]
    fn reading_the_cause_acknowledges_an_empty_transmitter_only() {
        let (mut serial, line, _) = serial();
        serial.write(IER.into(), &[IER_RECEIVED | IER_EMPTY]);
        assert!(line.is_high());
        serial.receive(b"a");
        assert_eq!(read(&mut serial, IIR), IIR_RECEIVED | IIR_FIFOS);
        read(&mut serial, DATA);
        assert!(line.is_high(), "the transmitter's interrupt waited behind the data");
        assert_eq!(read(&mut serial, IIR), IIR_EMPTY | IIR_FIFOS);
        assert!(!line.is_high());
    }

    #[test]
    fn disabling_interrupts_lowers_the_line() {
        let (mut serial, line, _) = serial();
        serial.write(IER.into(), &[IER_RECEIVED | IER_EMPTY]);
        serial.receive(b"a");
        serial.write(IER.into(), &[0]);
        assert!(!line.is_high());
        serial.write(IER.into(), &[IER_RECEIVED]);
        assert!(line.is_high());
    }

    #[test]
    fn input_beyond_the_fifo_is_offered_again_once_the_guest_has_read() {
        let (mut serial, _, _) = serial();
        let (sender, woken) = std::sync::mpsc::channel();
        serial.set_wake(Box::new(move || sender.send(()).unwrap()));
        let taken = serial.receive(&[7; 100]);
        assert!((1..100).contains(&taken));
        assert_eq!(serial.capacity(), 0);
        assert_eq!(serial.receive(&[7]), 0);
        for _ in 0..taken {
            assert!(woken.try_recv().is_err());
            read(&mut serial, DATA);
        }
        assert!(woken.try_recv().is_ok());
        assert_eq!(serial.receive(&[7; 4]), 4);
    }

    #[test]
    fn an_output_that_fails_does_not_disturb_the_guest() {
        let line = Line::new();
        let full: Box<dyn Write + Send> = Box::new(std::io::Cursor::new([0_u8; 1]));
        let mut serial = Serial::new(line.clone(), full);
        serial.write(IER.into(), &[IER_EMPTY]);
        read(&mut serial, IIR);
        serial.write(DATA, b"a");
        read(&mut serial, IIR);
        serial.write(DATA, b"b");
        assert!(line.is_high(), "the lost byte left the transmitter too");
    }

    #[test]
    fn reset_forgets_everything_but_the_output() {
        let (mut serial, line, output) = serial();
        serial.write(IER.into(), &[IER_RECEIVED]);
        serial.receive(b"a");
        serial.reset();
        assert!(!line.is_high());
        assert_eq!((read(&mut serial, IER), read(&mut serial, DATA)), (0, 0));
        serial.write(DATA, b"x");
        assert_eq!(output.bytes(), b"x");
    }

    #[test]
    fn accesses_of_odd_widths_and_places_are_harmless() {
        let (mut serial, _, _) = serial();
        let mut data = [0xee; 16];
        serial.read(u64::MAX, &mut data[..1]);
        serial.read(4, &mut data);
        serial.write(u64::MAX, &[1]);
        serial.write(300, &[1; 8]);
        assert_eq!(data[4..], [0; 12]);
    }
}
