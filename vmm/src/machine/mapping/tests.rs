//! Mappings of each backing: what is revealed, concealed and given back.

use super::*;
use crate::spec::Backing;
use dimmer_devices::memory::Afterwards;
use std::os::fd::AsFd;

mod base;

const AREA: u64 = 16 * MIB;

fn spec(backing: Backing) -> MappingSpec {
    MappingSpec { backing, prealloc: false, thp: false, reserve: false }
}

fn mapping(spec: &MappingSpec) -> Mapping {
    let store = Stores::open(&spec.backing).unwrap().next(AREA).unwrap();
    Mapping::new(AREA, store, spec).unwrap()
}

/// First byte and first byte behind it of each part.
fn ends(parts: Vec<Range<u64>>) -> Vec<(u64, u64)> {
    parts.into_iter().map(|part| (part.start, part.end)).collect()
}

fn revealed(mapping: &Mapping) -> Vec<(u64, u64)> {
    ends(mapping.revealed(&maps::reachable().unwrap()))
}

fn allocated(mapping: &Mapping) -> Vec<(u64, u64)> {
    ends(mapping.allocated().unwrap())
}

fn fill(mapping: &Mapping, part: Range<u64>, byte: u8) {
    // SAFETY: the caller has revealed the part, and nobody else uses it.
    unsafe { mapping.address(part.start).write_bytes(byte, len(part.end - part.start)) };
}

fn reads_as(mapping: &Mapping, part: Range<u64>, byte: u8) -> bool {
    let bytes = ptr::slice_from_raw_parts(mapping.address(part.start), len(part.end - part.start));
    // SAFETY: the caller has revealed the part, and nobody writes to it meanwhile.
    unsafe { &*bytes }.iter().all(|found| *found == byte)
}

/// Every backing that needs nothing of the host, in turn.
fn each_backing(test: impl Fn(Backing)) {
    let dir = tempfile::tempdir().unwrap();
    for backing in [
        Backing::Anon,
        Backing::Memfd,
        Backing::File(dir.path().to_owned()),
        Backing::File(dir.path().join("ram")),
    ] {
        test(backing);
    }
}

#[test]
fn memory_comes_and_goes_in_any_part_of_an_area() {
    each_backing(|backing| {
        let mapping = mapping(&spec(backing.clone()));
        assert_eq!(revealed(&mapping), [], "{backing:?}");
        mapping.reveal(&(2 * MIB..6 * MIB), &[]).unwrap();
        mapping.reveal(&(6 * MIB..8 * MIB), &[]).unwrap();
        assert!(reads_as(&mapping, 2 * MIB..8 * MIB, 0), "{backing:?}");
        fill(&mapping, 2 * MIB..8 * MIB, 7);
        assert_eq!(revealed(&mapping), [(2 * MIB, 8 * MIB)], "{backing:?}");
        // A part of what came at once, and parts of what came apart.
        mapping.conceal(&(4 * MIB..7 * MIB)).unwrap();
        assert_eq!(revealed(&mapping), [(2 * MIB, 4 * MIB), (7 * MIB, 8 * MIB)], "{backing:?}");
        assert!(reads_as(&mapping, 2 * MIB..4 * MIB, 7), "{backing:?}");
        mapping.reveal(&(4 * MIB..7 * MIB), &[]).unwrap();
        assert!(reads_as(&mapping, 4 * MIB..7 * MIB, 0), "{backing:?}: old content came back");
        assert!(reads_as(&mapping, 7 * MIB..8 * MIB, 7), "{backing:?}");
    });
}

#[test]
fn a_file_keeps_nothing_of_what_was_given_back() {
    each_backing(|backing| {
        if backing == Backing::Anon {
            return;
        }
        let mapping = mapping(&spec(backing.clone()));
        mapping.reveal(&(0..8 * MIB), &[]).unwrap();
        assert_eq!(allocated(&mapping), [], "{backing:?}");
        fill(&mapping, 0..8 * MIB, 7);
        assert_eq!(allocated(&mapping), [(0, 8 * MIB)], "{backing:?}");
        mapping.conceal(&(2 * MIB..4 * MIB)).unwrap();
        assert_eq!(allocated(&mapping), [(0, 2 * MIB), (4 * MIB, 8 * MIB)], "{backing:?}");
    });
}

#[test]
fn what_is_given_up_reads_as_zeroes_and_is_not_the_hosts_any_more() {
    each_backing(|backing| {
        let mapping = mapping(&spec(backing.clone()));
        mapping.reveal(&(0..8 * MIB), &[]).unwrap();
        fill(&mapping, 0..8 * MIB, 7);
        assert_eq!(mapping.release(&(MIB..3 * MIB), &[], Afterwards::ZeroesOrSame).unwrap(), 2 * MIB);
        let left = ends(mapping.content(&(0..8 * MIB)).unwrap());
        assert_eq!(left, [(0, MIB), (3 * MIB, 8 * MIB)], "{backing:?}");
        assert_eq!(revealed(&mapping), [(0, 8 * MIB)], "{backing:?}");
        assert!(reads_as(&mapping, MIB..3 * MIB, 0) && reads_as(&mapping, 3 * MIB..8 * MIB, 7));
        fill(&mapping, MIB..3 * MIB, 9);
        assert!(reads_as(&mapping, MIB..3 * MIB, 9));
    });
}

#[test]
fn what_was_set_aside_in_a_file_stays() {
    let mapping = mapping(&MappingSpec { reserve: true, ..spec(Backing::Memfd) });
    mapping.reveal(&(0..4 * MIB), &[]).unwrap();
    fill(&mapping, 0..4 * MIB, 7);
    assert_eq!(mapping.release(&(MIB..2 * MIB), &[], Afterwards::Anything).unwrap(), 0);
    assert!(reads_as(&mapping, 0..4 * MIB, 7));
    assert_eq!(allocated(&mapping), [(0, 4 * MIB)]);
}

#[test]
fn a_tebibyte_of_address_space_costs_nothing() {
    for backing in [Backing::Anon, Backing::Memfd, Backing::Hugetlb(2 * MIB)] {
        let size = 1 << 40;
        let store = Stores::open(&backing).unwrap().next(size).unwrap();
        let mapping = Mapping::new(size, store, &spec(backing)).unwrap();
        assert_eq!((revealed(&mapping), mapping.allocated().unwrap()), (vec![], vec![]));
    }
}

#[test]
fn populated_memory_is_there_before_it_is_touched() {
    let mapping = mapping(&MappingSpec { prealloc: true, ..spec(Backing::Memfd) });
    mapping.reveal(&(4 * MIB..6 * MIB), &[]).unwrap();
    assert_eq!(allocated(&mapping), [(4 * MIB, 6 * MIB)]);
}

#[test]
fn reserved_memory_is_set_aside_before_it_is_touched() {
    let blocks = |mapping: &Mapping| {
        let Store::File { file, .. } = &mapping.store else { unreachable!("a memfd is a file") };
        u64::try_from(rustix::fs::fstat(file.as_fd()).unwrap().st_blocks).unwrap() * 512
    };
    let mapping = mapping(&MappingSpec { reserve: true, ..spec(Backing::Memfd) });
    assert_eq!(blocks(&mapping), 0);
    mapping.reveal(&(3 * MIB..8 * MIB), &[]).unwrap();
    assert_eq!(blocks(&mapping), 5 * MIB);
    mapping.conceal(&(3 * MIB..8 * MIB)).unwrap();
    assert_eq!(blocks(&mapping), 0);
}

#[test]
fn a_shortage_of_huge_pages_is_an_error_and_leaves_nothing() {
    // More than any host that runs this test has.
    let size = 1 << 46;
    let spec = spec(Backing::Hugetlb(2 * MIB));
    let mapping = Mapping::new(size, Store::Huge(2 * MIB), &spec).unwrap();
    let error = mapping.reveal(&(0..size), &[]).unwrap_err();
    assert!(matches!(error, MappingError::HugePages(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("the host cannot give 33554432 huge pages of 2 MiB (64 TiB): "), "{text}");
    assert_eq!(revealed(&mapping), []);
}

#[test]
fn memory_comes_in_whole_pages() {
    let huge = Mapping::new(AREA, Store::Huge(2 * MIB), &spec(Backing::Hugetlb(2 * MIB))).unwrap();
    for part in [0..MIB, MIB..3 * MIB, 2 * MIB..2 * MIB] {
        let error = huge.reveal(&part, &[]).unwrap_err();
        assert!(matches!(error, MappingError::Unaligned { .. }), "{part:x?}: {error:?}");
    }
    let error = mapping(&spec(Backing::Anon)).reveal(&(0..100), &[]).unwrap_err().to_string();
    assert_eq!(error, "0x0, 100 bytes long: guest memory from pages of 4 KiB must be a multiple of that");
}

#[test]
fn huge_pages_of_a_gibibyte_find_aligned_addresses() {
    let spec = spec(Backing::Hugetlb(1 << 30));
    let mapping = Mapping::new(4 << 30, Store::Huge(1 << 30), &spec).unwrap();
    assert!(mapping.address(0).addr().is_multiple_of(1 << 30));
}

#[test]
fn memory_that_cannot_be_bound_is_given_back() {
    each_backing(|backing| {
        let mapping = mapping(&spec(backing));
        let bound = Bound { part: 0..2 * MIB, nodes: vec![1023] };
        let error = mapping.reveal(&(0..4 * MIB), &[bound]).unwrap_err().to_string();
        assert!(error.starts_with("cannot bind to host nodes 2 MiB of host memory: "), "{error}");
        assert_eq!(revealed(&mapping), []);
    });
}

#[test]
fn areas_of_one_file_lie_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ram");
    std::fs::write(&path, "what was there before is gone").unwrap();
    let spec = spec(Backing::File(path.clone()));
    let mut stores = Stores::open(&spec.backing).unwrap();
    let [first, second] = [0, 1].map(|_| Mapping::new(AREA, stores.next(AREA).unwrap(), &spec).unwrap());
    for (mapping, byte) in [(&first, 1), (&second, 2)] {
        mapping.reveal(&(0..4096), &[]).unwrap();
        assert!(reads_as(mapping, 0..4096, 0));
        fill(mapping, 0..4096, byte);
    }
    assert_eq!((allocated(&first), allocated(&second)), (vec![(0, 4096)], vec![(0, 4096)]));
    let file = std::fs::read(&path).unwrap();
    assert_eq!((file.len() as u64, file[0], file[len(AREA)]), (2 * AREA, 1, 2));
}

#[test]
fn a_file_is_for_one_machine() {
    let dir = tempfile::tempdir().unwrap();
    let backing = Backing::File(dir.path().join("ram"));
    let first = Stores::open(&backing).unwrap();
    let error = Stores::open(&backing).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error:?}");
    drop(first);
    Stores::open(&backing).unwrap();
}

#[test]
fn only_files_and_directories_hold_memory() {
    let error = Stores::open(&Backing::File("/dev/null".into())).unwrap_err().to_string();
    assert_eq!(error, "--memory path=/dev/null: must be a directory or a regular file");
    let error = Stores::open(&Backing::File("/no/such/place".into())).unwrap_err().to_string();
    assert!(error.starts_with("--memory path=/no/such/place: open: No such file"), "{error}");
    let error = Stores::open(&Backing::File("/proc".into())).unwrap().next(AREA).unwrap_err().to_string();
    assert!(error.starts_with("--memory path=/proc: make an unnamed file: "), "{error}");
}
