//! The processor devices (ACPI 6.5, section 8.4): each processor of the MADT must be in the
//! namespace, too, with the same `_UID`.

use acpi_tables::aml::{Device, Name};
use acpi_tables::{Aml, AmlSink};

/// As many processor devices.
pub(super) struct Cpus(pub usize);

impl Aml for Cpus {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        for uid in 0..self.0 {
            Device::new(
                format!("C{uid:03X}").as_str().into(),
                vec![&Name::new("_HID".into(), &"ACPI0007"), &Name::new("_UID".into(), &uid)],
            )
            .to_aml_bytes(sink);
        }
    }
}
