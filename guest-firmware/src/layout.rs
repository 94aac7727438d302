//! Where firmware's leftovers lie in guest memory, ascending.
//!
//! Everything up to [`EBDA_START`] is ordinary RAM to the guest, which has copied what it needs
//! before it uses that memory for something else; Linux leaves the first MiB as it is.

pub use dimmer_plan::memory_map::{EBDA_START, HIGH_RAM_START};

/// The word of the BIOS data area that names the segment of the EBDA.
pub const EBDA_POINTER_START: u64 = 0x40e;
/// 2 bytes.
pub const EBDA_POINTER_SIZE: u64 = 2;

/// Descriptor table that the initial segments come from; directly behind the BIOS data area.
pub const GDT_START: u64 = 0x500;
/// Two that are null, then code, data and task.
pub const GDT_DESCRIPTORS: u16 = 5;
/// 8 bytes for each descriptor.
pub const GDT_SIZE: u64 = GDT_DESCRIPTORS as u64 * 8;

/// `hvm_start_info` of the PVH protocol.
pub const PVH_START_INFO_START: u64 = 0x6000;
/// Size of `hvm_start_info`, version 1.
pub const PVH_START_INFO_SIZE: u64 = 56;

/// The PVH module list; its one entry is the initramfs.
pub const PVH_MODULES_START: u64 = 0x6040;
/// One entry of 32 bytes.
pub const PVH_MODULES_SIZE: u64 = 32;

/// Most entries that `boot_params` has room for.
pub const MEMORY_MAP_ENTRIES: usize = 128;

/// The PVH memory map.
pub const PVH_MEMORY_MAP_START: u64 = 0x6080;
/// As many entries as `boot_params` can have, of 24 bytes.
pub const PVH_MEMORY_MAP_SIZE: u64 = MEMORY_MAP_ENTRIES as u64 * 24;

/// `boot_params`, the "zero page" of the Linux boot protocol.
pub const BOOT_PARAMS_START: u64 = 0x7000;
/// One page.
pub const BOOT_PARAMS_SIZE: u64 = 0x1000;

/// Page tables for the 64-bit entry: one PML4, one PDPT and four page directories.
pub const PAGE_TABLES_START: u64 = 0x9000;
/// Six pages.
pub const PAGE_TABLES_SIZE: u64 = 6 * 0x1000;

/// The kernel command line with a NUL behind it.
pub const CMDLINE_START: u64 = 0x2_0000;
/// 64 KiB; a kernel's own limit is far lower.
pub const CMDLINE_SIZE: u64 = 0x1_0000;

/// 1 KiB.
pub const EBDA_SIZE: u64 = 0x400;
/// A copy of the RSDP in the EBDA, for whoever is not told where it is and looks for it (ACPI 6.5,
/// section 5.2.5.1): a kernel that another one starts. Linux, when it was started by its PVH entry,
/// does not pass on what it was told itself.
pub const RSDP_COPY_START: u64 = EBDA_START + 0x10;
/// 36 bytes (ACPI 6.5, section 5.2.5.3).
pub const RSDP_COPY_SIZE: usize = 36;

/// The ACPI tables. A PC has video memory and ROMs here; this machine has neither, and the guest
/// takes nothing in this area for RAM.
pub const ACPI_START: u64 = 0xa_0000;
/// 380 KiB.
pub const ACPI_SIZE: u64 = GENERATION_ID_START - ACPI_START;

/// The generation ID (Microsoft, "Virtual Machine Generation ID"), which the guest reads whenever it is told that it is
/// another one. So it lies where nobody takes it for RAM, nor for tables that can be given up once they were read.
pub const GENERATION_ID_START: u64 = 0xf_f000;
/// 16 bytes.
pub const GENERATION_ID_SIZE: usize = 16;

/// The real-mode reset vector F000:FFF0.
pub const RESET_VECTOR_START: u64 = 0xf_fff0;
/// 16 bytes.
pub const RESET_VECTOR_SIZE: u64 = 0x10;

/// First address that does not belong to low RAM, whatever its size.
pub const LOW_RAM_LIMIT: u64 = 1 << 32; // 4 GiB

const RANGES: [(u64, u64); 12] = [
    (EBDA_POINTER_START, EBDA_POINTER_SIZE),
    (GDT_START, GDT_SIZE),
    (PVH_START_INFO_START, PVH_START_INFO_SIZE),
    (PVH_MODULES_START, PVH_MODULES_SIZE),
    (PVH_MEMORY_MAP_START, PVH_MEMORY_MAP_SIZE),
    (BOOT_PARAMS_START, BOOT_PARAMS_SIZE),
    (PAGE_TABLES_START, PAGE_TABLES_SIZE),
    (CMDLINE_START, CMDLINE_SIZE),
    (EBDA_START, EBDA_SIZE),
    (ACPI_START, ACPI_SIZE),
    (GENERATION_ID_START, GENERATION_ID_SIZE as u64),
    (RESET_VECTOR_START, RESET_VECTOR_SIZE),
];

const _: () = {
    let mut end = 0;
    let mut index = 0;
    while index < RANGES.len() {
        let (start, size) = RANGES[index];
        assert!(start >= end, "low-memory ranges overlap");
        end = start + size;
        index += 1;
    }
    assert!(end <= HIGH_RAM_START, "the low-memory ranges end below 1 MiB");
};

/// The end of the RAM that goes on from 1 MiB, as far as it lies below 4 GiB; `None` when there is
/// none.
pub(crate) fn low_ram_end(ram: &[(u64, u64)]) -> Option<u64> {
    let holds = |&&(start, size): &&(u64, u64)| {
        start <= HIGH_RAM_START && start.saturating_add(size) > HIGH_RAM_START
    };
    let (start, size) = ram.iter().find(holds)?;
    Some(start.saturating_add(*size).min(LOW_RAM_LIMIT))
}

#[cfg(test)]
mod tests {
    use dimmer_plan::memory_map::{Kind, memory_map};

    use super::*;

    #[test]
    fn the_generation_id_is_in_no_ram() {
        let place = GENERATION_ID_START..GENERATION_ID_START + GENERATION_ID_SIZE as u64;
        let map = memory_map(&[(0, 2 << 30)], &[]);
        let around: Vec<_> = map
            .iter()
            .filter(|entry| entry.start < place.end && place.start < entry.start + entry.size)
            .map(|entry| entry.kind)
            .collect();
        assert_eq!(around, [Kind::Reserved]);
    }

    #[test]
    fn low_ram_ends_with_its_range_or_at_4_gib() {
        assert_eq!(low_ram_end(&[(0, 3 << 30), (4 << 30, 1 << 30)]), Some(3 << 30));
        assert_eq!(low_ram_end(&[(0, 8 << 30)]), Some(4 << 30));
        assert_eq!(low_ram_end(&[(0, 1 << 20)]), None);
        assert_eq!(low_ram_end(&[(4 << 30, 1 << 30)]), None);
    }
}
