//! What is saved of a serial port.

use serde::{Deserialize, Serialize};

use super::{NoEdge, Serial};
use crate::state::StateError;

/// The registers of a 16550 as they were, and what the guest has not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialState {
    /// Divisor latch, low and high byte.
    pub divisor: [u8; 2],
    /// IER.
    pub interrupt_enable: u8,
    /// IIR, as `vm-superio` keeps it.
    pub interrupt_identification: u8,
    /// LCR.
    pub line_control: u8,
    /// LSR.
    pub line_status: u8,
    /// MCR.
    pub modem_control: u8,
    /// MSR.
    pub modem_status: u8,
    /// SCR.
    pub scratch: u8,
    /// Bytes for the guest, oldest first; at most as many as the port's FIFO holds.
    pub input: Vec<u8>,
}

impl Serial {
    /// Its state.
    pub fn state(&self) -> SerialState {
        let port = self.port.state();
        SerialState {
            divisor: [port.baud_divisor_low, port.baud_divisor_high],
            interrupt_enable: port.interrupt_enable,
            interrupt_identification: port.interrupt_identification,
            line_control: port.line_control,
            line_status: port.line_status,
            modem_control: port.modem_control,
            modem_status: port.modem_status,
            scratch: port.scratch,
            input: port.in_buffer,
        }
    }

    /// Goes on from `state`; the line follows. What could not be taken of the input before is to be offered again.
    ///
    /// # Errors
    /// When there is more input than the port can hold; nothing has changed then.
    pub fn restore(&mut self, state: &SerialState) -> Result<(), StateError> {
        let registers = vm_superio::SerialState {
            baud_divisor_low: state.divisor[0],
            baud_divisor_high: state.divisor[1],
            interrupt_enable: state.interrupt_enable,
            interrupt_identification: state.interrupt_identification,
            line_control: state.line_control,
            line_status: state.line_status,
            modem_control: state.modem_control,
            modem_status: state.modem_status,
            scratch: state.scratch,
            in_buffer: state.input.clone(),
        };
        let nowhere: Box<dyn std::io::Write + Send> = Box::new(std::io::sink());
        let port = vm_superio::Serial::from_state(&registers, NoEdge, vm_superio::serial::NoEvents, nowhere);
        let mut port = port.map_err(|error| StateError(format!("serial port: {error:?}")))?;
        std::mem::swap(port.writer_mut(), self.port.writer_mut());
        self.port = port;
        self.drive();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bus::BusDevice;
    use crate::testing::{Line, Output};

    proptest! {
        #[test]
        fn a_port_goes_on_as_the_one_that_was_saved(
            steps in prop::collection::vec((0_u64..8, any::<u8>(), 0..3), 0..40)
        ) {
            let (lines, outputs) = ([Line::new(), Line::new()], [Output::default(), Output::default()]);
            let port = |index: usize| Serial::new(lines[index].clone(), Box::new(outputs[index].clone()));
            let (mut saved, mut restored) = (port(0), port(1));
            let step = |port: &mut Serial, (register, value, what): (u64, u8, i32)| match what {
                0 => {
                    let mut data = [0];
                    port.read(register, &mut data);
                    usize::from(data[0])
                }
                // Loop back reads what it writes, which takes the place of input.
                1 if register != 4 => {
                    port.write(register, &[value]);
                    0
                }
                _ => port.receive(&vec![value; usize::from(value)]),
            };
            let (before, after) = steps.split_at(steps.len() / 2);
            for one in before {
                step(&mut saved, *one);
            }
            restored.restore(&saved.state()).unwrap();
            let written = outputs[0].bytes().len();
            for one in after {
                prop_assert_eq!(step(&mut saved, *one), step(&mut restored, *one));
                prop_assert_eq!(lines[0].is_high(), lines[1].is_high());
                prop_assert_eq!(saved.state(), restored.state());
            }
            prop_assert_eq!(&outputs[0].bytes()[written..], &outputs[1].bytes()[..]);
        }
    }

    #[test]
    fn more_input_than_there_can_be_is_refused() {
        let (line, output) = (Line::new(), Output::default());
        let mut port = Serial::new(line, Box::new(output));
        let before = port.state();
        let state = SerialState { input: vec![7; 1000], scratch: 9, ..before.clone() };
        assert!(port.restore(&state).unwrap_err().to_string().starts_with("serial port: "));
        assert_eq!(port.state(), before);
    }
}
