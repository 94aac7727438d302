//! The kernel's XArray (include/linux/xarray.h): a tree of nodes with 64 slots.

use std::io;

use super::kcore::Kcore;
use super::shapes::XArrayShape;

/// Slots of a node (`XA_CHUNK_SIZE` with `CONFIG_BASE_SMALL` off).
const SLOTS: usize = 64;
/// The deepest tree that a 64-bit index needs.
const DEEPEST: u32 = 11;

/// The pointers in the array at `array`, with their indices, ascending.
pub(super) fn entries(kcore: &Kcore, shape: &XArrayShape, array: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let head = kcore.u64(array + shape.head)?;
    walk(kcore, shape, head, 0, DEEPEST, &mut found)?;
    Ok(found)
}

/// `entry` is a pointer, or a node, told by the lowest two bits (`xa_is_internal`, `xa_to_node`).
fn walk(
    kcore: &Kcore,
    shape: &XArrayShape,
    entry: u64,
    base: u64,
    depth: u32,
    found: &mut Vec<(u64, u64)>,
) -> io::Result<()> {
    /// Internal entries up to here are no nodes.
    const LAST_SPECIAL: u64 = 4096;
    match entry & 3 {
        0 if entry != 0 => found.push((base, entry)),
        2 if entry > LAST_SPECIAL && depth > 0 => {
            let node = entry - 2;
            let shift = kcore.u8(node + shape.node_shift)?;
            let mut slots = [0; SLOTS * 8];
            kcore.read(node + shape.node_slots, &mut slots)?;
            for (number, slot) in (0u64..).zip(slots.chunks_exact(8)) {
                let slot = u64::from_ne_bytes(slot.try_into().expect("a chunk has 8 bytes"));
                let index = number.checked_shl(shift.into()).and_then(|from| base.checked_add(from));
                let index =
                    index.ok_or_else(|| io::Error::other("an XArray's node changed while it was read"))?;
                walk(kcore, shape, slot, index, depth - 1, found)?;
            }
        }
        _ => {}
    }
    Ok(())
}
