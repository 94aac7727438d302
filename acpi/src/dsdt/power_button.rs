//! The power button as a control method device (ACPI 6.5, section 4.8.2.2.1.2): the Generic Event
//! Device says when it was pressed.

use acpi_tables::aml::{Device, EISAName, Name, Path};
use acpi_tables::{Aml, AmlSink};

/// `\_SB.PWRB`.
pub(super) struct PowerButton;

impl PowerButton {
    /// `Notify` value that says the button was pressed (ACPI 6.5, table 5.195).
    pub(super) const PRESSED: u8 = 0x80;

    /// The device's absolute name.
    pub(super) fn path() -> Path {
        Path::new("\\_SB_.PWRB")
    }
}

impl Aml for PowerButton {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Device::new(
            "PWRB".into(),
            vec![&Name::new("_HID".into(), &EISAName::new("PNP0C0C")), &Name::new("_UID".into(), &0u8)],
        )
        .to_aml_bytes(sink);
    }
}
