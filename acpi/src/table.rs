//! What all tables share: the header (ACPI 6.5, section 5.2.6) and the two tables of addresses.

use acpi_tables::Aml;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;

/// Who made the tables.
pub(crate) const OEM_ID: [u8; 6] = *b"DIMMER";
/// Which machine they describe.
pub(crate) const OEM_TABLE_ID: [u8; 8] = *b"DIMMERVM";
/// Revision of the description.
pub(crate) const OEM_REVISION: u32 = 1;

/// Length of a table's header in bytes.
const HEADER_SIZE: u32 = 36;

/// A whole table, header and checksum included, around `body`.
pub(crate) fn table(signature: [u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = Sdt::new(signature, HEADER_SIZE, revision, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    // In one piece: `Sdt` sums the whole table up after every write.
    table.append_slice(body);
    table.as_slice().to_vec()
}

/// The root pointer to the XSDT at address `xsdt`; revision 2, without an RSDT.
pub(crate) fn rsdp(xsdt: u64) -> Vec<u8> {
    to_bytes(&Rsdp::new(OEM_ID, xsdt))
}

/// The list of the other tables' addresses.
pub(crate) fn xsdt(tables: &[u64]) -> Vec<u8> {
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    for &table in tables {
        xsdt.add_entry(table);
    }
    to_bytes(&xsdt)
}

/// `object` in its binary form.
pub(crate) fn to_bytes(object: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.to_aml_bytes(&mut bytes);
    bytes
}
