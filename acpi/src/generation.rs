//! The generation ID (Microsoft, "Virtual Machine Generation ID"; QEMU, docs/specs/vmgenid): a number in memory that is
//! another one when the machine goes on from a snapshot, so that no two machines go on with the same random numbers.

/// Size of the number in bytes.
pub const SIZE: usize = 16;
/// Alignment of the number in bytes.
pub const ALIGNMENT: u64 = 8;
