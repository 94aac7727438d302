//! The MADT: interrupt controllers (ACPI 6.5, section 5.2.12).
//!
//! One I/O APIC from global system interrupt 0 and no 8259: trigger and polarity of an interrupt
//! come from the descriptors in the DSDT.

use acpi_tables::Aml;
use acpi_tables::madt::{EnabledStatus, IoApic, ProcessorLocalApic};
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

use crate::platform::{Cpu, Platform};
use crate::table::{table, to_bytes};

/// Revision that ACPI 6.3 gave the table.
const REVISION: u8 = 5;

/// Flags of a processor's entry (ACPI 6.5, table 5.23): it can be used, or it cannot and can be plugged.
const ENABLED: u32 = 1 << 0;
const ONLINE_CAPABLE: u32 = 1 << 1;

/// The MADT.
pub(crate) fn madt(platform: &Platform) -> Vec<u8> {
    let mut body = platform.local_apic.to_le_bytes().to_vec();
    // Flags: bit 0 (PCAT_COMPAT) would promise a pair of 8259s.
    body.extend(0u32.to_le_bytes());
    for cpu in &platform.cpus {
        body.extend(processor(cpu, cpu.present));
    }
    IoApic::new(0, platform.io_apic, 0).to_aml_bytes(&mut body);
    table(*b"APIC", REVISION, &body)
}

/// The entry of a processor, which can be enabled; if it is not, it can be plugged.
pub(crate) fn processor(cpu: &Cpu, enabled: bool) -> Vec<u8> {
    match (u8::try_from(cpu.uid), xapic_id(cpu)) {
        (Ok(uid), Some(id)) => {
            let status = if enabled { EnabledStatus::Enabled } else { EnabledStatus::DisabledOnlineCapable };
            to_bytes(&ProcessorLocalApic::new(uid, id, status))
        }
        _ => ProcessorLocalX2Apic::new(cpu, enabled).as_bytes().to_vec(),
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
    fn new(cpu: &Cpu, enabled: bool) -> Self {
        Self {
            kind: 9,
            length: 16,
            reserved: 0.into(),
            apic_id: cpu.apic_id.into(),
            flags: if enabled { ENABLED } else { ONLINE_CAPABLE }.into(),
            uid: cpu.uid.into(),
        }
    }
}

const _: () = assert!(size_of::<ProcessorLocalX2Apic>() == 16);
