//! The device that says where the generation ID is (see [`crate::generation`]). Linux has a driver for it since 5.18:
//! drivers/virt/vmgenid.c.

use acpi_tables::aml::{Device, Name, Package, Path};
use acpi_tables::{Aml, AmlSink};

/// The device's own id, as every vendor gives it one. No driver looks for it, but without one Linux makes no platform
/// device, and its driver needs that since 6.10.
const VENDOR_ID: &str = "DMMR0001";
/// The name by which drivers find the device. Linux looks for it in capitals, which ACPICA makes of it.
const NAME: &str = "VM_Gen_Counter";
/// The name is too long for an ACPI id, so Hyper-V has this one beside it; Linux knows both.
const ID: &str = "VMGENCTR";

/// `\_SB.VMGI`, with the number's guest-physical address.
pub(super) struct Generation(pub u64);

impl Generation {
    /// `Notify` value that says the number is another one now.
    pub(super) const CHANGED: u8 = 0x80;

    /// The device's absolute name.
    pub(super) fn path() -> Path {
        Path::new("\\_SB_.VMGI")
    }
}

impl Aml for Generation {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let (low, high) = (self.0 & u64::from(u32::MAX), self.0 >> 32);
        Device::new(
            "VMGI".into(),
            vec![
                &Name::new("_HID".into(), &VENDOR_ID),
                &Name::new("_CID".into(), &Package::new(vec![&NAME, &ID])),
                &Name::new("_DDN".into(), &NAME),
                &Name::new("ADDR".into(), &Package::new(vec![&low, &high])),
            ],
        )
        .to_aml_bytes(sink);
    }
}
