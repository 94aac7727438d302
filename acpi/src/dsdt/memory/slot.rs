//! The memory devices: one per slot, whether or not there is memory in it, because the namespace
//! is fixed once it is loaded.
//!
//! Each is alone in a device of its own, its bay. Linux 6.12 answers a device check of a memory
//! device that it has not attached by scanning the whole subtree of its *parent*
//! (`acpi_scan_device_check`): beside the other memory devices, that would evaluate the `_STA` of
//! every slot for each insertion, and attach every other device whose own notification still
//! waits. A bay has an address and no hardware id, so Linux binds nothing to it, and scans through it
//! when it looks at the controller.

use acpi_tables::aml::{Device, EISAName, Name, Path};
use acpi_tables::{Aml, AmlSink};

use super::super::slots::{Ej0, Get, Ost, STATUS_METHOD};
use super::{CONTROLLER_PATH, PROXIMITY_METHOD, RESOURCES_METHOD};

/// The bays `N000` and so on with the memory devices `M000` and so on in them, as many as there are
/// slots.
pub(super) struct Slots(pub u16);

/// The absolute name of the memory device in slot `slot`.
pub(super) fn path(slot: u16) -> Path {
    Path::new(&format!("{CONTROLLER_PATH}.N{slot:03X}.M{slot:03X}"))
}

impl Aml for Slots {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        for slot in 0..self.0 {
            let bay = Path::new(&format!("N{slot:03X}"));
            let address = Name::new("_ADR".into(), &slot);
            Device::new(bay, vec![&address, &MemoryDevice { slot }]).to_aml_bytes(sink);
        }
    }
}

/// The memory device in one slot.
struct MemoryDevice {
    slot: u16,
}

impl Aml for MemoryDevice {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let slot = self.slot;
        Device::new(
            Path::new(&format!("M{slot:03X}")),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0C80")),
                &Name::new("_UID".into(), &slot),
                &Get { method: "_STA", target: STATUS_METHOD, slot },
                &Get { method: "_CRS", target: RESOURCES_METHOD, slot },
                &Get { method: "_PXM", target: PROXIMITY_METHOD, slot },
                &Ost { slot },
                &Ej0 { slot },
            ],
        )
        .to_aml_bytes(sink);
    }
}
