//! Guest memory in a snapshot: which pieces there are, what is in them, and how they come back.

use std::fs::File;
use std::io;
use std::ops::Range;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::{GuestRange, HostError, HostMemory};
use dimmer_devices::written::MemoryMap;
use vm_memory::{Bytes, GuestAddress};

use super::area::{Area, Purpose};
use super::{Ram, host_error};
use crate::snapshot::memory::{self, GoOn, PageSum, Piece, Pieces};
use crate::snapshot::state::MemoryState;
use crate::spec::RestoredMemory;

/// What is in the memory of a snapshot.
#[derive(Debug)]
pub struct Contents<'a> {
    /// Where the pieces are.
    pub pieces: &'a [Piece],
    /// The file.
    pub file: &'a File,
    /// The checksum that it is to have, if there is one, where all of it is read.
    pub sum: Option<u32>,
}

impl Ram {
    /// What is plugged, and accesses to what is not.
    pub fn state(&self) -> MemoryState {
        let piece = |range, owner: &str| Piece { owner: owner.to_owned(), range };
        let state = lock(&self.state);
        MemoryState {
            pieces: state.slots.iter().map(|slot| piece(slot.range, &slot.owner)).collect(),
            strays: self.areas.iter().map(Area::strays).collect(),
        }
    }

    /// Writes what is in `pieces`, all that is plugged, to an empty file of their length, and adds it to `sum`. No vCPU runs,
    ///  no device has anything to do, and nothing is plugged or unplugged meanwhile.
    ///
    /// # Errors
    /// What the host says; `Interrupted` when it is not to go on.
    pub fn save(
        &self,
        pieces: &[Piece],
        file: &File,
        go_on: GoOn<'_>,
        sum: Option<&mut PageSum>,
    ) -> io::Result<()> {
        let places = Pieces::new(pieces).map_err(io::Error::other)?;
        let mut parts: Vec<Range<u64>> = Vec::new();
        for (place, piece) in places.iter() {
            let area = self.area(piece.range).map_err(io::Error::other)?;
            let part = area.part(piece.range);
            let content = area.mapping.content(&part)?;
            let place = |at: u64| at - part.start + place;
            parts.extend(content.into_iter().map(|content| place(content.start)..place(content.end)));
        }
        let memory = self.memory();
        memory::save(file, &parts, |place, bytes| read(&memory, &places, place, bytes), go_on, sum)
    }

    /// Plugs all pieces of a snapshot, with what is in them. Nothing but boot RAM is plugged, and nobody has looked at that.
    ///
    /// # Errors
    /// [`HostError`] when the host refuses, when the machine has no such memory, or when what is in it was changed.
    pub fn load(
        &self,
        contents: &Contents<'_>,
        how: RestoredMemory,
        strays: &[u64],
    ) -> Result<(), HostError> {
        let places = Pieces::new(contents.pieces).map_err(HostError)?;
        self.plug(contents.pieces)?;
        match how {
            RestoredMemory::Map => {
                for (place, Piece { owner, range }) in places.iter() {
                    let area = self.area(*range)?;
                    let bound = area.bound(self.bindings.of(owner, *range));
                    let mapped = area.mapping.base(&area.part(*range), &bound, contents.file, place);
                    mapped.map_err(|error| host_error(&error))?;
                }
            }
            RestoredMemory::Copy => {
                let memory = self.memory();
                let put = |place: u64, bytes: &[u8]| write(&memory, &places, place, bytes);
                let sum =
                    memory::load(contents.file, places.length(), put).map_err(|error| host_error(&error))?;
                if let Some(wanted) = contents.sum.filter(|wanted| *wanted != sum) {
                    return Err(HostError(format!(
                        "the memory was changed: its checksum is {sum:#010x}, and was {wanted:#010x}"
                    )));
                }
            }
        }
        self.areas.iter().zip(strays).for_each(|(area, strays)| area.set_strays(*strays));
        Ok(())
    }

    /// Backs what is not there yet; what is, must be the same.
    fn plug(&self, pieces: &[Piece]) -> Result<(), HostError> {
        let is_fixed = |piece: &&Piece| self.areas.iter().any(|area| area.is_fixed(piece.range));
        let (fixed, plugged): (Vec<_>, Vec<_>) = pieces.iter().partition(is_fixed);
        if !self.state().pieces.iter().eq(fixed) {
            return Err(HostError("boot RAM is not that of the specification".to_owned()));
        }
        for Piece { owner, range } in plugged {
            self.back(owner, *range)?;
        }
        Ok(())
    }
}

impl Area {
    /// Whether `range` has a part in it, and it is one that always has memory.
    fn is_fixed(&self, range: GuestRange) -> bool {
        matches!(self.purpose, Purpose::Fixed(_)) && self.range.overlaps(&range)
    }
}

fn read(memory: &MemoryMap, places: &Pieces<'_>, place: u64, bytes: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        let range = addresses(places, place + at as u64, bytes.len() - at)?;
        let part = &mut bytes[at..at + length(range)];
        memory.read_slice(part, GuestAddress(range.start)).map_err(io::Error::other)?;
        at += length(range);
    }
    Ok(())
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

fn addresses(places: &Pieces<'_>, place: u64, most: usize) -> io::Result<GuestRange> {
    places.addresses(place, most as u64).ok_or_else(|| io::Error::other("no memory is there"))
}

fn length(range: GuestRange) -> usize {
    usize::try_from(range.size).expect("no more than the bytes that were asked for")
}
