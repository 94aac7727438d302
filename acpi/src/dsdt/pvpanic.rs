//! The pvpanic device (QEMU, docs/specs/pvpanic), for which Linux has a driver: drivers/misc/pvpanic.

use acpi_tables::aml::{Device, IO, Name, ResourceTemplate};
use acpi_tables::{Aml, AmlSink};

use crate::pvpanic;

/// `_STA`: present, enabled, functioning; not to be shown to users.
const STATUS: u8 = 0xb;

/// `\_SB.PEVT`, with its I/O port.
pub(super) struct Pvpanic(pub u16);

impl Aml for Pvpanic {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let Self(port) = *self;
        Device::new(
            "PEVT".into(),
            vec![
                &Name::new("_HID".into(), &"QEMU0001"),
                &Name::new("_STA".into(), &STATUS),
                &Name::new(
                    "_CRS".into(),
                    &ResourceTemplate::new(vec![&IO::new(port, port, 1, pvpanic::SIZE)]),
                ),
            ],
        )
        .to_aml_bytes(sink);
    }
}
