//! Memory that begins as a copy of a file, and what is said to be in memory.

use super::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

const PAGE: u64 = 4096;
/// Where the snapshot's memory begins in its file.
const PLACE: u64 = 3 * MIB;

/// A file that has 1s in its 4th MiB, 2s in its 6th, and nothing else up to its 8th.
fn snapshot() -> File {
    let file = tempfile::tempfile().unwrap();
    file.set_len(8 * MIB).unwrap();
    for (place, byte) in [(PLACE, 1), (5 * MIB, 2)] {
        file.write_all_at(&vec![byte; len(MIB)], place).unwrap();
    }
    file
}

/// An area whose second to sixth MiB begin as what `file` has from [`PLACE`] on.
fn based(file: &File) -> Mapping {
    let mapping = mapping(&spec(Backing::Anon));
    mapping.reveal(&(MIB..6 * MIB), &[]).unwrap();
    mapping.base(&(MIB..6 * MIB), &[], &Arc::new(file.try_clone().unwrap()), PLACE).unwrap();
    mapping
}

fn content(mapping: &Mapping, part: Range<u64>) -> Vec<(u64, u64)> {
    ends(mapping.content(&part).unwrap())
}

/// Whether the file is as it was made.
fn is_as_it_was(file: &File) -> bool {
    let mut bytes = vec![0; len(8 * MIB)];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let of = |mib: usize| match mib {
        3 => 1,
        5 => 2,
        _ => 0,
    };
    bytes.chunks(len(MIB)).enumerate().all(|(mib, bytes)| bytes.iter().all(|byte| *byte == of(mib)))
}

#[test]
fn a_base_is_seen_and_written_privately() {
    let file = snapshot();
    let [one, other] = [based(&file), based(&file)];
    for mapping in [&one, &other] {
        assert_eq!(revealed(mapping), [(MIB, 6 * MIB)]);
        let bytes = [(MIB, 1), (2 * MIB, 0), (3 * MIB, 2), (4 * MIB, 0), (5 * MIB, 0)];
        assert!(bytes.iter().all(|(start, byte)| reads_as(mapping, *start..start + MIB, *byte)));
    }
    fill(&one, 2 * MIB - PAGE..2 * MIB + PAGE, 7);
    assert!(reads_as(&one, 2 * MIB - PAGE..2 * MIB + PAGE, 7));
    assert!(reads_as(&one, MIB..2 * MIB - PAGE, 1), "what lies beside it stays");
    assert!(reads_as(&other, MIB..2 * MIB, 1) && reads_as(&other, 2 * MIB..3 * MIB, 0));
    assert!(is_as_it_was(&file));
}

#[test]
fn what_is_given_back_is_no_copy_any_more() {
    let file = snapshot();
    let mapping = based(&file);
    // From the middle of one part with data to the middle of the other.
    let gone = MIB + MIB / 2..3 * MIB + MIB / 2;
    mapping.conceal(&gone).unwrap();
    assert_eq!(revealed(&mapping), [(MIB, gone.start), (gone.end, 6 * MIB)]);
    mapping.reveal(&gone, &[]).unwrap();
    assert_eq!(content(&mapping, MIB..6 * MIB), [(MIB, gone.start), (gone.end, 4 * MIB)]);
    assert!(reads_as(&mapping, gone.clone(), 0), "old content came back");
    assert!(reads_as(&mapping, MIB..gone.start, 1) && reads_as(&mapping, gone.end..4 * MIB, 2));
    mapping.conceal(&(0..AREA)).unwrap();
    mapping.reveal(&(0..AREA), &[]).unwrap();
    assert_eq!(content(&mapping, 0..AREA), []);
    assert!(is_as_it_was(&file));
}

#[test]
fn the_content_is_the_data_of_the_base_and_what_was_written() {
    let file = snapshot();
    let mapping = based(&file);
    let data = [(MIB, 2 * MIB), (3 * MIB, 4 * MIB)];
    assert_eq!(content(&mapping, MIB..6 * MIB), data);
    assert_eq!(
        content(&mapping, MIB + PAGE..3 * MIB + PAGE),
        [(MIB + PAGE, 2 * MIB), (3 * MIB, 3 * MIB + PAGE)]
    );
    assert_eq!(content(&mapping, 4 * MIB..6 * MIB), []);
    fill(&mapping, 5 * MIB..5 * MIB + PAGE, 7);
    fill(&mapping, 2 * MIB..2 * MIB + 1, 7);
    fill(&mapping, MIB..MIB + PAGE, 7);
    let expected = [(MIB, 2 * MIB + PAGE), (3 * MIB, 4 * MIB), (5 * MIB, 5 * MIB + PAGE)];
    assert_eq!(content(&mapping, MIB..6 * MIB), expected);
}

#[test]
fn the_content_of_memory_is_what_was_touched() {
    each_backing(|backing| {
        let mapping = mapping(&spec(backing.clone()));
        mapping.reveal(&(0..AREA), &[]).unwrap();
        assert_eq!(content(&mapping, 0..AREA), [], "{backing:?}");
        fill(&mapping, PAGE..PAGE + 1, 7);
        fill(&mapping, 8 * MIB..9 * MIB, 7);
        fill(&mapping, AREA - 1..AREA, 7);
        let expected = [(PAGE, 2 * PAGE), (8 * MIB, 9 * MIB), (AREA - PAGE, AREA)];
        assert_eq!(content(&mapping, 0..AREA), expected, "{backing:?}");
        assert_eq!(
            content(&mapping, 8 * MIB + PAGE..AREA - PAGE),
            [(8 * MIB + PAGE, 9 * MIB)],
            "{backing:?}"
        );
        mapping.conceal(&(8 * MIB..AREA)).unwrap();
        mapping.reveal(&(8 * MIB..AREA), &[]).unwrap();
        assert_eq!(content(&mapping, 0..AREA), [(PAGE, 2 * PAGE)], "{backing:?}");
    });
}

#[test]
fn each_area_of_one_file_has_its_own_content() {
    let dir = tempfile::tempdir().unwrap();
    let spec = spec(Backing::File(dir.path().join("ram")));
    let mut stores = Stores::open(&spec.backing).unwrap();
    let [first, second] = [0, 1].map(|_| Mapping::new(AREA, stores.next(AREA).unwrap(), &spec).unwrap());
    second.reveal(&(0..AREA), &[]).unwrap();
    fill(&second, MIB..2 * MIB, 7);
    assert_eq!((content(&first, 0..AREA), content(&second, 0..AREA)), (vec![], vec![(MIB, 2 * MIB)]));
}

#[test]
fn only_anonymous_memory_that_is_taken_when_it_is_touched_can_begin_as_a_copy() {
    let file = Arc::new(snapshot());
    let anonymous = spec(Backing::Anon);
    for wrong in [
        spec(Backing::Memfd),
        MappingSpec { prealloc: true, ..anonymous.clone() },
        MappingSpec { reserve: true, ..anonymous },
    ] {
        let mapping = mapping(&wrong);
        mapping.reveal(&(0..MIB), &[]).unwrap();
        let error = mapping.base(&(0..MIB), &[], &file, PLACE).unwrap_err();
        assert!(matches!(error, MappingError::NoBase), "{wrong:?}: {error:?}");
        assert!(reads_as(&mapping, 0..MIB, 0), "{wrong:?}");
    }
}

#[test]
fn a_base_outlives_whoever_gave_it() {
    let mapping = based(&snapshot());
    assert!(reads_as(&mapping, 3 * MIB..4 * MIB, 2));
    assert_eq!(content(&mapping, 2 * MIB..5 * MIB), [(3 * MIB, 4 * MIB)]);
}

/// Mappings of an area, and how many of them lie over a file.
fn mappings(mapping: &Mapping) -> (usize, usize) {
    let (start, end) = (mapping.start.addr() as u64, mapping.start.addr() as u64 + mapping.size);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let lines = maps.lines().filter(|line| {
        let first = u64::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        (start..end).contains(&first)
    });
    lines.fold((0, 0), |(all, files), line| {
        let inode = line.split_whitespace().nth(4).unwrap();
        (all + 1, files + usize::from(inode != "0"))
    })
}

/// An area of so many bytes over a file with a page of 1s in every fourth MiB, which it takes in such parts.
fn scattered(size: u64, part: u64) -> (Mapping, impl Iterator<Item = Range<u64>>) {
    let file = tempfile::tempfile().unwrap();
    file.set_len(size).unwrap();
    let pages = || (0..size / (4 * MIB)).map(|at| at * 4 * MIB + MIB..at * 4 * MIB + MIB + PAGE);
    pages().for_each(|page| file.write_all_at(&vec![1; len(PAGE)], page.start).unwrap());
    let file = Arc::new(file);
    let spec = spec(Backing::Anon);
    let mapping =
        Mapping::new(size, Stores::open(&spec.backing).unwrap().next(size).unwrap(), &spec).unwrap();
    for start in (0..size).step_by(len(part)) {
        mapping.reveal(&(start..start + part), &[]).unwrap();
        mapping.base(&(start..start + part), &[], &file, start).unwrap();
    }
    (mapping, pages())
}

#[test]
fn only_what_the_file_has_lies_over_it() {
    let mapping = based(&snapshot());
    // Huge pages of the area: its first and second MiB, of which the first is bare; then its third and fourth.
    assert_eq!(mappings(&mapping).1, 1, "the last two MiB are memory like any other");
    let (mapping, pages) = scattered(1024 * MIB, 1024 * MIB);
    assert_eq!(mappings(&mapping), (512, 256));
    assert!(pages.into_iter().all(|page| reads_as(&mapping, page, 1)));
}

#[test]
fn data_in_many_places_does_not_take_all_mappings_of_the_process() {
    // The first 8 of 32 parts have 32 runs each, which are all that there may be; the others lie over the file as a whole.
    let (mapping, mut pages) = scattered(4096 * MIB, 128 * MIB);
    let (all, files) = mappings(&mapping);
    assert!(all <= 2 * 256 + 1 && files <= 256 + 1, "{all} mappings, {files} of files");
    assert!(
        pages
            .all(|page| reads_as(&mapping, page.clone(), 1)
                && reads_as(&mapping, page.end..page.end + PAGE, 0))
    );
}

#[test]
fn what_is_given_up_over_a_file_reads_as_the_file_or_is_cut_out() {
    let file = snapshot();
    let mapping = based(&file);
    fill(&mapping, MIB..4 * MIB, 7);
    let part = MIB..MIB + PAGE;
    assert_eq!(mapping.release(&part, &[], Afterwards::Anything).unwrap(), PAGE);
    assert!(reads_as(&mapping, part, 1), "the file's again");
    let part = MIB + 2 * PAGE..MIB + 3 * PAGE;
    assert_eq!(mapping.release(&part, &[], Afterwards::ZeroesOrSame).unwrap(), PAGE);
    assert!(reads_as(&mapping, part.clone(), 0), "nothing of the file comes back");
    assert!(reads_as(&mapping, MIB + PAGE..part.start, 7) && reads_as(&mapping, part.end..4 * MIB, 7));
    fill(&mapping, part.clone(), 9);
    assert_eq!(mapping.release(&part, &[], Afterwards::Anything).unwrap(), PAGE);
    assert!(reads_as(&mapping, part, 0), "it lies over no file any more");
    assert_eq!(revealed(&mapping), [(MIB, 6 * MIB)]);
    assert!(is_as_it_was(&file));
}

#[test]
fn pieces_of_a_file_are_cut_out_only_as_long_as_they_are_few() {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&vec![1; len(AREA)], 0).unwrap();
    let mapping = mapping(&spec(Backing::Anon));
    mapping.reveal(&(0..AREA), &[]).unwrap();
    mapping.base(&(0..AREA), &[], &Arc::new(file), 0).unwrap();
    let pages = (0..AREA).step_by(len(2 * PAGE)).map(|at| at..at + PAGE);
    let given = pages.map(|page| mapping.release(&page, &[], Afterwards::ZeroesOrSame).unwrap());
    let given: Vec<_> = given.collect();
    let cut = given.iter().take_while(|size| **size == PAGE).count();
    assert!((512..2048).contains(&cut), "{cut} pieces");
    assert!(given[cut..].iter().all(|size| *size == 0));
    assert!(reads_as(&mapping, AREA - 2 * PAGE..AREA, 1), "what stays is as it was");
}
