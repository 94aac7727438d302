//! A machine on disk: all by which its guest could tell it from the one that goes on from there. That one has a
//! generation ID of its own, by which the guest is to tell.
//!
//! A snapshot is a directory:
//!
//! | file | holds |
//! |---|---|
//! | `manifest.json` | [`Manifest`]: format and version, and of the other two the length and a checksum |
//! | `state.json` | [`MachineState`](state::MachineState): specification, vCPUs, interrupt controllers, clock, every device |
//! | `memory` | what is in the memory that is plugged: piece behind piece, pages of zeroes are holes |
//! | `written.json` | of a [difference](chain) to another snapshot alone: which parts of `memory` count; the rest is there |
//!
//! It is written [aside](draft) and put into its place in one step, so that whatever happens meanwhile, what was there before
//! is whole. It is input when it is read: nothing of it is believed before it is checked.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub mod chain;
pub mod draft;
pub mod image;
pub mod layers;
pub mod manifest;
pub mod memory;
mod merge;
pub mod runs;
#[cfg(test)]
pub(crate) mod sample;
pub mod state;
#[cfg(test)]
mod tests;

pub use chain::Origin;
pub use manifest::Manifest;
pub use merge::merge;
pub use state::MachineState;

use chain::{Base, Link};
use draft::Draft;
use layers::{Has, Layer, Part};
use manifest::{Contents, sum_of};
use memory::{PageSum, Put};
use state::{FilesState, Saved};

const MANIFEST: &str = "manifest.json";
const STATE: &str = "state.json";
const MEMORY: &str = "memory";
const WRITTEN: &str = "written.json";

/// Most bytes of a manifest, and of a state: a machine with tens of thousands of runs of plugged blocks has some millions.
const LARGEST_MANIFEST: u64 = 64 << 10;
const LARGEST_STATE: u64 = 256 << 20;

/// A snapshot cannot be written, or not be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The host refused.
    #[error("{}: {step}: {error}", path.display())]
    Host {
        /// Which file or directory.
        path: PathBuf,
        /// What was to be done.
        step: &'static str,
        /// What it said.
        #[source]
        error: io::Error,
    },
    /// The place is taken by something else.
    #[error("{}: {what}", path.display())]
    Place {
        /// The place.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file is not what it has to be.
    #[error("{}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// For `map_err`: names the step with a file that failed.
fn at<E: Into<io::Error>>(path: &Path, step: &'static str) -> impl FnOnce(E) -> SnapshotError {
    move |error| SnapshotError::Host { path: path.to_owned(), step, error: error.into() }
}

/// A snapshot whose state was read and checked.
#[derive(Debug)]
pub struct Snapshot {
    /// Its id, if it has one.
    pub id: Option<String>,
    /// The files that a reset boots.
    pub files: FilesState,
    /// The state.
    pub state: MachineState,
    /// The files with the memory, whose lengths are right; the whole one that the chain begins with comes first.
    pub layers: Vec<Layer>,
}

impl Snapshot {
    /// Reads the snapshot in `directory`, and those that it is a difference to.
    ///
    /// # Errors
    /// [`SnapshotError`] names the file, and what is wrong with it.
    pub fn open(directory: &Path) -> Result<Self, SnapshotError> {
        Self::of(&chain::links(directory)?)
    }

    /// The first one of a chain.
    fn of(links: &[Link]) -> Result<Self, SnapshotError> {
        let opened = links.iter().map(Opened::new).collect::<Result<Vec<_>, _>>()?;
        let has: Vec<_> = opened.iter().map(Opened::has).collect();
        let parts = layers::find(&has).map_err(|what| wrong(&links[0].directory.join(MEMORY), what))?;
        let id = Some(links[0].manifest.id.clone());
        let mut saved = None;
        let mut layers = Vec::new();
        for (one, parts) in opened.into_iter().zip(parts) {
            layers.push(Layer { parts, ..one.layer });
            saved.get_or_insert(one.saved);
        }
        layers.reverse();
        let Saved { files, machine: state } = saved.expect("a chain has one snapshot at least");
        Ok(Self { id, files, state, layers })
    }

    /// A snapshot whose memory is in one file, and has `length` bytes, which are all that its state is about.
    fn whole(saved: Saved, memory: File, length: u64, path: PathBuf) -> Result<Self, SnapshotError> {
        check_length(&saved.machine, length, &path)?;
        let parts = vec![Part { place: 0, from: 0, size: length }];
        let layers = vec![Layer { path, file: Arc::new(memory), length, sum: None, parts }];
        Ok(Self { id: None, files: saved.files, state: saved.machine, layers })
    }
}

/// One snapshot of a chain, checked by itself.
struct Opened {
    saved: Saved,
    runs: Option<Vec<Range<u64>>>,
    layer: Layer,
}

impl Opened {
    fn new(Link { directory, manifest }: &Link) -> Result<Self, SnapshotError> {
        let path = directory.join(STATE);
        let bytes = read(&path, LARGEST_STATE)?;
        manifest.state.check(sum_of(&bytes)).map_err(|what| wrong(&path, what))?;
        let saved = state::parse(&bytes).map_err(|what| wrong(&path, what))?;
        let path = directory.join(MEMORY);
        let file = File::open(&path).map_err(at(&path, "open"))?;
        let length = file.metadata().map_err(at(&path, "look at"))?.len();
        manifest.memory.check_length(length).map_err(|what| wrong(&path, what))?;
        check_length(&saved.machine, length, &path)?;
        let runs = manifest.base.as_ref().map(|base| read_runs(directory, base, length)).transpose()?;
        let (file, sum) = (Arc::new(file), Some(manifest.memory.xxh64));
        Ok(Self { saved, runs, layer: Layer { path, file, length, sum, parts: Vec::new() } })
    }

    fn has(&self) -> Has<'_> {
        Has { pieces: &self.saved.machine.memory.pieces, runs: self.runs.as_deref() }
    }
}

fn read_runs(directory: &Path, base: &Base, length: u64) -> Result<Vec<Range<u64>>, SnapshotError> {
    let path = directory.join(WRITTEN);
    let bytes = read(&path, LARGEST_STATE)?;
    let runs = base.written.check(sum_of(&bytes)).and_then(|()| runs::parse(&bytes, length));
    runs.map_err(|what| wrong(&path, what))
}

/// Complains unless `length` bytes are all the memory that the state is about.
fn check_length(state: &MachineState, length: u64, path: &Path) -> Result<(), SnapshotError> {
    let pieces = memory::Pieces::new(&state.memory.pieces).map(|pieces| pieces.length());
    match pieces {
        Ok(pieces) if pieces == length => Ok(()),
        Ok(pieces) => Err(wrong(path, format!("has {length} bytes, and the state is about {pieces}"))),
        Err(what) => Err(wrong(path, what)),
    }
}

fn wrong(path: &Path, what: String) -> SnapshotError {
    SnapshotError::Content { path: path.to_owned(), what }
}

/// Which snapshot is written.
#[derive(Debug)]
pub struct Which {
    /// Its id.
    pub id: String,
    /// For a difference: to which snapshot, and the runs of places that were written since.
    pub since: Option<(Origin, Vec<Range<u64>>)>,
}

/// Writes a snapshot to `place`: the machine's state, the marks of its files, and its memory, which `save` hands
/// over and adds to its checksum; for a difference only what is in its runs.
///
/// # Errors
/// [`SnapshotError`]; what was there before is still there.
pub fn write(
    place: &Path,
    which: Which,
    machine: MachineState,
    marks: impl FnOnce() -> io::Result<FilesState>,
    save: impl FnOnce(Option<&[Range<u64>]>, Put<'_>, Option<&mut PageSum>) -> io::Result<()>,
) -> Result<(), SnapshotError> {
    let draft = Draft::begin(place)?;
    let files = marks().map_err(at(place, "read the files that are booted"))?;
    let length = machine.memory_length();
    // Not all paths are text.
    let state =
        serde_json::to_vec(&Saved { files, machine }).map_err(at(place, "write the state as JSON"))?;
    let memory = draft.memory()?;
    memory.set_len(length).map_err(at(place, "make room for the memory"))?;
    let mut sum = PageSum::default();
    let runs = which.since.as_ref().map(|(_, runs)| &runs[..]);
    save(runs, &mut memory::into(&memory), Some(&mut sum)).map_err(at(place, "write the memory"))?;
    memory.sync_all().map_err(at(place, "write the memory to disk"))?;
    draft.state(&state)?;
    let base = match &which.since {
        None => None,
        Some((origin, runs)) => {
            let json = runs::to_json(runs);
            draft.written(&json)?;
            let path = chain::path_to(&origin.directory, place)?;
            Some(Base { path, id: origin.id.clone(), written: sum_of(&json) })
        }
    };
    let memory = Contents { bytes: length, xxh64: sum.finish() };
    draft.finish(&Manifest { base, ..Manifest::new(which.id, sum_of(&state), memory) })
}

/// A whole file of at most `most` bytes.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, SnapshotError> {
    let file = File::open(path).map_err(at(path, "open"))?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(at(path, "read"))?;
    if bytes.len() as u64 > most {
        let what = format!("has more than {most} bytes, which no snapshot of a machine has");
        return Err(SnapshotError::Content { path: path.to_owned(), what });
    }
    Ok(bytes)
}
