//! Marks against a set of pages, and every way in which the map is written.

use std::collections::BTreeSet;
use std::io::Write;

use proptest::prelude::*;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{Bytes, GuestAddress, GuestRegionMmap};

use super::*;
use crate::memory_map::MemoryMap;

/// Pages of two chunks and a bit.
const ALL: u64 = 2 * BITS * WORDS as u64 + 70;

#[derive(Debug, Clone)]
enum Step {
    Mark(Range<u64>),
    Log(u64, Vec<u64>),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let near = prop_oneof![0..200_u64, BITS * WORDS as u64 - 100..BITS * WORDS as u64 + 100, 0..ALL];
    let word = prop_oneof![Just(0), Just(u64::MAX), Just(1), Just(1 << 63), any::<u64>()];
    prop_oneof![
        8 => (near.clone(), 0..PAGE, 0..200 * PAGE).prop_map(|(page, byte, length)| {
            Step::Mark(page * PAGE + byte..page * PAGE + byte + length)
        }),
        4 => (near, prop::collection::vec(word, 0..5)).prop_map(|(page, log)| Step::Log(page, log)),
        1 => Just(Step::Clear),
    ]
}

fn expected(set: &BTreeSet<u64>, pages: Range<u64>) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for page in set.range(pages) {
        match runs.last_mut() {
            Some(last) if last.end == page * PAGE => last.end += PAGE,
            _ => runs.push(page * PAGE..(page + 1) * PAGE),
        }
    }
    runs
}

proptest! {
    #[test]
    fn marks_are_a_set_of_pages(steps in prop::collection::vec(step(), 1..30), from in 0..ALL, length in 0..ALL) {
        let (pages, mut set) = (Pages::new(ALL * PAGE), BTreeSet::new());
        pages.watch(true);
        for step in steps {
            match step {
                Step::Mark(part) => {
                    pages.mark(&part);
                    if part.start < part.end {
                        set.extend(part.start / PAGE..part.end.div_ceil(PAGE));
                    }
                }
                Step::Log(page, log) => {
                    pages.mark_log(page * PAGE, &log);
                    let bits = (page..).zip(log.iter().flat_map(|word| (0..BITS).map(move |bit| word >> bit & 1)));
                    set.extend(bits.filter(|(_, bit)| *bit == 1).map(|(page, _)| page));
                }
                Step::Clear => {
                    pages.clear();
                    set.clear();
                }
            }
            let to = (from + length).min(ALL);
            prop_assert_eq!(pages.written(&(from * PAGE..to * PAGE)), expected(&set, from..to.max(from)));
            prop_assert_eq!(pages.written(&(0..ALL * PAGE)), expected(&set, 0..ALL));
        }
    }
}

#[test]
fn nothing_is_marked_until_it_is_asked_for_and_nothing_beyond_the_end() {
    let pages = Pages::new(1 << 40);
    pages.mark(&(0..PAGE));
    assert_eq!(pages.written(&(0..1 << 40)), []);
    pages.watch(true);
    pages.mark(&((1 << 40) - 1..(1 << 40) + 1));
    pages.mark_log(1 << 50, &[1]);
    assert_eq!(pages.written(&(0..1 << 40)), [Range { start: (1 << 40) - PAGE, end: 1 << 40 }]);
    assert_eq!(pages.chunks.iter().filter(|chunk| chunk.get().is_some()).count(), 1);
}

/// A map with one region at 1 MiB, which is the third page of its area.
fn map() -> (MemoryMap, Arc<Pages>) {
    let pages = Arc::new(Pages::new(1 << 20));
    pages.watch(true);
    let region = MmapRegionBuilder::new_with_bitmap(16 * 4096, Written::new(&pages, 2 * PAGE))
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
        .build();
    let region = GuestRegionMmap::new(region.unwrap(), GuestAddress(1 << 20)).unwrap();
    (MemoryMap::new().changed(&[], [Arc::new(region)]).unwrap(), pages)
}

#[test]
fn every_write_through_the_map_is_marked_and_no_read() {
    let (map, pages) = map();
    let at = |offset: u64| GuestAddress((1 << 20) + offset);
    let taken = || {
        let written = pages.written(&(0..1 << 20));
        pages.clear();
        written.into_iter().map(|run| (run.start / PAGE, run.end / PAGE)).collect::<Vec<_>>()
    };
    map.write_obj(7_u64, at(PAGE - 8)).unwrap();
    assert_eq!(taken(), [(2, 3)]);
    map.write_obj(7_u64, at(PAGE - 4)).unwrap();
    assert_eq!(taken(), [(2, 4)]);
    map.write_slice(&[1; 8192], at(PAGE)).unwrap();
    assert_eq!(taken(), [(3, 5)]);
    map.store(1_u16, at(4 * PAGE), std::sync::atomic::Ordering::Release).unwrap();
    assert_eq!(taken(), [(6, 7)]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[1; 10]).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    map.read_exact_volatile_from(at(8 * PAGE - 5), &mut file, 10).unwrap();
    assert_eq!(taken(), [(9, 11)]);
    let _: u64 = map.read_obj(at(0)).unwrap();
    let _: u16 = map.load(at(0), std::sync::atomic::Ordering::Acquire).unwrap();
    assert_eq!(taken(), []);
}
