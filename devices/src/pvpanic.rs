//! The pvpanic device (QEMU, docs/specs/pvpanic): the guest reads which events there are, and writes those that happened.

use std::fmt;

use dimmer_acpi::pvpanic::{CRASH_LOADED, PANICKED};
use serde::{Deserialize, Serialize};

use crate::bus::BusDevice;

/// What the guest's kernel says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PanicEvent {
    /// It panicked.
    Panicked,
    /// It panicked, and goes over to its crash kernel.
    CrashLoaded,
}

/// The register.
pub struct Pvpanic {
    tell: Box<dyn Fn(PanicEvent) + Send>,
    /// What was said since the last reset, so that a guest says nothing twice.
    said: u8,
}

impl Pvpanic {
    /// A register that calls `tell`, on a vCPU thread, at most once for each event and boot; it must neither block nor
    /// come back into a device.
    pub fn new(tell: Box<dyn Fn(PanicEvent) + Send>) -> Self {
        Self { tell, said: 0 }
    }

    /// System reset.
    pub const fn reset(&mut self) {
        self.said = 0;
    }
}

/// What is saved of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PvpanicState {
    /// The events that this boot of the guest has told of, as it writes them.
    pub said: u8,
}

impl Pvpanic {
    /// Its state.
    pub const fn state(&self) -> PvpanicState {
        PvpanicState { said: self.said }
    }

    /// Goes on from `state`; nothing is told.
    pub const fn restore(&mut self, state: PvpanicState) {
        self.said = state.said;
    }
}

impl BusDevice for Pvpanic {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let (0, Some(events)) = (offset, data.first_mut()) {
            *events = PANICKED | CRASH_LOADED;
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        let (0, &[events]) = (offset, data) else { return };
        for (bit, event) in [(CRASH_LOADED, PanicEvent::CrashLoaded), (PANICKED, PanicEvent::Panicked)] {
            if events & bit & !self.said != 0 {
                self.said |= bit;
                (self.tell)(event);
            }
        }
    }
}

impl fmt::Debug for Pvpanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pvpanic").field("said", &self.said).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn each_event_is_told_once_for_each_boot() {
        let (sender, told) = channel();
        let mut device = Pvpanic::new(Box::new(move |event| sender.send(event).unwrap()));
        let mut data = [0xff; 2];
        device.read(0, &mut data);
        assert_eq!(data, [3, 0]);
        device.write(0, &[2]);
        (0..1000).for_each(|_| device.write(0, &[3]));
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [PanicEvent::CrashLoaded, PanicEvent::Panicked]);
        device.write(0, &[0xfc]);
        device.write(0, &[1, 0]);
        device.write(1, &[1]);
        assert_eq!(told.try_iter().count(), 0, "nothing of this is an event");
        let said = device.state();
        device.reset();
        device.restore(said);
        device.write(0, &[1]);
        assert_eq!(told.try_iter().count(), 0, "it was told before");
        device.reset();
        device.write(0, &[1]);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [PanicEvent::Panicked]);
    }
}
