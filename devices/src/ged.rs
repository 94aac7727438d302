//! The Generic Event Device: one register and one interrupt line (ACPI 6.5, section 5.6.9).
//!
//! What the bits mean, and how the AML reads them, is in [`dimmer_acpi::ged`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::bus::BusDevice;
use crate::irq::IrqLine;
use crate::register;

/// The device: events that the guest has not fetched yet.
///
/// The line is high exactly while an event is pending. A read clears only the bits that it
/// returned, so no event is lost to a narrow access.
#[derive(Debug)]
pub struct Ged {
    pending: u32,
    irq: Arc<dyn IrqLine>,
}

impl Ged {
    /// A device without events that drives `irq`.
    pub fn new(irq: Arc<dyn IrqLine>) -> Self {
        Self { pending: 0, irq }
    }

    /// Makes `event` pending, one of the bits of [`dimmer_acpi::ged`], and interrupts the guest.
    pub fn raise(&mut self, event: u32) {
        self.pending |= event;
        self.irq.set(self.pending != 0);
    }

    /// System reset: nothing is pending any more.
    ///
    /// Whoever has events for the new guest raises them afterwards, so this is reset first.
    pub fn reset(&mut self) {
        self.pending = 0;
        self.irq.set(false);
    }
}

/// What is saved of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GedState {
    /// Events that the guest has not fetched.
    pub pending: u32,
}

impl Ged {
    /// Its state.
    pub const fn state(&self) -> GedState {
        GedState { pending: self.pending }
    }

    /// Goes on from `state`; the line follows.
    pub fn restore(&mut self, state: GedState) {
        self.pending = state.pending;
        self.irq.set(self.pending != 0);
    }
}

impl BusDevice for Ged {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        register::copy(&self.pending.to_le_bytes(), offset, data);
        let mut kept = self.pending.to_le_bytes();
        let from = usize::try_from(offset).unwrap_or(kept.len());
        kept.iter_mut().skip(from).take(data.len()).for_each(|byte| *byte = 0);
        self.pending = u32::from_le_bytes(kept);
        self.irq.set(self.pending != 0);
    }

    fn write(&mut self, _offset: u64, _data: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Line;
    use dimmer_acpi::ged::{GENERATION, MEMORY, POWER_BUTTON};

    fn read(ged: &mut Ged, offset: u64, width: usize) -> Vec<u8> {
        let mut data = vec![0xee; width];
        ged.read(offset, &mut data);
        data
    }

    #[test]
    fn the_line_is_high_until_the_events_are_fetched() {
        let line = Line::new();
        let mut ged = Ged::new(line.clone());
        ged.raise(MEMORY);
        ged.raise(POWER_BUTTON);
        assert!(line.is_high());
        assert_eq!(read(&mut ged, 0, 4), [3, 0, 0, 0]);
        assert!(!line.is_high());
        assert_eq!(read(&mut ged, 0, 4), [0; 4]);
    }

    #[test]
    fn a_narrow_read_takes_only_what_it_returns() {
        let line = Line::new();
        let mut ged = Ged::new(line.clone());
        ged.raise(MEMORY | 1 << 8);
        assert_eq!(read(&mut ged, 1, 1), [1]);
        assert!(line.is_high());
        assert_eq!(read(&mut ged, 0, 8), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!line.is_high());
        assert_eq!(read(&mut ged, u64::MAX, 2), [0, 0]);
    }

    #[test]
    fn events_that_were_not_fetched_are_fetched_later() {
        let (mut before, line) = (Ged::new(Line::new()), Line::new());
        before.raise(MEMORY);
        let mut ged = Ged::new(line.clone());
        ged.restore(before.state());
        assert!(line.is_high());
        assert_eq!(read(&mut ged, 0, 4), [1, 0, 0, 0]);
        ged.restore(GedState { pending: 0 });
        assert!(!line.is_high());
    }

    #[test]
    fn a_device_that_goes_on_tells_what_is_new_beside_what_was_not_fetched() {
        for pending in [0, MEMORY, GENERATION] {
            let line = Line::new();
            let mut ged = Ged::new(line.clone());
            ged.restore(GedState { pending });
            ged.raise(GENERATION);
            assert!(line.is_high());
            let mut events = [0; 4];
            ged.read(0, &mut events);
            assert_eq!(u32::from_le_bytes(events), pending | GENERATION);
            assert!(!line.is_high());
        }
    }

    #[test]
    fn reset_forgets_the_events() {
        let line = Line::new();
        let mut ged = Ged::new(line.clone());
        ged.raise(MEMORY);
        ged.write(0, &[0; 4]);
        assert!(line.is_high(), "a write changes nothing");
        ged.reset();
        assert!(!line.is_high());
        assert_eq!(read(&mut ged, 0, 4), [0; 4]);
    }
}
