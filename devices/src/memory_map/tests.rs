//! Maps of guest memory: what a change lets in, and what reads and writes find.

use vm_memory::Bytes;
use vm_memory::mmap::MmapRegionBuilder;

use super::*;

const PAGE: u64 = 4096;

impl MemoryMap {
    /// A map for tests, of memory of its own at these addresses with these sizes.
    pub(crate) fn from_ranges(ranges: &[(GuestAddress, usize)]) -> Option<Self> {
        Self::new().changed(&[], ranges.iter().map(|(start, size)| anonymous(*start, *size)))
    }
}

/// `pages` of memory at page `first`.
fn region(first: u64, pages: u64) -> Arc<Region> {
    anonymous(GuestAddress(first * PAGE), usize::try_from(pages * PAGE).unwrap())
}

fn anonymous(start: GuestAddress, size: usize) -> Arc<Region> {
    let memory = MmapRegionBuilder::new_with_bitmap(size, Written::default())
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
        .build();
    Arc::new(Region::new(memory.unwrap(), start).unwrap())
}

fn starts(map: &MemoryMap) -> Vec<u64> {
    map.iter().map(|region| region.start_addr().raw_value() / PAGE).collect()
}

#[test]
fn a_map_finds_what_is_there_and_reads_across_regions() {
    let map = MemoryMap::new().changed(&[], [region(4, 2), region(1, 1), region(6, 1)]).unwrap();
    assert_eq!(starts(&map), [1, 4, 6]);
    assert_eq!(map.num_regions(), 3);
    assert_eq!(map.last_addr(), GuestAddress(7 * PAGE - 1));
    let found =
        |page: u64| map.find_region(GuestAddress(page * PAGE)).map(|r| r.start_addr().raw_value() / PAGE);
    assert_eq!(
        [0, 1, 2, 3, 4, 5, 6, 7].map(found),
        [None, Some(1), None, None, Some(4), Some(4), Some(6), None]
    );
    map.write_slice(&[7; 8], GuestAddress(6 * PAGE - 4)).unwrap();
    assert_eq!(map.read_obj::<u32>(GuestAddress(6 * PAGE)).unwrap(), 0x0707_0707);
    map.write_slice(&[7; 8], GuestAddress(7 * PAGE - 4)).unwrap_err();
}

#[test]
fn a_change_leaves_the_map_before_it_as_it_was() {
    let before = MemoryMap::new().changed(&[], [region(1, 1), region(4, 2)]).unwrap();
    before.write_obj(3_u64, GuestAddress(4 * PAGE)).unwrap();
    let after = before.changed(&[4 * PAGE], [region(4, 1), region(5, 1)]).unwrap();
    assert_eq!((starts(&before), starts(&after)), (vec![1, 4], vec![1, 4, 5]));
    let read = |map: &MemoryMap| map.read_obj::<u64>(GuestAddress(4 * PAGE)).unwrap();
    assert_eq!((read(&before), read(&after)), (3, 0));
}

#[test]
fn what_is_not_there_cannot_go_and_nothing_comes_over_another() {
    let map = MemoryMap::new().changed(&[], [region(4, 2)]).unwrap();
    assert!(map.changed(&[5 * PAGE], []).is_none());
    for (first, pages) in [(4, 2), (4, 1), (5, 1), (3, 2), (3, 9), (5, 9)] {
        assert!(map.changed(&[], [region(first, pages)]).is_none(), "{pages} at {first}");
        assert!(map.changed(&[4 * PAGE], [region(first, pages)]).is_some(), "{pages} at {first}");
    }
    for (first, pages) in [(3, 1), (6, 1)] {
        assert!(map.changed(&[], [region(first, pages)]).is_some(), "{pages} at {first}");
    }
}
