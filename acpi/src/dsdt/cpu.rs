//! The processor devices (ACPI 6.5, section 8.4): each processor of the MADT must be in the namespace, too, with the same `_UID`.
//!
//! Where processors can come and go they are below the controller `\_SB.CPUS`, over the register block [`crate::processors`]. Each
//! has a bay of its own there, as memory devices have (see [`super::memory`]) and for the same reason.

use acpi_tables::aml::{BufferData, Device, Name, OpRegion, OpRegionSpace, Path};
use acpi_tables::{Aml, AmlSink};

use super::slots::{self, Ej0, Eject, Get, Ost, Read, Report, events};
use crate::platform::Cpu;
use crate::{madt, processors};

/// Processors that are always there.
pub(super) struct Cpus<'a>(pub &'a [Cpu]);

impl Aml for Cpus<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        for cpu in self.0 {
            let (hid, uid) = identity(cpu);
            Device::new(name(uid_of(cpu)), vec![&hid, &uid]).to_aml_bytes(sink);
        }
    }
}

/// The controller's absolute name.
const CONTROLLER_PATH: &str = "\\_SB_.CPUS";

/// `\_SB.CPUS` with processors that can come and go.
pub(super) struct Controller<'a> {
    /// First port of the registers.
    pub port: u16,
    /// The processors, whose numbers are 0 to their count.
    pub cpus: &'a [Cpu],
}

impl Controller<'_> {
    /// The absolute name of the method that delivers the waiting notifications.
    pub(super) fn scan_path() -> Path {
        events::scan_path(CONTROLLER_PATH)
    }
}

impl Aml for Controller<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let slots = u16::try_from(self.cpus.len()).expect("fewer processors than numbers");
        let bays: Vec<_> = self.cpus.iter().map(Bay).collect();
        let (hid, uid) = (Name::new("_HID".into(), &"ACPI0010"), Name::new("_UID".into(), &0u8));
        let region = OpRegion::new("CREG".into(), OpRegionSpace::SystemIO, &self.port, &processors::SIZE);
        let (fields, mutex) = (slots::registers("CREG", &REGISTERS), slots::new_mutex());
        let status = Read { method: slots::STATUS_METHOD, register: slots::STATUS };
        let scan = events::ScanMethod { slots, controller: None };
        let notify = events::NotifyMethod { slots, path };
        let mut parts: Vec<&dyn Aml> =
            vec![&hid, &uid, &region, &fields, &mutex, &status, &Eject, &Report, &scan, &notify];
        parts.extend(bays.iter().map(|bay| bay as &dyn Aml));
        Device::new("CPUS".into(), parts).to_aml_bytes(sink);
    }
}

const REGISTERS: [(&str, u16, u16); 6] = [
    (slots::SLOT, processors::PROCESSOR, 4),
    (slots::STATUS, processors::STATUS, 4),
    (slots::EVENT, processors::EVENT, 4),
    (slots::EJECT, processors::EJECT, 4),
    (slots::OST_SOURCE, processors::OST_SOURCE, 4),
    (slots::OST_STATUS, processors::OST_STATUS, 4),
];

/// A processor that can come and go, alone in a device without hardware id.
struct Bay<'a>(&'a Cpu);

impl Aml for Bay<'_> {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        let slot = uid_of(self.0);
        let (hid, uid) = identity(self.0);
        let status = Get { method: "_STA", target: slots::STATUS_METHOD, slot };
        // As if it were enabled: Linux takes the APIC id of one that comes from here and not from the MADT, and no other way
        // (`acpi_get_phys_id` in drivers/acpi/processor_core.c, 6.1 and 6.12).
        let entry = Name::new("_MAT".into(), &BufferData::new(madt::processor(self.0, true)));
        let proximity = Name::new("_PXM".into(), &self.0.node);
        let (ost, eject) = (Ost { slot }, Ej0 { slot });
        let mut parts: Vec<&dyn Aml> = vec![&hid, &uid, &status, &entry, &proximity, &ost];
        // The boot processor stays.
        if slot > 0 {
            parts.push(&eject);
        }
        let address = Name::new("_ADR".into(), &slot);
        let device = Device::new(name(slot), parts);
        Device::new(bay(slot), vec![&address, &device]).to_aml_bytes(sink);
    }
}

/// The absolute name of the processor with this number, in its bay.
fn path(uid: u16) -> Path {
    Path::new(&format!("{CONTROLLER_PATH}.B{uid:03X}.C{uid:03X}"))
}

fn bay(uid: u16) -> Path {
    Path::new(&format!("B{uid:03X}"))
}

fn name(uid: u16) -> Path {
    Path::new(&format!("C{uid:03X}"))
}

fn uid_of(cpu: &Cpu) -> u16 {
    u16::try_from(cpu.uid).expect("fewer processors than numbers")
}

fn identity(cpu: &Cpu) -> (Name, Name) {
    (Name::new("_HID".into(), &"ACPI0007"), Name::new("_UID".into(), &cpu.uid))
}
