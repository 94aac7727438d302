//! One snapshot out of a chain: a whole one, or a difference to a snapshot further down. It is the same moment of the same
//! machine and keeps its id, so what is a difference to the one is a difference to the other.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::chain::{self, Base, Link};
use super::draft::Draft;
use super::layers::Layer;
use super::manifest::{Contents, sum_of};
use super::{LARGEST_STATE, MANIFEST, Manifest, STATE, Snapshot, SnapshotError, at, memory, read, runs};

/// Merges the chain of the snapshot in `directory` into one snapshot at `place`; those of the chain stay as they are. With
/// `onto` it is a difference to that one, which is in the chain.
///
/// # Errors
/// [`SnapshotError`]; what was at `place` before is still there.
pub fn merge(directory: &Path, place: &Path, onto: Option<&Path>) -> Result<(), SnapshotError> {
    let links = chain::links(directory)?;
    chain::check_place(place, &links[1..])?;
    let snapshot = Snapshot::of(&links)?;
    let length = snapshot.state.memory_length();
    let above = onto.map_or(Ok(links.len()), |onto| place_in(&links, onto))?;
    let top = &links[0];
    let path = top.directory.join(STATE);
    let state = read(&path, LARGEST_STATE)?;
    top.manifest
        .state
        .check(sum_of(&state))
        .map_err(|what| SnapshotError::Content { path: path.clone(), what })?;
    let draft = Draft::begin(place)?;
    let mut layers: Vec<_> = snapshot.layers;
    // The one below the others comes first here.
    let layers = layers.split_off(layers.len() - above);
    let xxh64 = copy(&draft, &layers, length)?;
    draft.state(&state)?;
    let base = match links.get(above) {
        None => None,
        Some(below) => {
            let json = runs::to_json(&places(&layers));
            draft.written(&json)?;
            let path = chain::path_to(&below.directory, place)?;
            Some(Base { path, id: below.manifest.id.clone(), written: sum_of(&json) })
        }
    };
    let memory = Contents { bytes: length, xxh64 };
    let id = top.manifest.id.clone();
    draft.finish(&Manifest { base, ..Manifest::new(id, sum_of(&state), memory) })
}

/// How many snapshots of the chain are above `onto`.
fn place_in(links: &[Link], onto: &Path) -> Result<usize, SnapshotError> {
    let id = chain::manifest(onto)?.id;
    let found = links.iter().position(|link| link.manifest.id == id).filter(|above| *above > 0);
    found.ok_or_else(|| SnapshotError::Content {
        path: onto.join(MANIFEST),
        what: "is not one of those that the snapshot is a difference to".to_owned(),
    })
}

/// The places in the machine's memory that `layers` have: ascending and apart.
fn places(layers: &[Layer]) -> Vec<Range<u64>> {
    let mut all: Vec<_> = layers.iter().flat_map(|layer| &layer.parts).collect();
    all.sort_unstable_by_key(|part| part.place);
    let mut places = Vec::new();
    all.iter().for_each(|part| runs::push(&mut places, part.place..part.place + part.size));
    places
}

/// Writes what `layers` have to the draft's memory file; returns its checksum.
fn copy(draft: &Draft, layers: &[Layer], length: u64) -> Result<u64, SnapshotError> {
    let file = draft.memory()?;
    let path = draft.memory_path();
    file.set_len(length).map_err(at(&path, "make room for the memory"))?;
    for layer in layers {
        let put = |place: u64, bytes: &[u8]| file.write_all_at(bytes, place);
        layer.load(put).map_err(at(&layer.path, "copy"))?;
    }
    // What was written is what is read again, or the checksum is right for neither.
    let sum = || -> io::Result<u64> {
        file.sync_all()?;
        memory::load(&fs::File::open(&path)?, length, |_, _| Ok(()))
    };
    sum().map_err(at(&path, "write to disk"))
}
