//! The ranges other than RAM in the firmware's memory map.

use crate::memory::GuestRange;

use super::LayoutError;
use super::taken::Taken;
use crate::spec::{FirmwareRangeKind, MachineSpec};

/// One range, placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareRange {
    /// Where it lies.
    pub range: GuestRange,
    /// What it is.
    pub kind: FirmwareRangeKind,
    /// Its node, if the firmware says that.
    pub node: u32,
}

/// Places all ranges: each where it was asked for, or else behind RAM, which ends at `ram_end`, and behind the range
/// before it. The result ascends.
pub(super) fn place(
    spec: &MachineSpec,
    ram_end: u64,
    taken: &mut Taken,
) -> Result<Vec<FirmwareRange>, LayoutError> {
    let mut next = ram_end;
    let mut placed: Vec<FirmwareRange> = Vec::new();
    for wanted in &spec.firmware_ranges {
        let page = if wanted.kind.has_memory() { spec.memory.backing.page_size() } else { 1 };
        let start = wanted.start.unwrap_or_else(|| next.next_multiple_of(page));
        let range = GuestRange::new(start, wanted.size);
        taken.take("--firmware-range", range, "another range of the firmware")?;
        next = range.end();
        placed.push(FirmwareRange { range, kind: wanted.kind, node: wanted.node });
    }
    placed.sort_by_key(|piece| piece.range.start);
    Ok(placed)
}
