//! The ranges other than RAM in the firmware's memory map.

use dimmer_devices::memory::GuestRange;

use super::{LayoutError, REGISTERS};
use crate::spec::{FirmwareRangeKind, MachineSpec};

/// One range, placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareRange {
    /// Where it lies.
    pub range: GuestRange,
    /// What it is.
    pub kind: FirmwareRangeKind,
}

/// Places all ranges below `limit`: each where it was asked for, or else behind RAM and behind the range
/// before it. The result ascends.
pub(super) fn place(
    spec: &MachineSpec,
    ram: &[GuestRange],
    limit: u64,
) -> Result<Vec<FirmwareRange>, LayoutError> {
    let mut next = ram.iter().map(GuestRange::end).max().unwrap_or(0);
    let mut placed: Vec<FirmwareRange> = Vec::new();
    for wanted in &spec.firmware_ranges {
        let page = match wanted.kind {
            FirmwareRangeKind::Pmem => spec.memory.backing.page_size(),
            FirmwareRangeKind::Reserved => 1,
        };
        let start = wanted.start.unwrap_or_else(|| next.next_multiple_of(page));
        let range = GuestRange::new(start, wanted.size);
        let taken = ram.iter().copied().chain(placed.iter().map(|other| other.range));
        check(range, taken, limit)?;
        next = range.end();
        placed.push(FirmwareRange { range, kind: wanted.kind });
    }
    placed.sort_by_key(|piece| piece.range.start);
    Ok(placed)
}

fn check(
    range: GuestRange,
    mut taken: impl Iterator<Item = GuestRange>,
    limit: u64,
) -> Result<(), LayoutError> {
    let end = range.start.saturating_add(range.size);
    let wrong = |what| Err(LayoutError::Firmware { range: range.start..end, what });
    if end > limit {
        return wrong(format!("reaches past {limit:#x}, where this CPU's physical addresses end"));
    }
    if range.overlaps(&REGISTERS) {
        return wrong(format!(
            "lies on device registers ({:#x?}); say with start= where it is to be",
            REGISTERS.start..REGISTERS.end()
        ));
    }
    match taken.find(|other| other.overlaps(&range)) {
        None => Ok(()),
        Some(other) => {
            wrong(format!("lies on boot RAM or on another such range ({:#x?})", other.start..other.end()))
        }
    }
}
