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
//!
//! It is written [aside](draft) and put into its place in one step, so that whatever happens meanwhile, what was there before
//! is whole. It is input when it is read: nothing of it is believed before it is checked.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub mod draft;
pub mod image;
pub mod manifest;
pub mod memory;
#[cfg(test)]
pub(crate) mod sample;
pub mod state;
#[cfg(test)]
mod tests;

pub use manifest::Manifest;
pub use state::MachineState;

use draft::Draft;
use manifest::{Contents, sum_of};
use memory::PageSum;
use state::{FilesState, Saved};

const MANIFEST: &str = "manifest.json";
const STATE: &str = "state.json";
const MEMORY: &str = "memory";

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
    /// The files that a reset boots.
    pub files: FilesState,
    /// The state.
    pub state: MachineState,
    /// The memory; its length is right.
    pub memory: File,
    /// The checksum that the memory is to have, if it has one.
    pub memory_sum: Option<u32>,
    /// Where the memory is, for messages.
    pub memory_path: PathBuf,
}

impl Snapshot {
    /// Reads the snapshot in `directory`.
    ///
    /// # Errors
    /// [`SnapshotError`] names the file, and what is wrong with it.
    pub fn open(directory: &Path) -> Result<Self, SnapshotError> {
        let path = directory.join(MANIFEST);
        let manifest = Manifest::parse(&read(&path, LARGEST_MANIFEST)?)
            .map_err(|what| SnapshotError::Content { path, what })?;
        let path = directory.join(STATE);
        let bytes = read(&path, LARGEST_STATE)?;
        let wrong = |path: &Path, what: String| SnapshotError::Content { path: path.to_owned(), what };
        manifest.state.check(sum_of(&bytes)).map_err(|what| wrong(&path, what))?;
        let Saved { files, machine: state } = state::parse(&bytes).map_err(|what| wrong(&path, what))?;
        let memory_path = directory.join(MEMORY);
        let memory = File::open(&memory_path).map_err(at(&memory_path, "open"))?;
        let length = memory.metadata().map_err(at(&memory_path, "look at"))?.len();
        manifest.memory.check_length(length).map_err(|what| wrong(&memory_path, what))?;
        let snapshot = Self::checked(files, state, memory, length, memory_path)?;
        Ok(Self { memory_sum: Some(manifest.memory.crc32), ..snapshot })
    }

    /// A snapshot whose memory has `length` bytes, which are all that its state is about.
    fn checked(
        files: FilesState,
        state: MachineState,
        memory: File,
        length: u64,
        memory_path: PathBuf,
    ) -> Result<Self, SnapshotError> {
        let pieces = memory::Pieces::new(&state.memory.pieces).map(|pieces| pieces.length());
        match pieces {
            Ok(pieces) if pieces == length => {
                Ok(Self { files, state, memory, memory_sum: None, memory_path })
            }
            Ok(pieces) => {
                let what = format!("has {length} bytes, and the state is about {pieces}");
                Err(SnapshotError::Content { path: memory_path, what })
            }
            Err(what) => Err(SnapshotError::Content { path: memory_path, what }),
        }
    }
}

/// Writes a snapshot to `place`: `state`, the marks of its files, and `length` bytes of memory, which `save` writes to an
/// empty file and adds to their checksum.
///
/// # Errors
/// [`SnapshotError`]; what was there before is still there.
pub fn write(
    place: &Path,
    machine: MachineState,
    marks: impl FnOnce() -> io::Result<FilesState>,
    length: u64,
    save: impl FnOnce(&File, Option<&mut PageSum>) -> io::Result<()>,
) -> Result<(), SnapshotError> {
    let draft = Draft::begin(place)?;
    let files = marks().map_err(at(place, "read the files that are booted"))?;
    // Not all paths are text.
    let state =
        serde_json::to_vec(&Saved { files, machine }).map_err(at(place, "write the state as JSON"))?;
    let memory = draft.memory()?;
    memory.set_len(length).map_err(at(place, "make room for the memory"))?;
    let mut sum = PageSum::default();
    save(&memory, Some(&mut sum)).map_err(at(place, "write the memory"))?;
    memory.sync_all().map_err(at(place, "write the memory to disk"))?;
    draft.state(&state)?;
    draft.finish(&Manifest::new(sum_of(&state), Contents { bytes: length, crc32: sum.finish() }))
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
