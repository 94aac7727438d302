//! Guest memory that is saved, and loaded into another machine's.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::*;
use crate::snapshot::layers::{Layer, Part};
use crate::snapshot::memory::{self, PAGE, PageSum, Piece, Pieces};
use crate::spec::RestoredMemory;

const DIMM: GuestRange = GuestRange::new(DIMMS + 128 * MIB, 128 * MIB);

/// Addresses that are written: at both ends of pieces, in the middle, and where two pieces meet.
const WRITTEN: [u64; 8] = [
    8,
    4 * MIB - 8,
    WINDOW + BLOCK,
    WINDOW + 4 * BLOCK - 8,
    WINDOW + 4 * BLOCK,
    WINDOW + 9 * BLOCK - 8,
    DIMM.start + 64 * MIB,
    DIMM.end() - 8,
];

/// Memory of all kinds, with words in it, and two accesses to where there is none.
fn filled(backing: Backing) -> Bench {
    let bench = bench_with(backing, 100);
    bench.ram.back("m", blocks(1..3)).unwrap();
    bench.ram.back("m", blocks(3..9)).unwrap();
    bench.ram.back("d0", DIMM).unwrap();
    for address in WRITTEN {
        bench.ram.memory().write_obj(address | 1, GuestAddress(address)).unwrap();
    }
    bench.ram.stray(WINDOW);
    bench.ram.stray(DIMMS);
    bench
}

/// What `bench` has in memory, in a file.
struct Saved {
    pieces: Vec<Piece>,
    strays: Vec<u64>,
    file: File,
    sum: u64,
}

impl Saved {
    fn of(bench: &Bench) -> Self {
        let state = bench.ram.state();
        let file = tempfile::tempfile().unwrap();
        file.set_len(Pieces::new(&state.pieces).unwrap().length()).unwrap();
        let mut sum = PageSum::default();
        bench.ram.save(&state.pieces, None, &mut memory::into(&file), &|| true, Some(&mut sum)).unwrap();
        Self { pieces: state.pieces, strays: state.strays, file, sum: sum.finish() }
    }

    fn load(&self, ram: &Ram, how: RestoredMemory) -> Result<(), HostError> {
        self.load_with(ram, how, Some(self.sum))
    }

    fn load_with(&self, ram: &Ram, how: RestoredMemory, sum: Option<u64>) -> Result<(), HostError> {
        let (file, length) = (self.file.try_clone().unwrap().into(), self.file.metadata().unwrap().len());
        let parts = vec![Part { place: 0, from: 0, size: length }];
        let layers = [Layer { path: PathBuf::from("memory"), file, length, sum, parts }];
        let loaded = ram.load(&Contents { pieces: &self.pieces, layers: &layers }, how, &self.strays);
        loaded.map_err(|failed| failed.error)
    }

    /// Another machine's memory, which began as this.
    fn loaded(&self, backing: Backing, how: RestoredMemory) -> Bench {
        let bench = bench_with(backing, 100);
        self.load(&bench.ram, how).unwrap();
        bench
    }

    /// Why no machine's memory can begin as this.
    fn complaint(&self) -> String {
        self.load(&bench().ram, RestoredMemory::Copy).unwrap_err().to_string()
    }
}

fn read(bench: &Bench, address: u64) -> u64 {
    bench.ram.memory().read_obj(GuestAddress(address)).unwrap()
}

fn assert_as_filled(bench: &Bench) {
    bench.assert_agree(&[blocks(1..9)], &[DIMM]);
    for address in WRITTEN {
        assert_eq!(read(bench, address), address | 1, "{address:#x}");
    }
    for address in [0, 4096, WINDOW + BLOCK + 4096, WINDOW + 5 * BLOCK, DIMM.start] {
        assert_eq!(read(bench, address), 0, "{address:#x}");
    }
    assert!(bench.ram.memory().read_obj::<u64>(GuestAddress(WINDOW)).is_err());
}

#[test]
fn what_is_saved_is_loaded_whatever_it_comes_from_and_goes_to() {
    for from in [Backing::Anon, Backing::Memfd] {
        let first = filled(from.clone());
        let saved = Saved::of(&first);
        let ways = [
            (Backing::Anon, RestoredMemory::Copy),
            (Backing::Memfd, RestoredMemory::Copy),
            (Backing::Anon, RestoredMemory::Map),
        ];
        for (to, how) in ways {
            let second = saved.loaded(to.clone(), how);
            assert_as_filled(&second);
            assert_eq!(second.ram.state(), first.ram.state(), "{from:?} {to:?} {how:?}");
            assert_eq!(second.kvm.ranges(), first.kvm.ranges());
            // It can be saved again, and is the same then.
            let again = Saved::of(&second);
            assert_eq!(
                (again.sum, again.pieces),
                (saved.sum, saved.pieces.clone()),
                "{from:?} {to:?} {how:?}"
            );
        }
    }
}

#[test]
fn pages_of_zeroes_take_no_place() {
    for backing in [Backing::Anon, Backing::Memfd] {
        let bench = filled(backing);
        let touched = GuestAddress(DIMM.start + 8 * MIB);
        bench.ram.memory().write_slice(&vec![0; 1 << 20], touched).unwrap();
        let saved = Saved::of(&bench);
        let data = crate::sparse::data(&saved.file, 0..saved.file.metadata().unwrap().len()).unwrap();
        let bytes: u64 = data.iter().map(|part| part.end - part.start).sum();
        assert_eq!(bytes, (WRITTEN.len() * PAGE) as u64, "{data:x?}");
    }
}

#[test]
fn what_is_mapped_is_written_privately_and_gone_after_a_reset() {
    let saved = Saved::of(&filled(Backing::Anon));
    let [one, other] = [(); 2].map(|()| saved.loaded(Backing::Anon, RestoredMemory::Map));
    for address in WRITTEN {
        one.ram.memory().write_obj(0_u64, GuestAddress(address)).unwrap();
    }
    assert_as_filled(&other);
    assert_as_filled(&saved.loaded(Backing::Memfd, RestoredMemory::Copy));
    lock(&other.kvm.slots).clear();
    other.ram.reset().unwrap();
    assert!(WRITTEN.iter().all(|address| read(&other, *address) == 0));
    other.ram.unback("m", blocks(1..9)).unwrap();
    other.ram.unback("d0", DIMM).unwrap();
    other.assert_agree(&[], &[]);
}

#[test]
fn memory_that_was_changed_is_found_out_when_it_is_read() {
    let mut saved = Saved::of(&filled(Backing::Anon));
    saved.file.write_all_at(b"x", 4096).unwrap();
    let expected = format!("and was {:#010x}", saved.sum);
    let complaint = saved.complaint();
    assert!(complaint.starts_with("the memory was changed: its checksum is 0x"), "{complaint}");
    assert!(complaint.ends_with(&expected), "{complaint}");
    saved.file.write_all_at(b"\0", 4096).unwrap();
    assert_as_filled(&saved.loaded(Backing::Anon, RestoredMemory::Copy));
    // Who has no checksum takes it as it is, and so does who maps it.
    saved.sum ^= 1;
    let bench = bench();
    saved.load_with(&bench.ram, RestoredMemory::Copy, None).unwrap();
    assert_as_filled(&bench);
    assert_as_filled(&saved.loaded(Backing::Anon, RestoredMemory::Map));
}

#[test]
fn memory_that_the_machine_does_not_have_is_refused() {
    let saved = || Saved::of(&filled(Backing::Anon));
    let with = |change: fn(&mut Vec<Piece>)| {
        let mut saved = saved();
        change(&mut saved.pieces);
        saved.complaint()
    };
    assert_eq!(with(|pieces| drop(pieces.remove(0))), "boot RAM is not that of the specification");
    assert_eq!(with(|pieces| pieces[0].range.size -= 4096), "boot RAM is not that of the specification");
    assert_eq!(with(|pieces| pieces[0].owner = "d0".to_owned()), "boot RAM is not that of the specification");
    let outside = with(|pieces| pieces.last_mut().unwrap().range.start = 1 << 40);
    assert_eq!(outside, "no window holds 0x10000000000, 0x8000000 bytes long");
    let beyond = with(|pieces| pieces.last_mut().unwrap().range.size = 1 << 40);
    assert!(beyond.starts_with("no window holds 0x208000000"), "{beyond}");
    let overlapping = with(|pieces| pieces[2].range.start -= BLOCK);
    assert!(
        overlapping.starts_with("memory of \"m\" at 0x") && overlapping.ends_with(" cannot be"),
        "{overlapping}"
    );
}

#[test]
fn memory_that_cannot_begin_as_a_copy_is_not_mapped() {
    let saved = Saved::of(&filled(Backing::Anon));
    let error =
        saved.load(&bench_with(Backing::Memfd, 100).ram, RestoredMemory::Map).unwrap_err().to_string();
    assert!(error.contains("copy"), "{error}");
}

#[test]
fn a_host_that_fails_is_an_error_on_both_ways() {
    let first = filled(Backing::Anon);
    let saved = Saved::of(&first);
    let bench = bench();
    bench.fault("d0", Point::Map, ActionName::Fail);
    let error = saved.load(&bench.ram, RestoredMemory::Copy).unwrap_err().to_string();
    assert_eq!(error, "Map: this step was asked to fail");
    let file = tempfile::tempfile().unwrap();
    let given_up =
        first.ram.save(&saved.pieces, None, &mut memory::into(&file), &|| false, None).unwrap_err();
    assert_eq!(given_up.kind(), io::ErrorKind::Interrupted);
    let elsewhere = [Piece { owner: "m".to_owned(), range: GuestRange::new(2 * GIB, BLOCK) }];
    let error =
        first.ram.save(&elsewhere, None, &mut memory::into(&file), &|| true, None).unwrap_err().to_string();
    assert_eq!(error, "no window holds 0x80000000, 0x200000 bytes long");
    let short = File::open("/dev/null").unwrap();
    assert!(first.ram.save(&saved.pieces, None, &mut memory::into(&short), &|| true, None).is_err());
}
