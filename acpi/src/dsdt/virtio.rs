//! The virtio-mmio transports, which Linux knows as `LNRO0005`.

use acpi_tables::aml::{Device, Memory32Fixed, Name, ResourceTemplate};
use acpi_tables::{Aml, AmlSink};

use super::interrupt;
use crate::platform::VirtioMmio;

/// `\_SB.V000` and so on, one per transport.
pub(super) struct Transports<'a>(pub &'a [VirtioMmio]);

impl Aml for Transports<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        for (uid, transport) in self.0.iter().enumerate() {
            let registers = Memory32Fixed::new(true, transport.address, transport.size);
            let interrupt = interrupt(transport.gsi);
            Device::new(
                format!("V{uid:03X}").as_str().into(),
                vec![
                    &Name::new("_HID".into(), &"LNRO0005"),
                    &Name::new("_UID".into(), &uid),
                    // Devices see memory as the processors do.
                    &Name::new("_CCA".into(), &1u8),
                    &Name::new("_CRS".into(), &ResourceTemplate::new(vec![&registers, &interrupt])),
                ],
            )
            .to_aml_bytes(sink);
        }
    }
}
