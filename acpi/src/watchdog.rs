//! The watchdog timer: its registers, and the WDAT that tells a guest of them (Microsoft, Hardware Watchdog Timers Design
//! Specification; Linux, drivers/watchdog/wdat_wdt.c).
//!
//! Five registers of four bytes in I/O space. Time is counted in seconds.
//!
//! | offset | read | write |
//! |---|---|---|
//! | [`COUNT`] | seconds from a start or a sign of life to the end | the same; counts from the next start or sign of life on |
//! | [`LEFT`] | seconds that are left, 0 while it stands | – |
//! | [`RUNNING`] | 1 while it runs | 1 starts it, 0 stops it |
//! | [`ALIVE`] | 0 | any value is a sign of life |
//! | [`BITTEN`] | 1 if the time was over once since it was last cleared | 0 clears it |

use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use crate::table::{table, to_bytes};

/// Offset of the time.
pub const COUNT: u16 = 0x00;
/// Offset of the time that is left.
pub const LEFT: u16 = 0x04;
/// Offset of the switch.
pub const RUNNING: u16 = 0x08;
/// Offset of the signs of life.
pub const ALIVE: u16 = 0x0c;
/// Offset of the memory.
pub const BITTEN: u16 = 0x10;
/// Size of the block in bytes.
pub const SIZE: u16 = 0x14;

/// Milliseconds of a count.
pub const PERIOD: u32 = 1000;
/// The longest time, in counts.
pub const LONGEST: u32 = 0xffff;

const REVISION: u8 = 1;
/// Length of what the table has between ACPI's header and its entries.
const HEADER: u32 = 32;
/// Flag: it can be used.
const ENABLED: u8 = 1;

/// What is done with a register.
const READ_VALUE: u8 = 0;
const READ_COUNT: u8 = 1;
const WRITE_VALUE: u8 = 2;
const WRITE_COUNT: u8 = 3;

/// The entries: an action's number (of the specification), what is done, the register, and the value that is written or expected.
const ENTRIES: [(u8, u8, u16, u32); 11] = [
    (0x01, WRITE_VALUE, ALIVE, 1),
    (0x04, READ_COUNT, LEFT, 0),
    (0x05, READ_COUNT, COUNT, 0),
    (0x06, WRITE_COUNT, COUNT, 0),
    (0x08, READ_VALUE, RUNNING, 1),
    (0x09, WRITE_VALUE, RUNNING, 1),
    (0x0a, READ_VALUE, RUNNING, 0),
    (0x0b, WRITE_VALUE, RUNNING, 0),
    (0x11, WRITE_VALUE, ALIVE, 1),
    (0x20, READ_VALUE, BITTEN, 1),
    (0x21, WRITE_VALUE, BITTEN, 0),
];

/// The WDAT of a watchdog whose first register is `port`.
pub(crate) fn wdat(port: u16) -> Vec<u8> {
    let mut body = HEADER.to_le_bytes().to_vec();
    // No PCI device: segment (of 16 bits), bus, device and function are 255, as Linux wants it (`acpi_watchdog_init` in
    // drivers/acpi/acpi_watchdog.c); three bytes are reserved.
    body.extend([0xff, 0, 0xff, 0xff, 0xff, 0, 0, 0]);
    for value in [PERIOD, LONGEST, 1] {
        body.extend(value.to_le_bytes());
    }
    body.extend([ENABLED, 0, 0, 0]);
    let entries = u32::try_from(ENTRIES.len()).expect("a handful");
    body.extend(entries.to_le_bytes());
    for (action, instruction, register, value) in ENTRIES {
        body.extend([action, instruction, 0, 0]);
        let place = (port + register).into();
        body.extend(to_bytes(&GAS::new(AddressSpace::SystemIo, 32, 0, AccessSize::DwordAccess, place)));
        let mask = if matches!(instruction, READ_COUNT | WRITE_COUNT) { LONGEST } else { 1 };
        body.extend(value.to_le_bytes());
        body.extend(mask.to_le_bytes());
    }
    table(*b"WDAT", REVISION, &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_its_header_and_all_entries() {
        let wdat = wdat(0xb20);
        assert_eq!(wdat.len(), 36 + 32 + ENTRIES.len() * 24);
        assert_eq!(wdat[36..40], HEADER.to_le_bytes());
        assert_eq!(wdat[40..48], [0xff, 0, 0xff, 0xff, 0xff, 0, 0, 0]);
        assert_eq!(wdat[64..68], 11_u32.to_le_bytes());
        let start = &wdat[68 + 5 * 24..][..24];
        assert_eq!(start, [9, 2, 0, 0, 1, 32, 0, 3, 0x28, 0xb, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    }
}
