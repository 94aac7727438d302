//! The MADT: interrupt controllers (ACPI 6.5, section 5.2.12).
//!
//! One I/O APIC from global system interrupt 0 and no 8259: trigger and polarity of an interrupt
//! come from the descriptors in the DSDT.

use acpi_tables::Aml;
use acpi_tables::madt::{EnabledStatus, IoApic, ProcessorLocalApic};
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

use crate::platform::{Cpu, Platform};
use crate::table::table;

/// Revision that ACPI 6.3 gave the table.
const REVISION: u8 = 5;

/// The MADT.
pub(crate) fn madt(platform: &Platform) -> Vec<u8> {
    let mut body = platform.local_apic.to_le_bytes().to_vec();
    // Flags: bit 0 (PCAT_COMPAT) would promise a pair of 8259s.
    body.extend(0u32.to_le_bytes());
    for (uid, cpu) in (0..).zip(&platform.cpus) {
        processor(uid, cpu, &mut body);
    }
    IoApic::new(0, platform.io_apic, 0).to_aml_bytes(&mut body);
    table(*b"APIC", REVISION, &body)
}

/// The entry of the processor whose device in the DSDT has the `_UID` `uid`.
fn processor(uid: u32, cpu: &Cpu, body: &mut Vec<u8>) {
    match (u8::try_from(uid), xapic_id(cpu)) {
        (Ok(uid), Some(id)) => {
            ProcessorLocalApic::new(uid, id, EnabledStatus::Enabled).to_aml_bytes(body);
        }
        _ => body.extend_from_slice(ProcessorLocalX2Apic::new(uid, cpu.apic_id).as_bytes()),
    }
}

/// The processor's 8-bit APIC id, unless it can only be addressed as an x2APIC: 255 is broadcast.
pub(crate) fn xapic_id(cpu: &Cpu) -> Option<u8> {
    u8::try_from(cpu.apic_id).ok().filter(|&id| id != u8::MAX)
}

/// Processor Local x2APIC structure (ACPI 6.5, table 5.40).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct ProcessorLocalX2Apic {
    kind: u8,
    length: u8,
    reserved: U16,
    apic_id: U32,
    flags: U32,
    uid: U32,
}

impl ProcessorLocalX2Apic {
    fn new(uid: u32, apic_id: u32) -> Self {
        Self {
            kind: 9,
            length: 16,
            reserved: 0.into(),
            apic_id: apic_id.into(),
            flags: (EnabledStatus::Enabled as u32).into(),
            uid: uid.into(),
        }
    }
}

const _: () = assert!(size_of::<ProcessorLocalX2Apic>() == 16);
