//! Differences and chains of them: written, read, merged, and with a snapshot missing, replaced or forged.

use std::collections::BTreeMap;

use super::super::chain::{MOST, path_to};
use super::super::memory::{PAGE, Put};
use super::*;

/// A directory with snapshots a <- b <- c of the sample's machine, of which each has a byte of its own in its pages.
struct Chain {
    dir: tempfile::TempDir,
}

/// What b and c have: a page at the begin, and across the border of the two pieces.
const B: [Range<u64>; 1] = [Range { start: 0, end: 4096 }];
const C: [Range<u64>; 2] = [8192..12288, sample::LENGTH - 8192..sample::LENGTH];

/// Writes a snapshot with this byte wherever it has something.
fn write_filled(place: &Path, which: Which, byte: u8) {
    let save = |runs: Option<&[Range<u64>]>, put: Put<'_>, sum: Option<&mut PageSum>| {
        let all = Range { start: 0, end: 12288 };
        let parts = runs.unwrap_or(std::slice::from_ref(&all));
        let read = |_, bytes: &mut [u8]| {
            bytes.fill(byte);
            Ok(())
        };
        memory::save(put, parts, read, &|| true, sum)
    };
    write(place, which, sample::state(), marks, save).unwrap();
}

impl Chain {
    fn new() -> Self {
        let chain = Self { dir: tempfile::tempdir().unwrap() };
        write_filled(&chain.at("a"), Which { id: "a".to_owned(), since: None }, 1);
        chain.add("b", "a", &B, 2);
        // A page that c has, and is zero there.
        chain.add("c", "b", &C, 0);
        chain
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn origin(&self, name: &str) -> Origin {
        Origin { directory: self.at(name), id: name.to_owned() }
    }

    fn add(&self, name: &str, base: &str, runs: &[Range<u64>], byte: u8) {
        let which = Which { id: name.to_owned(), since: Some((self.origin(base), runs.to_vec())) };
        write_filled(&self.at(name), which, byte);
    }

    fn complaint(&self, name: &str) -> String {
        Snapshot::open(&self.at(name)).unwrap_err().to_string().replace(&shown(self.dir.path()), "DIR")
    }

    fn set(&self, name: &str, change: impl FnOnce(&mut Manifest)) {
        let path = self.at(name).join(MANIFEST);
        let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The pages of a snapshot's memory that are not zero, each with its byte.
fn content(place: &Path) -> BTreeMap<u64, u8> {
    let mut found = BTreeMap::new();
    for layer in Snapshot::open(place).unwrap().layers {
        let put = |place: u64, bytes: &[u8]| {
            found.extend((place..).step_by(PAGE).zip(bytes.chunks(PAGE).map(|page| page[0])));
            Ok(())
        };
        layer.load(put).unwrap();
    }
    found
}

#[test]
fn each_snapshot_of_a_chain_has_all_of_its_memory() {
    let chain = Chain::new();
    assert_eq!(content(&chain.at("a")), [(0, 1), (4096, 1), (8192, 1)].into());
    assert_eq!(content(&chain.at("b")), [(0, 2), (4096, 1), (8192, 1)].into());
    assert_eq!(content(&chain.at("c")), [(0, 2), (4096, 1)].into());
    let snapshot = Snapshot::open(&chain.at("c")).unwrap();
    assert_eq!(snapshot.id.as_deref(), Some("c"));
    let paths: Vec<_> = snapshot.layers.iter().map(|layer| &layer.path).collect();
    assert!(paths[0].ends_with("a/memory") && paths[2].ends_with("c/memory"), "{paths:?}");
}

#[test]
fn a_base_beside_is_found_wherever_both_are_and_another_where_it_was() {
    let chain = Chain::new();
    let elsewhere = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        fs::rename(chain.at(name), elsewhere.path().join(name)).unwrap();
    }
    assert_eq!(content(&elsewhere.path().join("c")).len(), 2);
    let base = elsewhere.path().canonicalize().unwrap().join("c");
    assert_eq!(path_to(&base, &chain.at("d")).unwrap(), shown(&base));
    assert_eq!(path_to(&base, &elsewhere.path().join("d")).unwrap(), "../c");
    assert!(path_to(&chain.at("a"), &chain.at("d")).unwrap_err().to_string().contains("a: find: No such"));
}

#[test]
fn a_base_that_is_missing_replaced_or_damaged_is_named() {
    let chain = Chain::new();
    chain.set("a", |manifest| manifest.id = "z".to_owned());
    let expected =
        "DIR/c/../b/manifest.json: is a difference to a snapshot that is not at DIR/c/../b/../a any more";
    assert_eq!(chain.complaint("c"), expected);
    fs::remove_dir_all(chain.at("a")).unwrap();
    let expected = "DIR/b/manifest.json: the snapshot that it is a difference to: DIR/b/../a/manifest.json: open: No such \
        file or directory (os error 2)";
    assert_eq!(chain.complaint("b"), expected);
    for (file, what) in [(STATE, "not whole"), (MEMORY, "not whole"), (WRITTEN, "not whole")] {
        let chain = Chain::new();
        File::options().write(true).open(chain.at("b").join(file)).unwrap().set_len(1).unwrap();
        let said = chain.complaint("c");
        assert!(said.starts_with(&format!("DIR/c/../b/{file}: ")) && said.ends_with(what), "{said}");
    }
    let chain = Chain::new();
    let memory = File::options().write(true).open(chain.at("a").join(MEMORY)).unwrap();
    memory.write_all_at(b"x", 100).unwrap();
    let layers = Snapshot::open(&chain.at("c")).unwrap().layers;
    assert!(layers[0].load(|_, _| Ok(())).unwrap_err().to_string().starts_with("the memory was changed"));
    layers[1].load(|_, _| Ok(())).unwrap();
}

#[test]
fn a_chain_without_an_end_and_one_that_is_too_long_are_refused() {
    let chain = Chain::new();
    let base =
        |path: &str, id: &str| Base { path: path.to_owned(), id: id.to_owned(), written: sum_of(b"[]") };
    chain.set("a", |manifest| manifest.base = Some(base("../c", "c")));
    assert!(chain.complaint("c").ends_with("a/manifest.json: is a difference to itself"));
    chain.set("a", |manifest| manifest.base = Some(base(".", "a")));
    assert!(chain.complaint("a").ends_with("a/manifest.json: is a difference to itself"));
    let chain = Chain::new();
    let name = |number: usize| if number == 0 { "a".to_owned() } else { format!("{number}") };
    for number in 1..MOST {
        chain.add(&name(number), &name(number - 1), &B, 3);
    }
    assert_eq!(Snapshot::open(&chain.at(&name(MOST - 1))).unwrap().layers.len(), MOST);
    chain.add(&name(MOST), &name(MOST - 1), &B, 3);
    let said = chain.complaint(&name(MOST));
    assert!(said.ends_with("the chain has more than 64 snapshots: merge some of them"), "{said}");
}

#[test]
fn forged_runs_are_refused_although_their_checksum_is_right() {
    let chain = Chain::new();
    let forge = |json: &str| {
        fs::write(chain.at("b").join(WRITTEN), json).unwrap();
        chain.set("b", |manifest| manifest.base.as_mut().unwrap().written = sum_of(json.as_bytes()));
        chain.complaint("c")
    };
    let beyond = format!("[[{},8192]]", sample::LENGTH - 4096);
    for wrong in ["[[0,1]]", "[[4096,4096],[0,4096]]", "[[18446744073709547520,8192]]", beyond.as_str()] {
        assert!(forge(wrong).ends_with("cannot be"), "{wrong}");
    }
    assert!(forge("{").contains("b/written.json: is no list of runs: "));
    // A base whose memory is not that of a state that could be, or has not what is missing above.
    let mut saved = sample::saved();
    saved.machine.memory.pieces.pop();
    let state = serde_json::to_vec(&saved).unwrap();
    let chain = Chain::new();
    fs::write(chain.at("a").join(STATE), &state).unwrap();
    chain.set("a", |manifest| manifest.state = sum_of(&state));
    let expected = format!("has {} bytes, and the state is about {}", sample::LENGTH, sample::LENGTH - 4096);
    assert!(chain.complaint("b").ends_with(&expected));
    let memory = File::options().write(true).open(chain.at("a").join(MEMORY)).unwrap();
    memory.set_len(sample::LENGTH - 4096).unwrap();
    chain.set("a", |manifest| manifest.memory.bytes = sample::LENGTH - 4096);
    let missing =
        "DIR/b/memory: memory at 0x180000000 is neither in the snapshot nor in what it is a difference to";
    assert_eq!(chain.complaint("b"), missing);
    assert_eq!(content(&chain.at("c")).len(), 2, "c has it itself");
}

#[test]
fn a_chain_is_merged_into_one_snapshot_that_is_the_same() {
    let chain = Chain::new();
    let before = content(&chain.at("c"));
    merge(&chain.at("c"), &chain.at("whole"), None).unwrap();
    let whole = Snapshot::open(&chain.at("whole")).unwrap();
    assert_eq!((whole.layers.len(), whole.id.as_deref()), (1, Some("c")));
    assert_eq!(content(&chain.at("whole")), before);
    let state = |name: &str| fs::read(chain.at(name).join(STATE)).unwrap();
    assert_eq!(state("whole"), state("c"));
    assert!(!chain.at("whole").join(WRITTEN).exists());
    // What is a difference to the one is a difference to the other, which may take its place.
    chain.add("d", "c", &B, 7);
    let expected = content(&chain.at("d"));
    merge(&chain.at("c"), &chain.at("c"), None).unwrap();
    for name in ["a", "b"] {
        fs::remove_dir_all(chain.at(name)).unwrap();
    }
    assert_eq!(content(&chain.at("d")), expected);
    assert_eq!(expected, [(0, 7), (4096, 1)].into());
}

#[test]
fn a_part_of_a_chain_is_merged_into_one_difference() {
    let chain = Chain::new();
    let before = content(&chain.at("c"));
    merge(&chain.at("c"), &chain.at("bc"), Some(&chain.at("a"))).unwrap();
    fs::remove_dir_all(chain.at("b")).unwrap();
    assert_eq!(content(&chain.at("bc")), before);
    let json = fs::read(chain.at("bc").join(WRITTEN)).unwrap();
    assert_eq!(runs::parse(&json, sample::LENGTH).unwrap(), [B[0].clone(), C[0].clone(), C[1].clone()]);
    fs::remove_dir_all(chain.at("a")).unwrap();
    assert!(chain.complaint("bc").contains("a/manifest.json: open: No such file"));
}

#[test]
fn a_merge_that_would_spoil_something_is_refused_and_leaves_nothing() {
    let chain = Chain::new();
    let said = |place: &str, onto: Option<&str>| {
        let onto = onto.map(|onto| chain.at(onto));
        merge(&chain.at("c"), &chain.at(place), onto.as_deref()).unwrap_err().to_string()
    };
    for place in ["a", "b"] {
        assert!(said(place, None).ends_with("is a difference to, or has its memory from"));
    }
    chain.add("d", "c", &B, 7);
    for onto in ["c", "d"] {
        let expected = "is not one of those that the snapshot is a difference to";
        assert!(said("new", Some(onto)).ends_with(expected), "{onto}");
    }
    assert!(said("new", Some("nowhere")).contains("No such file"));
    let memory = File::options().write(true).open(chain.at("b").join(MEMORY)).unwrap();
    memory.write_all_at(b"x", 100).unwrap();
    assert!(said("new", None).contains("b/memory: copy: the memory was changed"));
    let mut names: Vec<_> =
        fs::read_dir(chain.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c", "d"]);
}
