//! Guest memory that begins as that of a snapshot.

use std::io;
use std::path::PathBuf;

use dimmer_devices::memory::{GuestRange, HostError, HostMemory};
use dimmer_devices::memory_map::MemoryMap;
use vm_memory::{Bytes, GuestAddress};

use super::area::{Area, Purpose};
use super::saved::{addresses, length};
use super::{Ram, host_error};
use crate::snapshot::layers::{Layer, Part};
use crate::snapshot::memory::{Piece, Pieces};
use crate::spec::RestoredMemory;

/// Most parts of files that memory is laid over. Each is a mapping, of which a process has not many
/// (see `OTHER_MAPPINGS`).
const MOST_MAPPED: usize = 256;

/// What is in the memory of a snapshot.
#[derive(Debug)]
pub struct Contents<'a> {
    /// Where the pieces are.
    pub pieces: &'a [Piece],
    /// The files, the one below the others first.
    pub layers: &'a [Layer],
}

/// Memory cannot begin as that of a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", path.display())]
pub struct LoadError {
    /// The file with it.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub error: HostError,
}

impl Ram {
    /// Plugs all pieces of a snapshot, with what is in them. Nothing but boot RAM is plugged, and nobody has looked at that.
    ///
    /// # Errors
    /// [`LoadError`] when the host refuses, when the machine has no such memory, or when what is in it was changed.
    pub fn load(
        &self,
        contents: &Contents<'_>,
        how: RestoredMemory,
        strays: &[u64],
    ) -> Result<(), LoadError> {
        let path = contents.layers.last().map(|layer| layer.path.clone()).unwrap_or_default();
        let places = self.plug(contents.pieces).map_err(|error| LoadError { path, error })?;
        let parts: usize = contents.layers.iter().map(|layer| layer.parts.len()).sum();
        for (index, layer) in contents.layers.iter().enumerate() {
            let done = match how {
                RestoredMemory::Copy => self.read(&places, layer),
                RestoredMemory::Map if parts <= MOST_MAPPED => self.map(&places, layer, &layer.parts),
                RestoredMemory::Map if index == 0 => self.map(&places, layer, &layer.joined()),
                RestoredMemory::Map => self.read_over(&places, layer),
            };
            done.map_err(|error| LoadError { path: layer.path.clone(), error })?;
        }
        self.areas.iter().zip(strays).for_each(|(area, strays)| area.set_strays(*strays));
        Ok(())
    }

    /// Into memory that is all zeroes.
    fn read(&self, places: &Pieces<'_>, layer: &Layer) -> Result<(), HostError> {
        let memory = self.memory();
        let put = |place: u64, bytes: &[u8]| write(&memory, places, place, bytes);
        layer.load(put).map_err(|error| host_error(&error))
    }

    /// Into memory that has something else.
    fn read_over(&self, places: &Pieces<'_>, layer: &Layer) -> Result<(), HostError> {
        let memory = self.memory();
        let put = |place: u64, bytes: &[u8]| write(&memory, places, place, bytes);
        layer.read_all(put).map_err(|error| host_error(&error))
    }

    fn map(&self, places: &Pieces<'_>, layer: &Layer, parts: &[Part]) -> Result<(), HostError> {
        for Part { place, from, size } in parts {
            let mut done = 0;
            while done < *size {
                let found = places.find(place + done, size - done);
                let (owner, range) = found.ok_or_else(|| HostError("no memory is there".to_owned()))?;
                let area = self.area(range)?;
                let bound = area.bound(self.bindings.of(owner, range));
                let mapped = area.mapping.base(&area.part(range), &bound, &layer.file, from + done);
                mapped.map_err(|error| host_error(&error))?;
                done += range.size;
            }
        }
        Ok(())
    }

    /// Backs what is not there yet; what is, must be the same.
    fn plug<'a>(&self, pieces: &'a [Piece]) -> Result<Pieces<'a>, HostError> {
        let places = Pieces::new(pieces).map_err(HostError)?;
        let is_fixed = |piece: &&Piece| self.areas.iter().any(|area| area.is_fixed(piece.range));
        let (fixed, plugged): (Vec<_>, Vec<_>) = pieces.iter().partition(is_fixed);
        if !self.state().pieces.iter().eq(fixed) {
            return Err(HostError("boot RAM is not that of the specification".to_owned()));
        }
        for Piece { owner, range } in plugged {
            self.back(owner, *range)?;
        }
        Ok(places)
    }
}

impl Area {
    /// Whether `range` has a part in it, and it is one that always has memory.
    fn is_fixed(&self, range: GuestRange) -> bool {
        matches!(self.purpose, Purpose::Fixed(_)) && self.range.overlaps(&range)
    }
}

fn write(memory: &MemoryMap, places: &Pieces<'_>, place: u64, bytes: &[u8]) -> io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        let range = addresses(places, place + at as u64, bytes.len() - at)?;
        let part = &bytes[at..at + length(range)];
        memory.write_slice(part, GuestAddress(range.start)).map_err(io::Error::other)?;
        at += length(range);
    }
    Ok(())
}
