//! What a driver says of the guest's memory (virtio 1.2, section 5.5.6.3).

use serde::{Deserialize, Serialize};

use crate::memory_map::MemoryMap;
use crate::virtio::chain::Chain;

/// What there is, by its tag: those of virtio 1.2, then what Linux has had since 6.12. The names are Firecracker's.
const NAMES: [&str; 16] = [
    "swap_in",
    "swap_out",
    "major_faults",
    "minor_faults",
    "free_memory",
    "total_memory",
    "available_memory",
    "disk_caches",
    "hugetlb_allocations",
    "hugetlb_failures",
    "oom_kill",
    "alloc_stall",
    "async_scan",
    "direct_scan",
    "async_reclaim",
    "direct_reclaim",
];
/// Bytes of an entry: tag and value, without a gap.
const ENTRY: usize = 10;
/// Entries that are read of a chain; a driver has no reason for more than there are tags.
const MOST: usize = 64;

/// What the driver said last; by tag, nothing where it did not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statistics([Option<u64>; NAMES.len()]);

impl Statistics {
    /// What a chain says. Tags that are not known are passed over.
    pub(super) fn read(chain: &Chain, memory: &MemoryMap) -> Self {
        let most = usize::try_from(chain.readable_length()).unwrap_or(usize::MAX).min(MOST * ENTRY);
        let mut bytes = vec![0; most];
        let read = chain.read_at(memory, 0, &mut bytes).unwrap_or(0);
        let mut statistics = Self::default();
        for [low, high, value @ ..] in bytes[..read].as_chunks::<ENTRY>().0 {
            if let Some(place) = statistics.0.get_mut(usize::from(u16::from_le_bytes([*low, *high]))) {
                *place = Some(u64::from_le_bytes(*value));
            }
        }
        statistics
    }

    /// Names and values of what was said.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0).filter_map(|(name, value)| Some((name, value?)))
    }
}
