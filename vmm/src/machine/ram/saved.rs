//! Guest memory in a snapshot: which pieces there are, and what is in them.

use std::io;
use std::ops::Range;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::GuestRange;
use dimmer_devices::memory_map::MemoryMap;
use vm_memory::{Bytes, GuestAddress};

use super::Ram;
use super::area::{Area, Keeping};
use crate::snapshot::memory::{self, GoOn, PageSum, Piece, Pieces, Put};
use crate::snapshot::runs;
use crate::snapshot::state::MemoryState;

impl Ram {
    /// What is plugged, but for persistent memory, and accesses to what is not.
    pub fn state(&self) -> MemoryState {
        let piece = |range, owner: &str| Piece { owner: owner.to_owned(), range };
        let state = lock(&self.state);
        // What is in a file of its own stays there.
        let kept = self.areas.iter().filter(|area| area.purpose.keeping() != Keeping::Ram);
        let kept: Vec<_> = kept.map(|area| area.range).collect();
        let slots = state.slots.iter().filter(|slot| !kept.iter().any(|range| range.contains(&slot.range)));
        MemoryState {
            pieces: slots.map(|slot| piece(slot.range, &slot.owner)).collect(),
            strays: self.areas.iter().map(Area::strays).collect(),
        }
    }

    /// Hands what is in `pieces`, all that is plugged, to `put`, and adds it to `sum`; if there are `runs` of places in the file,
    /// only what is there. No vCPU runs, no device has anything to do, and nothing is plugged or
    /// unplugged meanwhile.
    ///
    /// # Errors
    /// What the host says; `Interrupted` when it is not to go on.
    pub fn save(
        &self,
        pieces: &[Piece],
        runs: Option<&[Range<u64>]>,
        put: Put<'_>,
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
        if let Some(runs) = runs {
            parts = runs::common(&parts, runs);
        }
        let memory = self.memory();
        memory::save(put, &parts, |place, bytes| read(&memory, &places, place, bytes), go_on, sum)
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

pub(super) fn addresses(places: &Pieces<'_>, place: u64, most: usize) -> io::Result<GuestRange> {
    places.addresses(place, most as u64).ok_or_else(|| io::Error::other("no memory is there"))
}

pub(super) fn length(range: GuestRange) -> usize {
    usize::try_from(range.size).expect("no more than the bytes that were asked for")
}
