//! The 16550 serial port.

use acpi_tables::aml::{Device, EISAName, IO, Name, ResourceTemplate};
use acpi_tables::{Aml, AmlSink};

use super::interrupt;
use crate::platform::IoDevice;

/// Number of I/O ports of a 16550.
const PORTS: u8 = 8;

/// `\_SB.COM1`.
pub(super) struct Serial(pub IoDevice);

impl Aml for Serial {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let IoDevice { port, gsi } = self.0;
        Device::new(
            "COM1".into(),
            vec![
                &Name::new("_HID".into(), &EISAName::new("PNP0501")),
                &Name::new("_UID".into(), &0u8),
                &Name::new(
                    "_CRS".into(),
                    &ResourceTemplate::new(vec![&IO::new(port, port, 1, PORTS), &interrupt(gsi)]),
                ),
            ],
        )
        .to_aml_bytes(sink);
    }
}
