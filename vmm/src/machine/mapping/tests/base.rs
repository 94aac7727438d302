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
