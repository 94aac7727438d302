//! The register block of [`dimmer_acpi::processors`], as the guest sees the processors.

use dimmer_acpi::hotplug::{NO_EVENT, STATUS_PRESENT};
use dimmer_acpi::processors as block;
use serde::{Deserialize, Serialize};

use super::ProcessorSlots;
use crate::bus::BusDevice;
use crate::register;

/// What the guest selected, and the first half of a report it is making.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selectors {
    processor: u32,
    ost_source: u32,
}

impl ProcessorSlots {
    fn selected(&self) -> Option<u16> {
        let number = u16::try_from(self.selectors.processor).ok()?;
        self.numbers().contains(&number).then_some(number)
    }

    fn register(&self, register: u16) -> u32 {
        match register {
            block::PROCESSOR => self.selectors.processor,
            block::STATUS if self.selected().is_some_and(|number| self.is_present(number)) => STATUS_PRESENT,
            block::EVENT => {
                let next = self.notifications.front();
                next.map_or(NO_EVENT, |(number, notification)| notification << 16 | u32::from(*number))
            }
            _ => 0,
        }
    }

    fn set_register(&mut self, register: u16, value: u32) {
        let selected = self.selected();
        match (register, selected) {
            (block::PROCESSOR, _) => self.selectors.processor = value,
            (block::EJECT, Some(number)) => self.eject(number),
            (block::OST_SOURCE, _) => self.selectors.ost_source = value,
            (block::OST_STATUS, Some(number)) => self.report(number, self.selectors.ost_source, value),
            _ => {}
        }
    }
}

impl BusDevice for ProcessorSlots {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let value = u16::try_from(register::start(offset)).map_or(0, |start| self.register(start));
        register::read(value, offset, data);
        // A narrower access would lose the rest of the notification, so it takes none.
        if offset == u64::from(block::EVENT) && data.len() == 4 {
            self.notifications.pop_front();
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let (Ok(start), Some(value)) = (u16::try_from(offset), register::written(offset, data)) {
            self.set_register(start, value);
        }
    }
}
