//! The FADT of a hardware-reduced machine (ACPI 6.5, section 5.2.9): no SCI, no fixed events, no
//! FACS; power-off and reset are three I/O ports (see [`crate::power`]).

use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use crate::platform::Platform;
use crate::power;
use crate::table::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, to_bytes};

/// IA-PC boot architecture flags (ACPI 6.5, table 5.11): what a PC has and this machine has not.
/// The 8042 is absent too, which is the meaning of its flag being clear.
const VGA_NOT_PRESENT: u16 = 1 << 2;
const CMOS_RTC_NOT_PRESENT: u16 = 1 << 5;

/// Tells a guest which hypervisor it runs on.
const HYPERVISOR: [u8; 8] = *b"DIMMER\0\0";

/// The FADT; `dsdt` is the address of the DSDT.
pub(crate) fn fadt(platform: &Platform, dsdt: u64) -> Vec<u8> {
    let mut fadt = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        .flag(Flags::Wbinvd)
        .flag(Flags::Headless)
        // Neither button is a fixed one: the power button is a device in the DSDT.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    fadt.iapc_boot_arch = (VGA_NOT_PRESENT | CMOS_RTC_NOT_PRESENT).into();
    fadt.reset_reg = register(platform.power_port + power::RESET);
    fadt.reset_value = power::RESET_VALUE;
    fadt.sleep_control_reg = register(platform.power_port + power::SLEEP_CONTROL);
    fadt.sleep_status_reg = register(platform.power_port + power::SLEEP_STATUS);
    fadt.hypervisor_vendor_identity = u64::from_le_bytes(HYPERVISOR).into();
    to_bytes(&fadt.finalize())
}

/// An I/O port of one byte.
fn register(port: u16) -> GAS {
    GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, port.into())
}
