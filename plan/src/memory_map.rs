//! The memory map that firmware hands to the kernel.
//!
//! It lists boot RAM, the legacy area, and the ranges that a machine is given on purpose. Above all it
//! never mentions a window for memory devices: a reserved entry there would make the guest refuse the
//! memory later.

/// Start of the extended BIOS data area, which ends conventional memory: the guest sees 639 KiB of it,
/// as on other PCs.
pub const EBDA_START: u64 = 0x9_fc00;
/// Where RAM goes on above the legacy area; no kernel is loaded below.
pub const HIGH_RAM_START: u64 = 0x10_0000; // 1 MiB

/// What a range of the map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RAM for the guest to use.
    Ram,
    /// Not for the guest to use.
    Reserved,
    /// Persistent memory as firmware named it before ACPI had a type for it; Linux shows it as
    /// "Persistent Memory (legacy)".
    LegacyPmem,
    /// Persistent memory, which ACPI's NFIT describes; Linux shows it as "Persistent Memory".
    Pmem,
    /// Memory for a special purpose (`EFI_MEMORY_SP` of UEFI 2.8, section 7.2), which Linux shows as "Soft Reserved" and
    /// leaves to a driver.
    SoftReserved,
}

impl Kind {
    /// Its number in an E820 map, and in the PVH memory map.
    pub const fn number(self) -> u32 {
        match self {
            Kind::Ram => 1,
            Kind::Reserved => 2,
            // AddressRangePersistentMemory (ACPI 6.5, section 15).
            Kind::Pmem => 7,
            // The kernel's E820_TYPE_PRAM.
            Kind::LegacyPmem => 12,
            // The kernel's E820_TYPE_SOFT_RESERVED: a number that no firmware uses, for the kernel to mark such memory of
            // UEFI's. It takes it from a loader as well (`__e820__range_add` in arch/x86/kernel/e820.c).
            Kind::SoftReserved => 0xefff_ffff,
        }
    }
}

/// One range of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct E820Entry {
    /// First address.
    pub start: u64,
    /// Length in bytes, never 0.
    pub size: u64,
    /// What it is.
    pub kind: Kind,
}

/// The memory map of a machine with boot RAM at `ram`, which is pairs of first address and length,
/// ascending and without overlap, the first one from address 0, and with the ranges `others`, which lie
/// above 1 MiB and overlap neither RAM nor each other. It ascends.
///
/// RAM is usable except from the EBDA to 1 MiB, which is reserved.
pub fn memory_map(ram: &[(u64, u64)], others: &[E820Entry]) -> Vec<E820Entry> {
    let entry = |start, end, kind| E820Entry { start, size: end - start, kind };
    let mut map = others.to_vec();
    map.push(entry(EBDA_START, HIGH_RAM_START, Kind::Reserved));
    for &(start, size) in ram {
        let end = start.saturating_add(size);
        let below = (start, end.min(EBDA_START));
        let above = (start.max(HIGH_RAM_START), end);
        let pieces = [below, above].into_iter().filter(|(start, end)| start < end);
        map.extend(pieces.map(|(start, end)| entry(start, end, Kind::Ram)));
    }
    map.sort_by_key(|entry| entry.start);
    map
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn usable(map: &[E820Entry]) -> Vec<(u64, u64)> {
        map.iter()
            .filter(|entry| entry.kind == Kind::Ram)
            .map(|entry| (entry.start, entry.start + entry.size))
            .collect()
    }

    #[test]
    fn four_gib_with_two_of_them_low() {
        let map = memory_map(&[(0, 2 << 30), (4 << 30, 2 << 30)], &[]);
        let ram = [(0, 0x9_fc00), (1 << 20, 2 << 30), (4 << 30, 6 << 30)];
        assert_eq!(usable(&map), ram);
        let reserved = E820Entry { start: 0x9_fc00, size: 0x6_0400, kind: Kind::Reserved };
        assert_eq!(map[1], reserved);
        assert_eq!(map.len(), 4);
    }

    #[test]
    fn ram_that_ends_below_the_ebda_is_all_usable() {
        assert_eq!(usable(&memory_map(&[(0, 0x8_0000)], &[])), [(0, 0x8_0000)]);
    }

    #[test]
    fn other_ranges_stand_in_their_places() {
        let other = |start, kind| E820Entry { start, size: 1 << 28, kind };
        let (pmem, reserved) = (other(6 << 30, Kind::LegacyPmem), other(2 << 30, Kind::Reserved));
        let map = memory_map(&[(0, 2 << 30), (4 << 30, 2 << 30)], &[pmem, reserved]);
        let numbers: Vec<_> = map.iter().map(|entry| (entry.start, entry.kind.number())).collect();
        let expected = [(0, 1), (0x9_fc00, 2), (1 << 20, 1), (2 << 30, 2), (4 << 30, 1), (6 << 30, 12)];
        assert_eq!(numbers, expected);
        assert_eq!((map[3], map[5]), (reserved, pmem));
    }

    proptest! {
        /// Whatever the RAM: the map ascends, overlaps nowhere, and what it calls usable is exactly
        /// the RAM outside the legacy area.
        #[test]
        fn the_map_is_the_ram_without_the_legacy_area(
            pieces in prop::collection::vec((0u64..1 << 33, 1u64..1 << 33), 0..6)
        ) {
            let mut ram = Vec::new();
            let mut end = 0;
            for (gap, size) in pieces {
                ram.push((end + gap, size));
                end += gap + size;
            }
            let behind = E820Entry { start: end.max(HIGH_RAM_START), size: 4096, kind: Kind::LegacyPmem };
            let map = memory_map(&ram, &[behind]);
            let legacy = EBDA_START..HIGH_RAM_START;
            for pair in map.windows(2) {
                prop_assert!(pair[0].start + pair[0].size <= pair[1].start);
            }
            prop_assert!(map.iter().all(|entry| entry.size > 0));
            let is_ram = |at: u64| ram.iter().any(|&(start, size)| (start..start + size).contains(&at));
            let is_usable = |at: u64| usable(&map).iter().any(|&(start, end)| (start..end).contains(&at));
            // The answer changes at these addresses only.
            let edges = ram.iter().flat_map(|&(start, size)| [start, start + size]);
            for edge in edges.chain([legacy.start, legacy.end]) {
                for at in [edge.saturating_sub(1), edge] {
                    prop_assert_eq!(is_usable(at), is_ram(at) && !legacy.contains(&at), "at {:#x}", at);
                }
            }
        }
    }
}
