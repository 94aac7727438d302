//! Memory hotplug: the controller `\_SB.MHPC` over the register block [`crate::hotplug`], and in it
//! the memory devices (ACPI 6.5, section 9.11), one per slot.

use acpi_tables::aml::{Device, EISAName, Name, OpRegion, OpRegionSpace, Path};
use acpi_tables::{Aml, AmlSink};

use super::slots::{self, Eject, Ost, Read, Report, events};
use crate::hotplug;
use crate::platform::MemorySlots;

mod resources;
mod slot;

/// The controller's absolute name.
const CONTROLLER_PATH: &str = "\\_SB_.MHPC";

/// `\_SB.MHPC`.
pub(super) struct Controller {
    port: u16,
    slots: u16,
}

impl Controller {
    pub(super) fn new(slots: MemorySlots) -> Self {
        let MemorySlots { count, port } = slots;
        assert!((1..=hotplug::MAX_SLOTS).contains(&count), "{count} memory slots");
        Self { port, slots: count }
    }

    /// The absolute name of the method that delivers the waiting notifications.
    pub(super) fn scan_path() -> Path {
        events::scan_path(CONTROLLER_PATH)
    }
}

impl Aml for Controller {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Device::new(
            "MHPC".into(),
            vec![
                // A generic container: its children share hotplug, not a resource. Notified with a bus
                // check, Linux looks at all of them, and answers with the container's `_OST`.
                &Name::new("_HID".into(), &EISAName::new("PNP0A06")),
                &Name::new("_UID".into(), &0u8),
                &Name::new("_STA".into(), &hotplug::STATUS_PRESENT),
                &OpRegion::new("MREG".into(), OpRegionSpace::SystemIO, &self.port, &hotplug::SIZE),
                &slots::registers("MREG", &REGISTERS),
                &slots::new_mutex(),
                &Read { method: slots::STATUS_METHOD, register: slots::STATUS },
                &Read { method: PROXIMITY_METHOD, register: PROXIMITY },
                &resources::ResourcesMethod,
                &Eject,
                &Report,
                &Ost { slot: hotplug::CONTAINER },
                &events::ScanMethod {
                    slots: self.slots,
                    controller: Some((hotplug::CONTAINER, Path::new(CONTROLLER_PATH))),
                },
                &events::NotifyMethod { slots: self.slots, path: slot::path },
                &slot::Slots(self.slots),
            ],
        )
        .to_aml_bytes(sink);
    }
}

const RANGE: &str = "RANG";
const BASE: &str = "BASE";
const LENGTH: &str = "LENG";
const PROXIMITY: &str = "PROX";

/// The registers. The two halves of an address or a length are one field.
const REGISTERS: [(&str, u16, u16); 10] = [
    (slots::SLOT, hotplug::SLOT, 4),
    (RANGE, hotplug::RANGE, 4),
    (BASE, hotplug::BASE_LOW, 8),
    (LENGTH, hotplug::LENGTH_LOW, 8),
    (PROXIMITY, hotplug::PROXIMITY, 4),
    (slots::STATUS, hotplug::STATUS, 4),
    (slots::EVENT, hotplug::EVENT, 4),
    (slots::EJECT, hotplug::EJECT, 4),
    (slots::OST_SOURCE, hotplug::OST_SOURCE, 4),
    (slots::OST_STATUS, hotplug::OST_STATUS, 4),
];

// What one 64-bit field needs.
const _: () = assert!(hotplug::BASE_HIGH == hotplug::BASE_LOW + 4);
const _: () = assert!(hotplug::LENGTH_HIGH == hotplug::LENGTH_LOW + 4);

const PROXIMITY_METHOD: &str = "MPXM";
const RESOURCES_METHOD: &str = "MCRS";
