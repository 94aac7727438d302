//! Differences between moments of a machine's memory, against plain maps of what is in it and what changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::snapshot::memory::{self, PageSum, Piece, Pieces};
use crate::snapshot::sample::chain::{Snap, layers};
use crate::spec::RestoredMemory;

const PAGE: u64 = 4096;
const DIMM: GuestRange = GuestRange::new(DIMMS, 128 * MIB);

#[derive(Debug, Clone)]
enum Step {
    /// The guest writes a word, or we do; 0 as well.
    Write {
        by_guest: bool,
        page: u64,
        value: u64,
    },
    Plug(Range<u64>),
    Unplug(Range<u64>),
    Dimm(bool),
    /// The guest gives so many pages from here on to the host, and keeps them.
    Release(u64, u64),
    Reset,
    /// What was written is asked for, and the snapshot then fails.
    GiveUp,
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    let blocks = (0..16_u64, 1..6_u64).prop_map(|(start, length)| start..start + length);
    prop_oneof![
        10 => (any::<bool>(), 0..60_u64, 0..3_u64)
            .prop_map(|(by_guest, page, value)| Step::Write { by_guest, page, value }),
        4 => blocks.clone().prop_map(Step::Plug),
        3 => blocks.prop_map(Step::Unplug),
        1 => any::<bool>().prop_map(Step::Dimm),
        3 => (0..60_u64, 1..600_u64).prop_map(|(page, pages)| Step::Release(page, pages)),
        1 => Just(Step::Reset),
        1 => Just(Step::GiveUp),
        4 => Just(Step::Snapshot),
    ]
}

/// Where page `index` of those that are written lies: in boot RAM, at both ends of blocks, in the DIMM.
fn page(index: u64) -> u64 {
    match index {
        0..10 => index * 100 * PAGE,
        10..50 => WINDOW + (index - 10) / 2 * BLOCK + if index.is_multiple_of(2) { 0 } else { BLOCK - PAGE },
        _ => DIMM.start + (index - 50) * 12 * MIB,
    }
}

/// A machine's memory and what is known of it.
struct Tracked {
    bench: Bench,
    /// What is plugged, each with what is in its first word.
    memory: BTreeMap<u64, u64>,
    changed: BTreeSet<u64>,
    snaps: Vec<Snap>,
}

fn pages(range: GuestRange) -> impl Iterator<Item = u64> {
    (range.start..range.end()).step_by(4096)
}

impl Tracked {
    fn new(backing: Backing) -> Self {
        let memory = pages(GuestRange::new(0, 4 * MIB)).map(|page| (page, 0)).collect();
        Self { bench: bench_with(backing, 100), memory, changed: BTreeSet::new(), snaps: Vec::new() }
    }

    fn plug(&mut self, owner: &str, range: GuestRange) {
        if self.bench.ram.back(owner, range).is_ok() {
            self.memory.extend(pages(range).map(|page| (page, 0)));
            self.changed.extend(pages(range));
        }
    }

    fn unplug(&mut self, owner: &str, range: GuestRange) {
        if self.bench.ram.unback(owner, range).is_ok() {
            self.memory.retain(|page, _| !(range.start..range.end()).contains(page));
            self.changed.retain(|page| !(range.start..range.end()).contains(page));
        }
    }

    fn release(&mut self, range: GuestRange) {
        let given = self.bench.ram.release(&[range], Afterwards::ZeroesOrSame).unwrap();
        let mut bytes = 0;
        for page in pages(range) {
            if let Some(word) = self.memory.get_mut(&page) {
                *word = 0;
                self.changed.insert(page);
                bytes += PAGE;
            }
        }
        assert_eq!(given, bytes);
    }

    #[expect(unsafe_code, reason = "writes as a guest does, past the map")]
    fn write(&mut self, by_guest: bool, address: u64, value: u64) {
        let Some(word) = self.memory.get_mut(&address) else { return };
        *word = value;
        self.changed.insert(address);
        if by_guest {
            let host = self.bench.ram.area(GuestRange::new(address, PAGE)).unwrap().host(address);
            // SAFETY: the page is plugged, and a word at its begin is aligned.
            unsafe { host.cast::<u64>().write(value) };
            self.bench.kvm.guest_writes(address);
        } else {
            self.bench.ram.memory().write_obj(value, GuestAddress(address)).unwrap();
        }
    }

    fn reset(&mut self) {
        lock(&self.bench.kvm.slots).clear();
        self.bench.ram.reset().unwrap();
        self.memory.values_mut().for_each(|word| *word = 0);
        self.changed.extend(self.memory.keys());
    }

    /// What was written, as addresses.
    fn written(&self, pieces: &[Piece], runs: &[Range<u64>]) -> BTreeSet<u64> {
        let places = Pieces::new(pieces).unwrap();
        let all = runs.iter().flat_map(|run| (run.start..run.end).step_by(4096));
        all.map(|place| places.addresses(place, PAGE).unwrap().start).collect()
    }

    fn snapshot(&mut self) {
        let ram = &self.bench.ram;
        let pieces = ram.state().pieces;
        let runs = if self.snaps.is_empty() {
            ram.watch().unwrap();
            None
        } else {
            Some(ram.written(&pieces).unwrap())
        };
        if let Some(runs) = &runs {
            assert_eq!(self.written(&pieces, runs), self.changed);
        }
        let (file, length) = (tempfile::tempfile().unwrap(), Pieces::new(&pieces).unwrap().length());
        file.set_len(length).unwrap();
        let mut sum = PageSum::default();
        ram.save(&pieces, runs.as_deref(), &mut memory::into(&file), &|| true, Some(&mut sum)).unwrap();
        ram.forget_written();
        self.changed.clear();
        self.snaps.push(Snap { pieces, runs, file: Arc::new(file), length, sum: sum.finish() });
    }

    /// Another machine's memory, which goes on from the last snapshot.
    fn restored(&self, backing: Backing, how: RestoredMemory) -> Bench {
        let bench = bench_with(backing, 100);
        let pieces = &self.snaps.last().unwrap().pieces;
        bench.ram.load(&Contents { pieces, layers: &layers(&self.snaps) }, how, &[]).unwrap();
        bench
    }

    fn assert_restored(&self) {
        let ways = [
            (Backing::Anon, RestoredMemory::Copy),
            (Backing::Memfd, RestoredMemory::Copy),
            (Backing::Anon, RestoredMemory::Map),
        ];
        for (backing, how) in ways {
            let bench = self.restored(backing.clone(), how);
            assert_eq!(bench.ram.state().pieces, self.bench.ram.state().pieces);
            let memory = bench.ram.memory();
            for (page, value) in &self.memory {
                let word: u64 = memory.read_obj(GuestAddress(*page)).unwrap();
                assert_eq!(word, *value, "{page:#x} {backing:?} {how:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_chain_of_differences_is_the_memory_whatever_came_and_went(
        anonymous: bool, steps in prop::collection::vec(step(), 5..50),
    ) {
        let mut tracked = Tracked::new(if anonymous { Backing::Anon } else { Backing::Memfd });
        for step in steps.into_iter().chain([Step::Snapshot]) {
            match step {
                Step::Write { by_guest, page: index, value } => tracked.write(by_guest, page(index), value),
                Step::Plug(range) => tracked.plug("m", blocks(range)),
                Step::Unplug(range) => tracked.unplug("m", blocks(range)),
                Step::Dimm(true) => tracked.plug("d0", DIMM),
                Step::Dimm(false) => tracked.unplug("d0", DIMM),
                Step::Release(index, pages) => tracked.release(GuestRange::new(page(index), pages * PAGE)),
                Step::Reset => tracked.reset(),
                Step::GiveUp => drop(tracked.bench.ram.written(&tracked.bench.ram.state().pieces)),
                Step::Snapshot => tracked.snapshot(),
            }
        }
        tracked.assert_restored();
    }
}

#[test]
fn a_slot_that_could_not_go_loses_nothing() {
    let mut tracked = Tracked::new(Backing::Anon);
    tracked.plug("m", blocks(0..2));
    tracked.snapshot();
    tracked.write(true, page(10), 1);
    tracked.write(true, page(13), 1);
    // The log is read, the slot goes, its successor is refused, and it comes back.
    *lock(&tracked.bench.kvm.fails_after) = Some(1);
    tracked.bench.ram.back("m", blocks(2..3)).unwrap_err();
    tracked.write(true, page(11), 1);
    tracked.snapshot();
    tracked.assert_restored();
}

#[test]
fn memory_that_could_not_be_given_back_counts_as_written() {
    let mut tracked = Tracked::new(Backing::Anon);
    tracked.plug("m", blocks(0..4));
    tracked.snapshot();
    tracked.bench.fault("m", Point::Discard, ActionName::Fail);
    tracked.bench.ram.unback("m", blocks(1..2)).unwrap_err();
    tracked.changed.extend(pages(blocks(1..2)));
    tracked.snapshot();
    tracked.assert_restored();
}

#[test]
fn nothing_is_logged_unless_it_is_asked_for_and_kvm_may_refuse() {
    let mut tracked = Tracked::new(Backing::Anon);
    tracked.plug("m", blocks(0..1));
    assert!(lock(&tracked.bench.kvm.logs).is_empty());
    *lock(&tracked.bench.kvm.fails_after) = Some(1);
    tracked.bench.ram.watch().unwrap_err();
    assert!(lock(&tracked.bench.kvm.logs).is_empty(), "what was watched already is not any more");
    tracked.snapshot();
    assert_eq!(lock(&tracked.bench.kvm.logs).len(), 2);
    tracked.write(false, 0, 1);
    tracked.bench.ram.unwatch();
    assert!(lock(&tracked.bench.kvm.logs).is_empty());
    tracked.write(false, 0, 2);
    assert_eq!(tracked.bench.ram.written(&tracked.bench.ram.state().pieces).unwrap(), []);
}

#[test]
fn too_many_parts_are_read_over_what_is_mapped() {
    let mut tracked = Tracked::new(Backing::Anon);
    tracked.plug("d0", DIMM);
    for page in pages(DIMM).step_by(2) {
        tracked.write(true, page, page | 1);
    }
    tracked.snapshot();
    for page in pages(DIMM).step_by(4).take(2000) {
        tracked.write(true, page, 0);
    }
    tracked.snapshot();
    assert!(layers(&tracked.snaps)[1].parts.len() == 2000);
    tracked.assert_restored();
}
