//! Chains of snapshots whose pieces move about, against a plain map of pages.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::super::memory::{PAGE, PageSum, into, save};
use super::*;
use crate::snapshot::sample::chain::{Snap, layers};

/// Pages of guest-physical addresses.
const ALL: u64 = 40;
const SIZE: u64 = PAGE as u64;

/// One step of a machine: which pages have memory then, and what is written; a page that is new is zero at first.
#[derive(Debug, Clone)]
struct Step {
    there: Vec<bool>,
    written: BTreeMap<u64, u8>,
}

fn step() -> impl Strategy<Value = Step> {
    let there = prop::collection::vec(prop::bool::weighted(0.7), usize::try_from(ALL).unwrap());
    let written = prop::collection::btree_map(0..ALL, 0..3_u8, 0..10);
    (there, written).prop_map(|(there, written)| Step { there, written })
}

/// A snapshot of `memory`, with only the pages of `changed` if there are any to be a difference to.
fn snap(memory: &BTreeMap<u64, u8>, changed: Option<&dyn Fn(u64) -> bool>) -> Snap {
    let mut pieces: Vec<Piece> = Vec::new();
    for page in memory.keys() {
        let start = page * SIZE;
        match pieces.last_mut() {
            // Pieces are cut here and there, as slots are.
            Some(last) if last.range.end() == start && page % 7 != 0 => last.range.size += SIZE,
            _ => pieces.push(Piece { owner: "m".to_owned(), range: GuestRange::new(start, SIZE) }),
        }
    }
    let pages: Vec<_> = (0_u64..).map(|index| index * SIZE).zip(memory).collect();
    let mut runs = Vec::new();
    for (place, (page, _)) in &pages {
        if changed.is_some_and(|changed| changed(**page)) {
            runs::push(&mut runs, *place..place + SIZE);
        }
    }
    let length = memory.len() as u64 * SIZE;
    let all = Range { start: 0, end: length };
    let parts = if changed.is_some() { &runs[..] } else { std::slice::from_ref(&all) };
    let file = tempfile::tempfile().unwrap();
    file.set_len(length).unwrap();
    let read = |place: u64, bytes: &mut [u8]| {
        for (page, place) in bytes.chunks_mut(PAGE).zip((place..).step_by(PAGE)) {
            page[7] = *pages[usize::try_from(place / SIZE).unwrap()].1.1;
        }
        Ok(())
    };
    let mut sum = PageSum::default();
    save(&mut into(&file), parts, read, &|| true, Some(&mut sum)).unwrap();
    Snap { pieces, runs: changed.map(|_| runs), file: Arc::new(file), length, sum: sum.finish() }
}

proptest! {
    #[test]
    fn a_chain_gives_the_whole_memory_of_each_of_its_snapshots(steps in prop::collection::vec(step(), 1..6)) {
        let (mut memory, mut snaps) = (BTreeMap::<u64, u8>::new(), Vec::new());
        for Step { there, written } in steps {
            let before = memory.clone();
            memory.retain(|page, _| there[usize::try_from(*page).unwrap()]);
            for page in (0..ALL).filter(|page| there[usize::try_from(*page).unwrap()]) {
                memory.entry(page).or_insert(0);
            }
            for (page, value) in &written {
                memory.entry(*page).and_modify(|old| *old = *value);
            }
            let changed = |page| written.contains_key(&page) || !before.contains_key(&page);
            let first = snaps.is_empty();
            snaps.push(snap(&memory, if first { None } else { Some(&changed) }));
            let expected: Vec<u8> = memory.values().copied().collect();
            // From zeroes, with pages of zeroes left out.
            let mut loaded = vec![0; expected.len()];
            // Over something else, from the one below the others on.
            let mut over = vec![9; expected.len()];
            let at = |place: u64| usize::try_from(place / SIZE).unwrap();
            let mut pages = 0;
            for (index, layer) in layers(&snaps).iter().enumerate() {
                layer.load(|place, bytes| {
                    for (index, page) in bytes.chunks(PAGE).enumerate() {
                        loaded[at(place) + index] = page[7];
                    }
                    Ok(())
                }).unwrap();
                for Part { place, from, size } in layer.joined().into_iter().filter(|_| index == 0) {
                    let mut bytes = vec![0; usize::try_from(size).unwrap()];
                    layer.file.read_exact_at(&mut bytes, from).unwrap();
                    for (index, page) in bytes.chunks(PAGE).enumerate() {
                        over[at(place) + index] = page[7];
                    }
                }
                pages += layer.parts.iter().map(|part| part.size / SIZE).sum::<u64>();
                layer.read_all(|place, bytes| {
                    for (index, page) in bytes.chunks(PAGE).enumerate() {
                        over[at(place) + index] = page[7];
                    }
                    Ok(())
                }).unwrap();
            }
            prop_assert_eq!(&loaded, &expected);
            prop_assert_eq!(pages, expected.len() as u64, "each page is in one file");
            prop_assert_eq!(&over, &expected);
        }
    }
}

#[test]
fn memory_that_no_snapshot_has_is_refused() {
    let piece = |start: u64, size| Piece { owner: "m".to_owned(), range: GuestRange::new(start, size) };
    let (top, base) = ([piece(0, 8 * SIZE)], [piece(0, 4 * SIZE)]);
    let said = |files: &[Has<'_>]| find(files).unwrap_err();
    let runs = [Range { start: 4 * SIZE, end: 7 * SIZE }];
    let upper = || Has { pieces: &top, runs: Some(&runs) };
    let missing = "memory at 0x7000 is neither in the snapshot nor in what it is a difference to";
    assert_eq!(said(&[upper(), Has { pieces: &base, runs: None }]), missing);
    let nothing = "memory at 0x0 is neither in the snapshot nor in what it is a difference to";
    assert_eq!(said(&[upper()]), nothing);
    assert_eq!(said(&[upper(), Has { pieces: &[], runs: None }]), nothing);
    let wrong = [piece(1, SIZE)];
    assert!(said(&[upper(), Has { pieces: &wrong, runs: None }]).ends_with("cannot be"));
    assert_eq!(find(&[]).unwrap(), Vec::<Vec<Part>>::new());
}
