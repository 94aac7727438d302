//! The virtio-mmio transports, which Linux knows as `LNRO0005`.

use acpi_tables::aml::{Device, Memory32Fixed, Name, ResourceTemplate};
use acpi_tables::{Aml, AmlSink};

use super::interrupt;
use crate::platform::VirtioMmio;

/// `\_SB.V000` and so on, one per transport.
pub(super) struct Transports<'a>(pub &'a [VirtioMmio]);

impl Aml for Transports<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        for (uid, place) in self.0.iter().enumerate() {
            Transport { name: &format!("V{uid:03X}"), uid, place, more: &[] }.to_aml_bytes(sink);
        }
    }
}

/// One transport.
pub(super) struct Transport<'a> {
    /// Its name in its scope.
    pub name: &'a str,
    /// `_UID`.
    pub uid: usize,
    /// Its registers and its interrupt.
    pub place: &'a VirtioMmio,
    /// What else there is to say of it.
    pub more: &'a [&'a dyn Aml],
}

impl Aml for Transport<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let VirtioMmio { address, size, gsi } = *self.place;
        let (registers, interrupt) = (Memory32Fixed::new(true, address, size), interrupt(gsi));
        let resources = ResourceTemplate::new(vec![&registers, &interrupt]);
        let (hid, uid) = (Name::new("_HID".into(), &"LNRO0005"), Name::new("_UID".into(), &self.uid));
        // Devices see memory as the processors do.
        let coherent = Name::new("_CCA".into(), &1u8);
        let resources = Name::new("_CRS".into(), &resources);
        let mut parts: Vec<&dyn Aml> = vec![&hid, &uid, &coherent, &resources];
        parts.extend(self.more);
        Device::new(self.name.into(), parts).to_aml_bytes(sink);
    }
}
