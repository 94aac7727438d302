//! ACPI tables and AML of the Dimmer machine: a [`Platform`] in, bytes out. No I/O.
//!
//! ```text
//! RSDP ─ XSDT ─┬─ FADT ─ DSDT   hardware-reduced; the devices of the platform
//!              ├─ MADT          local APICs and the I/O APIC
//!              ├─ SRAT          nodes of processors, boot RAM and hot-pluggable windows
//!              ├─ NFIT          persistent memory, with some
//!              ├─ WDAT          the watchdog, with one
//!              ├─ HMAT          how fast memory is, where that is known
//!              └─ SLIT          distances, with two nodes or more
//! ```
//!
//! The tables are laid out one behind the other from one address, the RSDP first, and refer to
//! each other by absolute address: they work only at the address that they were made for.

use platform::Platform;

mod dsdt;
mod fadt;
pub mod ged;
pub mod generation;
pub mod hmat;
pub mod hotplug;
mod madt;
mod nfit;
pub mod places;
pub mod platform;
pub mod power;
pub mod processors;
pub mod pvpanic;
mod slit;
mod srat;
mod table;
pub mod watchdog;

/// The tables of one machine, ready to be copied into guest memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// Guest-physical address of the RSDP.
    pub rsdp: u64,
    /// Guest-physical address at which [`bytes`](Self::bytes) belongs.
    pub base: u64,
    /// All tables, with zeroes between them.
    pub bytes: Vec<u8>,
}

/// The ACPI tables that describe `platform`, laid out from guest-physical address `base`.
///
/// # Panics
///
/// When the caller broke a promise of [`Platform`]: `base` is not a multiple of
/// [`ALIGNMENT`], there are no slots or more than [`hotplug::MAX_SLOTS`] in
/// `Platform::memory_slots`, or `Platform::distances` is not square.
pub fn tables(platform: &Platform, base: u64) -> Tables {
    assert!(base.is_multiple_of(ALIGNMENT as u64), "table base {base:#x} is not a multiple of {ALIGNMENT}");
    // Whatever is pointed to goes before what points to it, except that the RSDP stays first.
    let mut bytes = Area::new(base);
    let rsdp = bytes.reserve(acpi_tables::rsdp::Rsdp::len());
    let dsdt = bytes.append(&dsdt::dsdt(platform));
    let mut listed = vec![
        bytes.append(&fadt::fadt(platform, dsdt)),
        bytes.append(&madt::madt(platform)),
        bytes.append(&srat::srat(platform)),
    ];
    if let Some(port) = platform.watchdog_port {
        listed.push(bytes.append(&watchdog::wdat(port)));
    }
    if !platform.performance.is_empty() {
        listed.push(bytes.append(&hmat::hmat(platform)));
    }
    if !platform.persistent.is_empty() {
        listed.push(bytes.append(&nfit::nfit(&platform.persistent)));
    }
    if platform.distances.len() > 1 {
        listed.push(bytes.append(&slit::slit(platform)));
    }
    let xsdt = bytes.append(&table::xsdt(&listed));
    bytes.write(rsdp, &table::rsdp(xsdt));
    Tables { rsdp, base, bytes: bytes.bytes }
}

/// Alignment of every table in bytes; the RSDP needs 16, the FACS would need 64.
pub const ALIGNMENT: usize = 64;

/// Tables one behind the other from an address.
struct Area {
    base: u64,
    bytes: Vec<u8>,
}

impl Area {
    fn new(base: u64) -> Self {
        Self { base, bytes: Vec::new() }
    }

    /// Makes room for `size` bytes and returns their address.
    fn reserve(&mut self, size: usize) -> u64 {
        let offset = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(offset + size, 0);
        self.base + offset as u64
    }

    /// Adds `table` and returns its address.
    fn append(&mut self, table: &[u8]) -> u64 {
        let address = self.reserve(table.len());
        self.write(address, table);
        address
    }

    /// Fills room that [`reserve`](Self::reserve) made at `address`.
    fn write(&mut self, address: u64, table: &[u8]) {
        let offset = usize::try_from(address - self.base).expect("reserve() derived it from a usize");
        self.bytes[offset..offset + table.len()].copy_from_slice(table);
    }
}

#[cfg(test)]
mod tests;
