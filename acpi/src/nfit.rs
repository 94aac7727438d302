//! The NFIT: persistent memory that is there when the guest boots (ACPI 6.5, section 5.2.25), and the root device of NVDIMMs
//! (`ACPI0012`, section 9.20.2), for which Linux has the driver `nfit`.
//!
//! Each range is a System Physical Address Range structure, and nothing else is said of it: modules, their control regions and
//! labels would be of hardware that is not there. Linux makes a region of such a range, with one namespace that is all of it
//! (`nd_region_to_nstype` in drivers/nvdimm/region_devs.c, 6.1 and 6.12).

use acpi_tables::aml::{Device, Name};
use acpi_tables::{Aml, AmlSink};
use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use crate::platform::MemoryRange;
use crate::table::table;

const REVISION: u8 = 1;
/// `66F0D379-B4F3-4074-AC43-0D3318B78CDB`, a byte-addressable persistent memory region, as a UUID is in a table.
const PERSISTENT: [u8; 16] = *b"\x79\xd3\xf0\x66\xf3\xb4\x74\x40\xac\x43\x0d\x33\x18\xb7\x8c\xdb";
/// Flag: the proximity domain is meant.
const HAS_NODE: u16 = 1 << 1;
/// `EFI_MEMORY_WB` and `EFI_MEMORY_NV` (UEFI 2.10, section 7.2.3): it can be cached, and persists.
const CACHED: u64 = 0x8;
const NON_VOLATILE: u64 = 0x8000;

/// The NFIT of `ranges`.
pub(crate) fn nfit(ranges: &[MemoryRange]) -> Vec<u8> {
    let mut body = 0_u32.to_le_bytes().to_vec();
    // Index 0 is none.
    for (index, range) in (1..).zip(ranges) {
        body.extend_from_slice(AddressRange::new(index, range).as_bytes());
    }
    table(*b"NFIT", REVISION, &body)
}

/// System Physical Address (SPA) Range structure (table 5.128), without a location cookie.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct AddressRange {
    kind: U16,
    length: U16,
    index: U16,
    flags: U16,
    reserved: U32,
    node: U32,
    guid: [u8; 16],
    start: U64,
    size: U64,
    attributes: U64,
}

impl AddressRange {
    fn new(index: u16, range: &MemoryRange) -> Self {
        Self {
            kind: 0.into(),
            length: 56.into(),
            index: index.into(),
            flags: HAS_NODE.into(),
            reserved: 0.into(),
            node: range.node.into(),
            guid: PERSISTENT,
            start: range.start.into(),
            size: range.size.into(),
            attributes: (CACHED | NON_VOLATILE).into(),
        }
    }
}

const _: () = assert!(size_of::<AddressRange>() == 56);

/// `\_SB.NVDR`.
pub(crate) struct Root;

impl Aml for Root {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        Device::new("NVDR".into(), vec![&Name::new("_HID".into(), &"ACPI0012")]).to_aml_bytes(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_has_its_place_its_node_and_a_number_from_1_on() {
        let range = |start, node| MemoryRange { start, size: 1 << 30, node, hot_pluggable: false };
        let table = nfit(&[range(4 << 30, 0), range(8 << 30, 3)]);
        assert_eq!((table.len(), &table[..4]), (40 + 2 * 56, &b"NFIT"[..]));
        assert_eq!(table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)), 0);
        let second = &table[40 + 56..];
        assert_eq!(second[..8], [0, 0, 56, 0, 2, 0, 2, 0]);
        assert_eq!(second[12..16], 3_u32.to_le_bytes());
        assert_eq!(second[16..32], PERSISTENT);
        assert_eq!(
            (&second[32..40], &second[40..48]),
            (&(8_u64 << 30).to_le_bytes()[..], &(1_u64 << 30).to_le_bytes()[..])
        );
        assert_eq!(second[48..], 0x8008_u64.to_le_bytes());
    }
}
