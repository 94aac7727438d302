//! The windows for memory devices.

use crate::memory::GuestRange;
use crate::placement::{Alignment, LARGEST_BLOCK};

use super::taken::Taken;
use super::{HIGH_RAM_START, LayoutError};
use crate::spec::{PmemSpec, WindowSpec};
use crate::units::{Bytes, GIB};

/// From this end of RAM on Linux has memory blocks of more than 128 MiB (`MEM_SIZE_FOR_LARGE_BLOCK`,
/// arch/x86/mm/init_64.c).
const LARGE: u64 = 64 * GIB;

/// How memory devices are aligned in a machine whose RAM ends at `ram_end`.
pub(super) const fn alignment(ram_end: u64) -> Alignment {
    if ram_end < LARGE { Alignment::Gibibyte } else { Alignment::Natural }
}

/// Places all windows, in their order: first those that say where, then each of the others behind `end` and behind the
/// one before it.
pub(super) fn place(
    windows: &[WindowSpec],
    end: u64,
    alignment: Alignment,
    bits: u8,
    taken: &mut Taken,
) -> Result<Vec<GuestRange>, LayoutError> {
    let limit = 1u64 << bits.min(52);
    let fixed =
        |window: &WindowSpec| window.placement().start.map(|start| GuestRange::new(start, window.size()));
    for range in windows.iter().filter_map(fixed) {
        taken.take("--memory-hotplug", range, "another window")?;
    }
    let mut next = end.max(HIGH_RAM_START);
    let mut placed = Vec::new();
    for (index, window) in windows.iter().enumerate() {
        if let Some(range) = fixed(window) {
            placed.push(range);
            continue;
        }
        let size = window.size();
        let start = taken.free_from(next, size, align(window, alignment));
        let end = u128::from(start) + u128::from(size);
        if end > u128::from(limit) {
            let most = Bytes(limit.saturating_sub(start));
            let (size, limit) = (Bytes(size), Bytes(limit));
            return Err(LayoutError::PastCpu { index: index + 1, size, end, bits, limit, most });
        }
        let range = GuestRange::new(start, size);
        taken.take("--memory-hotplug", range, "another window")?;
        placed.push(range);
        next = range.end();
    }
    Ok(placed)
}

/// What the address of a window is a multiple of.
fn align(window: &WindowSpec, alignment: Alignment) -> u64 {
    let device_block = match window {
        WindowSpec::Acpi { .. } => 0,
        WindowSpec::VirtioMem(device) => device.block_size,
    };
    window.placement().align.unwrap_or(largest_block(alignment)).max(device_block)
}

/// What no two of a guest's memory blocks have both parts of.
const fn largest_block(alignment: Alignment) -> u64 {
    match alignment {
        Alignment::Natural => LARGEST_BLOCK,
        Alignment::Gibibyte | Alignment::Fixed(_) => GIB,
    }
}

/// Places persistent memory, whose sizes are known, behind `end` where nothing else is: in memory blocks of its own, so that
/// what a guest does with memory beside it is as without it.
pub(super) fn place_pmems(
    pmems: &[PmemSpec],
    end: u64,
    alignment: Alignment,
    taken: &mut Taken,
) -> Result<Vec<GuestRange>, LayoutError> {
    let place = |pmem: &PmemSpec| {
        let (size, block) = (pmem.size.unwrap_or(0), largest_block(alignment));
        let room = size.checked_next_multiple_of(block).unwrap_or(size);
        let range = GuestRange::new(taken.free_from(end.max(HIGH_RAM_START), room, block), size);
        taken.take("--pmem", range, "other persistent memory")?;
        Ok(range)
    };
    pmems.iter().map(place).collect()
}
