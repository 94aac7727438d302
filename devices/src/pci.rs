//! PCI configuration mechanism #1 (PCI Local Bus 3.0, section 3.2.2.3.2) with a host bridge and nothing
//! behind it.
//!
//! It is there for what Linux does only on machines with PCI: without a way to configuration space,
//! `pcibios_init` (arch/x86/pci/common.c) returns before `e820__reserve_resources_late`, and then the
//! ranges of the firmware's memory map that are not RAM are no resources, so that no driver finds
//! persistent memory. Linux believes in the mechanism when the address register reads as it was written
//! and function 00:00.0 is a host bridge (`pci_check_type1` in arch/x86/pci/direct.c). No bus is described
//! in the DSDT, so none is scanned.

use serde::{Deserialize, Serialize};

use crate::bus::BusDevice;
use crate::register;

/// Number of I/O ports: the address register and the data window.
pub const SIZE: u64 = 8;

/// First byte of the data window.
const DATA: u64 = 4;
/// What of the address register is not reserved: enable, bus, device and function, register.
const ADDRESS_BITS: u32 = 0x80ff_fffc;
/// Bus, device and function 0, with the access enabled.
const BRIDGE: u32 = 0x8000_0000;
/// The part of an address that names a register.
const REGISTER_BITS: u32 = 0xfc;

/// The bridge's configuration space as far as it is not zero: vendor and device, which are those that Red
/// Hat gives to generic host bridges, and the class, host bridge (base class 06h, subclass 00h).
const BRIDGE_REGISTERS: [(u32, u32); 2] = [(0x00, 0x0008_1b36), (0x08, 0x0600_0000)];

/// The two registers.
#[derive(Debug, Default)]
pub struct PciConfiguration {
    address: u32,
}

impl PciConfiguration {
    /// System reset.
    pub fn reset(&mut self) {
        self.address = 0;
    }

    /// The register that the address selects; all ones where there is no function.
    fn selected(&self) -> u32 {
        if self.address & !REGISTER_BITS != BRIDGE {
            return u32::MAX;
        }
        let number = self.address & REGISTER_BITS;
        BRIDGE_REGISTERS.iter().find(|(other, _)| *other == number).map_or(0, |(_, value)| *value)
    }
}

/// What is saved of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciState {
    /// The address register.
    pub address: u32,
}

impl PciConfiguration {
    /// Their state.
    pub const fn state(&self) -> PciState {
        PciState { address: self.address }
    }

    /// Goes on from `state`.
    pub const fn restore(&mut self, state: PciState) {
        self.address = state.address & ADDRESS_BITS;
    }
}

impl BusDevice for PciConfiguration {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match offset {
            0 if data.len() == 4 => register::read(self.address, 0, data),
            // Any other access there is one to an ordinary port.
            0..DATA => data.fill(0xff),
            _ => register::read(self.selected(), offset, data),
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let (0, Some(address)) = (offset, register::written(offset, data)) {
            self.address = address & ADDRESS_BITS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(device: &mut PciConfiguration, offset: u64, width: usize) -> Vec<u8> {
        let mut data = vec![0xee; width];
        device.read(offset, &mut data);
        data
    }

    fn select(device: &mut PciConfiguration, address: u32) {
        device.write(0, &address.to_le_bytes());
    }

    #[test]
    fn the_address_is_latched_by_whole_accesses_alone() {
        let mut device = PciConfiguration::default();
        select(&mut device, 0xffff_ffff);
        assert_eq!(read(&mut device, 0, 4), [0xfc, 0xff, 0xff, 0x80]);
        device.write(3, &[1]);
        device.write(0, &[0, 0]);
        assert_eq!(read(&mut device, 0, 4), [0xfc, 0xff, 0xff, 0x80]);
        assert_eq!(read(&mut device, 1, 1), [0xff], "the port of another chip's reset register");
        device.reset();
        assert_eq!(read(&mut device, 0, 4), [0; 4]);
    }

    #[test]
    fn function_0_is_a_host_bridge() {
        let mut device = PciConfiguration::default();
        select(&mut device, 0x8000_0000);
        assert_eq!(read(&mut device, 4, 4), [0x36, 0x1b, 0x08, 0x00]);
        select(&mut device, 0x8000_0008);
        assert_eq!(read(&mut device, 6, 2), [0x00, 0x06], "the class");
        select(&mut device, 0x8000_000c);
        assert_eq!(read(&mut device, 6, 1), [0], "one function, and no bridge to another bus");
        device.write(4, &[1, 2, 3, 4]);
        assert_eq!(read(&mut device, 4, 4), [0; 4], "nothing can be written");
    }

    #[test]
    fn there_is_no_other_function_and_nothing_without_the_enable_bit() {
        let mut device = PciConfiguration::default();
        for address in [0x8000_0100, 0x8000_0800, 0x8001_0000, 0x8000_f900, 0x0000_0000] {
            select(&mut device, address);
            assert_eq!(read(&mut device, 4, 4), [0xff; 4], "{address:#x}");
        }
    }

    #[test]
    fn the_address_is_saved() {
        let (mut before, mut device) = (PciConfiguration::default(), PciConfiguration::default());
        before.write(0, &0x8000_0008_u32.to_le_bytes());
        device.restore(before.state());
        assert_eq!(read(&mut device, DATA, 4), 0x0600_0000_u32.to_le_bytes());
        device.restore(PciState { address: u32::MAX });
        assert_eq!(read(&mut device, 0, 4), ADDRESS_BITS.to_le_bytes());
    }
}
