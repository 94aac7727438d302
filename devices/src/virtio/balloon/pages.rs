//! Which memory a driver gives away: what is read of a chain, with its bounds.

use crate::memory::{GuestRange, joined};
use crate::memory_map::MemoryMap;
use crate::virtio::chain::{Buffer, Chain};

use super::PAGE;

/// Pages that are taken of one chain; Linux lists 256. What is listed behind them is not given back, and nothing else comes of it.
const MOST_LISTED: usize = 1024;
/// Bytes that are taken of one chain of free memory; Linux reports 32 pieces of 4 MiB.
const MOST_REPORTED: u64 = 256 << 20;
/// What a piece of memory that is given back takes of a pass, in bytes that are copied, and how many of its own bytes take one more:
/// a pass ends behind a thousand pieces, or 256 MiB.
const PIECE_COSTS: u64 = 1024;
const BYTES_FOR_ONE: u64 = 256;

/// The pages whose numbers the driver lists (virtio 1.2, section 5.5.6): ascending, neighbours joined.
pub(super) fn listed(chain: &Chain, memory: &MemoryMap) -> Vec<GuestRange> {
    let most = usize::try_from(chain.readable_length()).unwrap_or(usize::MAX).min(4 * MOST_LISTED);
    let mut bytes = vec![0; most];
    // Numbers that are not in memory are none.
    let read = chain.read_at(memory, 0, &mut bytes).unwrap_or(0);
    let mut pages: Vec<u32> =
        bytes[..read].as_chunks().0.iter().map(|number| u32::from_le_bytes(*number)).collect();
    pages.sort_unstable();
    pages.dedup();
    let ranges: Vec<_> =
        pages.into_iter().map(|page| GuestRange::new(u64::from(page) * PAGE, PAGE)).collect();
    joined(&ranges)
}

/// The memory that the driver reports as free (virtio 1.2, section 5.5.6.7): whole pages, in its order.
pub(super) fn reported(chain: &Chain) -> Vec<GuestRange> {
    let mut left = MOST_REPORTED;
    let whole = |Buffer { address, length }: &Buffer| {
        let end = address.0.checked_add(u64::from(*length))? / PAGE * PAGE;
        let start = address.0.checked_next_multiple_of(PAGE)?;
        let size = end.checked_sub(start)?.min(left);
        left -= size;
        (size > 0).then_some(GuestRange::new(start, size))
    };
    chain.writable().iter().filter_map(whole).collect()
}

/// What giving `ranges` back takes of a pass.
pub(super) fn cost(ranges: &[GuestRange]) -> usize {
    let cost = |range: &GuestRange| PIECE_COSTS + range.size / BYTES_FOR_ONE;
    usize::try_from(ranges.iter().map(cost).sum::<u64>()).unwrap_or(usize::MAX)
}
