//! Why a DIMM was not added or not asked for.

use dimmer_acpi::hotplug::MAX_SLOTS;

use super::description::ShapeError;
use crate::memory::{GuestRange, HostError};
use crate::units::Bytes;

/// Why a device was not added or not asked for. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum DimmError {
    /// The number of slots is out of bounds.
    #[error("slots: {0} is not between 1 and {MAX_SLOTS}")]
    Slots(u16),
    /// The ranges can never be right.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The device is larger than the whole window.
    #[error("{field}: {span} is more than the window for memory devices has ({window})", span = Bytes(*.span), window = Bytes(*.window))]
    LargerThanWindow {
        /// The field of the request that says how large it is.
        field: &'static str,
        /// The addresses that the device needs, with its gaps, in bytes.
        span: u64,
        /// The window's size in bytes.
        window: u64,
    },
    /// There is a device of this name.
    #[error("id: {0:?} is the name of another memory device")]
    DuplicateId(String),
    /// There is no device of this name.
    #[error("id: there is no DIMM {0:?}")]
    UnknownId(String),
    /// Every slot is in use.
    #[error("no free slot: all {0} are in use; remove a DIMM first")]
    NoFreeSlot(usize),
    /// The window is too full or too fragmented.
    #[error(
        "{field}: no {span} in a row are free in the window for memory devices; remove a DIMM first",
        span = Bytes(*.span)
    )]
    NoFreeRange {
        /// The field of the request that says how large it is.
        field: &'static str,
        /// The addresses that the device needs, with its gaps, in bytes.
        span: u64,
    },
    /// The place that was asked for is not all in the window, or not all free.
    #[error(
        "start: {:#x} to {:#x} is not all free in the window for memory devices, which is {:#x} to {:#x}",
        range.start, range.end(), window.start, window.end()
    )]
    NotFree {
        /// The place, with the device's gaps.
        range: GuestRange,
        /// The window.
        window: GuestRange,
    },
    /// The host has no memory for it, or cannot take it back.
    #[error("the host could not do it")]
    Host(#[source] HostError),
}
