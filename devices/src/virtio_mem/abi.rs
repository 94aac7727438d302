//! virtio-mem as it lies in memory (virtio 1.2, section 5.15): numbers and little-endian layouts.

use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// `node_id` is valid.
pub(super) const F_ACPI_PXM: u64 = 1 << 0;
/// The driver does not touch unplugged blocks.
pub(super) const F_UNPLUGGED_INACCESSIBLE: u64 = 1 << 1;

pub(super) const REQUEST_PLUG: u16 = 0;
pub(super) const REQUEST_UNPLUG: u16 = 1;
pub(super) const REQUEST_UNPLUG_ALL: u16 = 2;
pub(super) const REQUEST_STATE: u16 = 3;

pub(super) const RESPONSE_ACK: u16 = 0;
pub(super) const RESPONSE_NACK: u16 = 1;
pub(super) const RESPONSE_BUSY: u16 = 2;
pub(super) const RESPONSE_ERROR: u16 = 3;

pub(super) const STATE_PLUGGED: u16 = 0;
pub(super) const STATE_UNPLUGGED: u16 = 1;
pub(super) const STATE_MIXED: u16 = 2;

/// The configuration space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Config {
    pub(super) block_size: U64,
    pub(super) node_id: U16,
    pub(super) padding: [u8; 6],
    pub(super) addr: U64,
    pub(super) region_size: U64,
    pub(super) usable_region_size: U64,
    pub(super) plugged_size: U64,
    pub(super) requested_size: U64,
}

/// A request; types without an address leave the rest unused.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct WireRequest {
    pub(super) kind: U16,
    pub(super) padding: [u8; 6],
    pub(super) addr: U64,
    pub(super) nb_blocks: U16,
    pub(super) padding_2: [u8; 6],
}

/// A response; only the one to a state request has a state.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct WireResponse {
    pub(super) kind: U16,
    pub(super) padding: [u8; 6],
    pub(super) state: U16,
}

const _: () = assert!(size_of::<Config>() == 56);
const _: () = assert!(size_of::<WireRequest>() == 24);
const _: () = assert!(size_of::<WireResponse>() == 10);
