//! The page tables of the 64-bit entry: the first 4 GiB of memory, each address mapped to itself.
//!
//! That covers the kernel, its initramfs, `boot_params` and the command line, all of which lie
//! below; the kernel makes tables of its own before it needs more.

use crate::layout::{PAGE_TABLES_SIZE, PAGE_TABLES_START};

const TABLE: u64 = 0x1000;
const LARGE_PAGE: u64 = 2 << 20;
const PRESENT_WRITABLE: u64 = 0b11;
const LARGE: u64 = 1 << 7;

/// Number of page directories; each maps 1 GiB.
const DIRECTORIES: u64 = 4;

const _: () = assert!(PAGE_TABLES_SIZE == (2 + DIRECTORIES) * TABLE);

/// The tables' entries from [`PAGE_TABLES_START`]: the PML4, the PDPT, the page directories.
pub(crate) fn identity_map() -> Vec<u64> {
    let pdpt = PAGE_TABLES_START + TABLE;
    let directory = |index| pdpt + TABLE * (1 + index);

    let mut entries = table([pdpt | PRESENT_WRITABLE]);
    entries.extend(table((0..DIRECTORIES).map(|index| directory(index) | PRESENT_WRITABLE)));
    entries.extend((0..DIRECTORIES * 512).map(|page| (page * LARGE_PAGE) | LARGE | PRESENT_WRITABLE));
    entries
}

/// A table that begins with `entries`; the rest is not present.
fn table(entries: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut table: Vec<u64> = entries.into_iter().collect();
    table.resize(512, 0);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the tables map `address` to, walked as the processor does.
    fn translate(entries: &[u64], address: u64) -> Option<u64> {
        let mut table = PAGE_TABLES_START;
        for shift in [39, 30, 21] {
            let index = (table - PAGE_TABLES_START) / 8 + ((address >> shift) & 511);
            let entry = entries[usize::try_from(index).unwrap()];
            if entry & 1 == 0 {
                return None;
            }
            table = entry & !0xfff;
        }
        Some(table + address % LARGE_PAGE)
    }

    #[test]
    fn each_address_below_4_gib_is_mapped_to_itself_and_no_other_is_mapped() {
        let entries = identity_map();
        assert_eq!(entries.len() as u64 * 8, PAGE_TABLES_SIZE);
        for page in 0..2048 {
            let address = page * LARGE_PAGE + page * 1021;
            assert_eq!(translate(&entries, address), Some(address));
        }
        for address in [4 << 30, 5 << 30, 512 << 30, 1 << 40] {
            assert_eq!(translate(&entries, address), None);
        }
    }
}
