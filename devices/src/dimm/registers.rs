//! The register block of [`dimmer_acpi::hotplug`], as the guest sees the slots.

use dimmer_acpi::hotplug as block;
use serde::{Deserialize, Serialize};

use super::DimmSlots;
use super::occupant::Occupant;
use crate::bus::BusDevice;
use crate::fault::{Action, Point};
use crate::memory::GuestRange;
use crate::register;

/// What the guest selected, and the first half of a report it is making.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selectors {
    slot: u32,
    range: u32,
    ost_source: u32,
}

impl DimmSlots {
    fn selected_slot(&self) -> Option<u16> {
        let slot = u16::try_from(self.selectors.slot).ok()?;
        (usize::from(slot) < self.slots.len()).then_some(slot)
    }

    fn selected(&self) -> Option<&Occupant> {
        self.slots[usize::from(self.selected_slot()?)].shown()
    }

    fn selected_range(&self) -> GuestRange {
        let index = usize::try_from(self.selectors.range).ok();
        let range = index.and_then(|index| self.selected()?.ranges.get(index).copied());
        range.unwrap_or(GuestRange::new(0, 0))
    }

    /// The guest asks for it once for each `_CRS`.
    fn range_count(&self) -> u32 {
        let Some(occupant) = self.selected() else { return 0 };
        if self.outside.faults.hit(&occupant.dimm.id, Point::Resources) == Some(Action::Empty) {
            return 0;
        }
        u32::try_from(occupant.ranges.len()).expect("a DIMM has at most MAX_RANGES ranges")
    }

    fn selected_status(&self) -> u32 {
        let is_present = |slot: u16| self.slots[usize::from(slot)].is_present();
        if self.selected_slot().is_some_and(is_present) { block::STATUS_PRESENT } else { 0 }
    }

    fn register(&self, register: u16) -> u32 {
        match register {
            block::SLOT => self.selectors.slot,
            block::RANGE => self.range_count(),
            block::BASE_LOW => register::low(self.selected_range().start),
            block::BASE_HIGH => register::high(self.selected_range().start),
            block::LENGTH_LOW => register::low(self.selected_range().size),
            block::LENGTH_HIGH => register::high(self.selected_range().size),
            block::PROXIMITY => self.selected().map_or(0, |occupant| occupant.dimm.node),
            block::STATUS => self.selected_status(),
            block::EVENT => self.next_notification(),
            _ => 0,
        }
    }

    fn set_register(&mut self, register: u16, value: u32) {
        match register {
            block::SLOT => self.selectors.slot = value,
            block::RANGE => self.selectors.range = value,
            block::EJECT => {
                if let Some(slot) = self.selected_slot() {
                    self.eject(slot);
                }
            }
            block::OST_SOURCE => self.selectors.ost_source = value,
            block::OST_STATUS => {
                let source = self.selectors.ost_source;
                if self.selectors.slot == u32::from(block::CONTAINER) {
                    self.report_container(source, value);
                } else if let Some(slot) = self.selected_slot() {
                    self.report(slot, source, value);
                }
            }
            _ => {}
        }
    }
}

impl BusDevice for DimmSlots {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let start = register::start(offset);
        let value = u16::try_from(start).map_or(0, |start| self.register(start));
        register::read(value, offset, data);
        // A narrower access would lose the rest of the notification, so it takes none.
        if offset == u64::from(block::EVENT) && data.len() == 4 {
            self.take_notification();
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let (Ok(start), Some(value)) = (u16::try_from(offset), register::written(offset, data)) {
            self.set_register(start, value);
        }
    }
}
