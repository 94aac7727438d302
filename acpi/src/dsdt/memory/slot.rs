//! The memory devices: one per slot, whether or not there is memory in it, because the namespace
//! is fixed once it is loaded.

use acpi_tables::aml::{Arg, Device, EISAName, Method, MethodCall, Name, Path, Return};
use acpi_tables::{Aml, AmlSink};

use super::{EJECT_METHOD, OST_METHOD, PROXIMITY_METHOD, RESOURCES_METHOD, STATUS_METHOD};

/// `M000` and so on, as many as there are slots.
pub(super) struct Slots(pub u16);

/// Name of the memory device in slot `slot`, relative to the controller.
pub(super) fn name(slot: u16) -> Path {
    Path::new(&format!("M{slot:03X}"))
}

impl Aml for Slots {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        for slot in 0..self.0 {
            Device::new(
                name(slot),
                vec![
                    &Name::new("_HID".into(), &EISAName::new("PNP0C80")),
                    &Name::new("_UID".into(), &slot),
                    &Get { method: "_STA", target: STATUS_METHOD, slot },
                    &Get { method: "_CRS", target: RESOURCES_METHOD, slot },
                    &Get { method: "_PXM", target: PROXIMITY_METHOD, slot },
                    &Ost { slot },
                    &Eject { slot },
                ],
            )
            .to_aml_bytes(sink);
        }
    }
}

/// A method that returns what the controller's method says about this slot.
struct Get {
    method: &'static str,
    target: &'static str,
    slot: u16,
}

impl Aml for Get {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let call = MethodCall::new(self.target.into(), vec![&self.slot]);
        Method::new(self.method.into(), 0, false, vec![&Return::new(&call)]).to_aml_bytes(sink);
    }
}

/// `_OST`: source event, status, and a buffer that is not used for memory.
struct Ost {
    slot: u16,
}

impl Aml for Ost {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let report = MethodCall::new(OST_METHOD.into(), vec![&self.slot, &Arg(0), &Arg(1)]);
        Method::new("_OST".into(), 3, false, vec![&report]).to_aml_bytes(sink);
    }
}

/// `_EJ0`; its argument is always 1.
struct Eject {
    slot: u16,
}

impl Aml for Eject {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let eject = MethodCall::new(EJECT_METHOD.into(), vec![&self.slot]);
        Method::new("_EJ0".into(), 1, false, vec![&eject]).to_aml_bytes(sink);
    }
}
