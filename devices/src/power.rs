//! Power off and reset: the sleep control, sleep status and reset registers of the
//! hardware-reduced FADT (ACPI 6.5, sections 4.8.3.6 and 4.8.3.7).
//!
//! Soft off is the only sleep state there is, so the guest never wakes and WAK_STS never reads 1.

use std::fmt;

use dimmer_acpi::power::{RESET, RESET_VALUE, SLEEP_CONTROL, SLEEP_TYPE_S5};
use serde::{Deserialize, Serialize};

use crate::bus::BusDevice;
use crate::warning::Said;

/// SLP_EN: makes the machine go to the sleep state of the SLP_TYP field; reads 0.
const SLEEP_ENABLE: u8 = 1 << 5;
/// SLP_TYP, bits 2 to 4.
const SLEEP_TYPE_SHIFT: u8 = 2;
const SLEEP_TYPE_MASK: u8 = 0b111 << SLEEP_TYPE_SHIFT;

/// What the guest wants of the whole machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerRequest {
    /// End it.
    PowerOff,
    /// Start it again.
    Reset,
}

/// The three registers.
pub struct Power {
    sleep_type: u8,
    request: Box<dyn Fn(PowerRequest) + Send>,
    unknown_sleep_type: Said,
}

impl Power {
    /// The registers; `request` is called on a vCPU thread and must neither block nor come back
    /// into a device.
    pub fn new(request: Box<dyn Fn(PowerRequest) + Send>) -> Self {
        Self { sleep_type: 0, request, unknown_sleep_type: Said::default() }
    }

    /// System reset.
    pub fn reset(&mut self) {
        self.sleep_type = 0;
    }

    fn control(&mut self, value: u8) {
        self.sleep_type = value & SLEEP_TYPE_MASK;
        let sleep_type = self.sleep_type >> SLEEP_TYPE_SHIFT;
        if value & SLEEP_ENABLE == 0 {
            return;
        }
        if sleep_type == SLEEP_TYPE_S5 {
            (self.request)(PowerRequest::PowerOff);
        } else if self.unknown_sleep_type.first() {
            tracing::warn!("The guest asked for sleep type {sleep_type}, which no _Sx object offers");
        }
    }
}

/// What is saved of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PowerState {
    /// What the sleep control register reads.
    pub sleep_control: u8,
}

impl Power {
    /// Their state.
    pub const fn state(&self) -> PowerState {
        PowerState { sleep_control: self.sleep_type }
    }

    /// Goes on from `state`; nothing is asked for.
    pub const fn restore(&mut self, state: PowerState) {
        self.sleep_type = state.sleep_control & SLEEP_TYPE_MASK;
    }
}

impl BusDevice for Power {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let (true, Some(control)) = (offset == u64::from(SLEEP_CONTROL), data.first_mut()) {
            *control = self.sleep_type;
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let &[value] = data else { return };
        if offset == u64::from(SLEEP_CONTROL) {
            self.control(value);
        } else if offset == u64::from(RESET) && value == RESET_VALUE {
            (self.request)(PowerRequest::Reset);
        }
    }
}

impl fmt::Debug for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Power").field("sleep_type", &self.sleep_type).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use dimmer_acpi::power::{POWER_OFF, SLEEP_STATUS};

    fn power() -> (Power, Receiver<PowerRequest>) {
        let (sender, requests) = channel();
        let request = move |request| sender.send(request).unwrap();
        (Power::new(Box::new(request)), requests)
    }

    fn read(power: &mut Power, offset: u16) -> u8 {
        let mut data = [0xee];
        power.read(offset.into(), &mut data);
        data[0]
    }

    #[test]
    fn soft_off_is_asked_for_with_sleep_enable_only() {
        let (mut power, requests) = power();
        power.write(SLEEP_CONTROL.into(), &[POWER_OFF & !SLEEP_ENABLE]);
        assert_eq!(requests.try_recv().ok(), None);
        assert_eq!(read(&mut power, SLEEP_CONTROL), POWER_OFF & !SLEEP_ENABLE);
        power.write(SLEEP_CONTROL.into(), &[POWER_OFF]);
        assert_eq!(requests.try_recv().ok(), Some(PowerRequest::PowerOff));
        assert_eq!(read(&mut power, SLEEP_CONTROL) & SLEEP_ENABLE, 0);
    }

    #[test]
    fn a_sleep_state_that_is_not_there_is_ignored() {
        let (mut power, requests) = power();
        power.write(SLEEP_CONTROL.into(), &[SLEEP_ENABLE | 3 << SLEEP_TYPE_SHIFT]);
        assert_eq!(requests.try_recv().ok(), None);
    }

    #[test]
    fn the_reset_value_resets_and_nothing_else_does() {
        let (mut power, requests) = power();
        power.write(RESET.into(), &[0]);
        power.write(RESET.into(), &[RESET_VALUE, 0]);
        power.write(99, &[RESET_VALUE]);
        assert_eq!(requests.try_recv().ok(), None);
        power.write(RESET.into(), &[RESET_VALUE]);
        assert_eq!(requests.try_recv().ok(), Some(PowerRequest::Reset));
    }

    #[test]
    fn a_register_reads_as_it_was_saved_and_asks_for_nothing() {
        let ((mut before, _), (mut power, requests)) = (power(), power());
        before.write(SLEEP_CONTROL.into(), &[POWER_OFF & !SLEEP_ENABLE]);
        power.restore(before.state());
        assert_eq!(read(&mut power, SLEEP_CONTROL), POWER_OFF & !SLEEP_ENABLE);
        power.restore(PowerState { sleep_control: 0xff });
        assert_eq!(read(&mut power, SLEEP_CONTROL), SLEEP_TYPE_MASK);
        assert_eq!(requests.try_recv().ok(), None);
    }

    #[test]
    fn the_machine_never_wakes() {
        let (mut power, _requests) = power();
        power.write(SLEEP_STATUS.into(), &[0x80]);
        assert_eq!(read(&mut power, SLEEP_STATUS), 0);
        assert_eq!(read(&mut power, RESET), 0);
    }
}
