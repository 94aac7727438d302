//! Snapshots that are written, read, and damaged in between.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use super::manifest::Contents;
use super::memory::{PageSum, Put};
use super::*;

mod chain;
mod parse;

/// A snapshot of the sample in a directory of its own.
struct Written {
    _dir: tempfile::TempDir,
    place: PathBuf,
}

fn marks() -> io::Result<FilesState> {
    Ok(sample::saved().files)
}

/// A whole snapshot.
fn which() -> Which {
    Which { id: "17".to_owned(), since: None }
}

fn save(runs: Option<&[Range<u64>]>, put: Put<'_>, sum: Option<&mut PageSum>) -> io::Result<()> {
    assert_eq!(runs, None);
    sample::save(put, sum)
}

fn written() -> Written {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("snap");
    write(&place, which(), sample::state(), marks, save).unwrap();
    Written { _dir: dir, place }
}

impl Written {
    fn file(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    fn manifest(&self) -> Manifest {
        Manifest::parse(&fs::read(self.file(MANIFEST)).unwrap()).unwrap()
    }

    /// A state whose length and checksum the manifest says.
    fn set_state(&self, state: &[u8]) {
        fs::write(self.file(STATE), state).unwrap();
        self.set_manifest(&Manifest { state: sum_of(state), ..self.manifest() });
    }

    fn set_manifest(&self, manifest: &Manifest) {
        fs::write(self.file(MANIFEST), serde_json::to_vec(manifest).unwrap()).unwrap();
    }

    /// Why it cannot be gone on from, behind the path of the file that is named.
    fn complaint(&self, file: &str) -> String {
        let error = Snapshot::open(&self.place).unwrap_err().to_string();
        let path = format!("{}: ", self.file(file).display());
        error.strip_prefix(&path).unwrap_or_else(|| panic!("{file}: {error}")).to_owned()
    }
}

/// What a state says, to be compared.
fn text(files: &FilesState, machine: &MachineState) -> String {
    serde_json::to_string(&(files, machine)).unwrap()
}

#[test]
fn what_is_written_is_read_again() {
    let written = written();
    let snapshot = Snapshot::open(&written.place).unwrap();
    let expected = sample::saved();
    assert_eq!(text(&snapshot.files, &snapshot.state), text(&expected.files, &expected.machine));
    assert_eq!(snapshot.id.as_deref(), Some("17"));
    let [layer] = &snapshot.layers[..] else { panic!("{snapshot:?}") };
    assert_eq!(layer.path, written.file(MEMORY));
    assert_eq!(layer.sum, Some(written.manifest().memory.xxh64));
    let mut words = Vec::new();
    let loaded = layer.load(|place, page| {
        words.push((place, u64::from_le_bytes(page[..8].try_into().unwrap())));
        Ok(())
    });
    loaded.unwrap();
    assert_eq!(words.first(), Some(&(sample::LENGTH - 8192, sample::LENGTH - 8192)));
}

#[test]
fn what_is_not_there_is_named() {
    for file in [MANIFEST, STATE, MEMORY] {
        let written = written();
        fs::remove_file(written.file(file)).unwrap();
        assert_eq!(written.complaint(file), "open: No such file or directory (os error 2)");
    }
    let written = written();
    let error = Snapshot::open(&written.file("nowhere")).unwrap_err().to_string();
    assert!(
        error.ends_with("/nowhere/manifest.json: open: No such file or directory (os error 2)"),
        "{error}"
    );
    let error = Snapshot::open(&written.file(STATE)).unwrap_err().to_string();
    assert!(error.ends_with("open: Not a directory (os error 20)"), "{error}");
}

#[test]
fn a_manifest_that_is_none_is_told_from_a_snapshot_that_is_not_whole() {
    let written = written();
    let right = written.manifest();
    for (bytes, what) in [(&b""[..], "EOF"), (b"{}", "missing field"), (b"\xff\0", "expected value")] {
        fs::write(written.file(MANIFEST), bytes).unwrap();
        let complaint = written.complaint(MANIFEST);
        assert!(complaint.starts_with("is no manifest of a snapshot: "), "{complaint}");
        assert!(complaint.contains(what), "{complaint}");
    }
    written.set_manifest(&Manifest { dimmer: "0.0.1".to_owned(), ..right.clone() });
    assert!(written.complaint(MANIFEST).starts_with("was written by Dimmer \"0.0.1\""));
    written.set_manifest(&right);
    Snapshot::open(&written.place).unwrap();
}

#[test]
fn files_that_are_too_large_are_not_read() {
    let written = written();
    let grow = |file: &str, length: u64| {
        File::options().write(true).open(written.file(file)).unwrap().set_len(length).unwrap();
    };
    grow(STATE, LARGEST_STATE + 1);
    assert_eq!(written.complaint(STATE), "has more than 268435456 bytes, which no snapshot of a machine has");
    grow(MANIFEST, LARGEST_MANIFEST + 1);
    assert_eq!(written.complaint(MANIFEST), "has more than 65536 bytes, which no snapshot of a machine has");
}

#[test]
fn a_state_that_was_cut_or_changed_is_found_out() {
    let written = written();
    let right = fs::read(written.file(STATE)).unwrap();
    fs::write(written.file(STATE), &right[..right.len() - 1]).unwrap();
    assert!(written.complaint(STATE).ends_with("the snapshot is not whole"));
    let mut other = right.clone();
    other[right.len() / 2] ^= 1;
    fs::write(written.file(STATE), &other).unwrap();
    assert!(written.complaint(STATE).starts_with("was changed: its checksum is 0x"));
    written.set_state(&right);
    Snapshot::open(&written.place).unwrap();
}

#[test]
fn a_state_that_is_none_is_refused_although_its_checksum_is_right() {
    let written = written();
    let with = |change: fn(&mut Saved)| {
        let mut saved = sample::saved();
        change(&mut saved);
        written.set_state(&serde_json::to_vec(&saved).unwrap());
    };
    written.set_state(b"");
    assert!(written.complaint(STATE).starts_with("is no state of a machine: "));
    written.set_state(b"{\"files\":{\"kernel\":5}}");
    let complaint = written.complaint(STATE);
    assert!(complaint.starts_with("is no state of a machine: files.kernel: invalid type"), "{complaint}");
    with(|saved| saved.machine.spec.cpus = 0);
    assert_eq!(written.complaint(STATE), "is about a machine that cannot be: --cpus 0: must be 1 to 254");
    with(|saved| saved.machine.spec.memory.size = 4097);
    let complaint = written.complaint(STATE);
    assert!(complaint.starts_with("is about a machine that cannot be: --memory: size=4097"), "{complaint}");
}

#[test]
fn memory_of_another_length_is_refused_before_it_is_looked_at() {
    let written = written();
    let right = written.manifest();
    let memory = File::options().write(true).open(written.file(MEMORY)).unwrap();
    for length in [0, sample::LENGTH - 1, sample::LENGTH + 4096] {
        memory.set_len(length).unwrap();
        let expected = format!(
            "has {length} bytes, and the manifest says {}: the snapshot is not whole",
            sample::LENGTH
        );
        assert_eq!(written.complaint(MEMORY), expected);
        written.set_manifest(&Manifest { memory: Contents { bytes: length, xxh64: 0 }, ..right.clone() });
        let expected = format!("has {length} bytes, and the state is about {}", sample::LENGTH);
        assert_eq!(written.complaint(MEMORY), expected);
        written.set_manifest(&right);
    }
}

#[test]
fn memory_that_cannot_be_plugged_is_refused() {
    let written = written();
    let mut saved = sample::saved();
    saved.machine.memory.pieces[1].range.start = 0;
    written.set_state(&serde_json::to_vec(&saved).unwrap());
    assert_eq!(written.complaint(MEMORY), "memory of \"d0\" at 0x0 cannot be");
}

#[test]
fn what_is_in_memory_is_looked_at_when_it_is_read() {
    let written = written();
    let memory = File::options().write(true).open(written.file(MEMORY)).unwrap();
    memory.write_all_at(b"x", sample::LENGTH - 1).unwrap();
    let snapshot = Snapshot::open(&written.place).unwrap();
    let changed = snapshot.layers[0].load(|_, _| Ok(())).unwrap_err().to_string();
    assert!(changed.starts_with("the memory was changed: its checksum is 0x"), "{changed}");
}

/// How memory is written.
type Save = fn(Option<&[Range<u64>]>, Put<'_>, Option<&mut PageSum>) -> io::Result<()>;

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_one_before() {
    let written = written();
    let again = |state, marks: fn() -> io::Result<FilesState>, save: Save| {
        write(&written.place, which(), state, marks, save).unwrap_err().to_string()
    };
    let no_kernel = again(sample::state(), || Err(io::ErrorKind::NotFound.into()), save);
    assert!(no_kernel.contains("snap: read the files that are booted: "), "{no_kernel}");
    let given_up = again(sample::state(), marks, |_, _, _| Err(io::ErrorKind::Interrupted.into()));
    assert!(given_up.contains("snap: write the memory: "), "{given_up}");
    let mut odd = sample::state();
    odd.spec.kernel = OsStr::from_bytes(b"/boot/\xff").into();
    let no_text = again(odd, marks, save);
    assert!(no_text.contains("snap: write the state as JSON: path contains invalid UTF-8"), "{no_text}");
    Snapshot::open(&written.place).unwrap();
    assert_eq!(fs::read_dir(written.place.parent().unwrap()).unwrap().count(), 1, "nothing is left aside");
}
