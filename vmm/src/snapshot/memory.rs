//! The file with what is in guest memory: the pieces that are plugged, one behind the other, where pages of zeroes are holes.

use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use dimmer_devices::memory::GuestRange;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

use crate::sparse;

/// What memory is looked at in: a page of the guest's, and a hole that any file can have.
pub const PAGE: usize = 4096;
/// Bytes that are read or written at once, at most.
const CHUNK: u64 = 1 << 20;

/// A piece of guest memory that is plugged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// The memory device that it is for; `boot` is the machine's own RAM.
    pub owner: String,
    /// Its guest-physical addresses.
    pub range: GuestRange,
}

/// Where each piece is in the file.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    /// Each with the place of its first byte.
    places: Vec<(u64, &'a Piece)>,
    length: u64,
}

impl<'a> Pieces<'a> {
    /// The places of `pieces`.
    ///
    /// # Errors
    /// What is wrong with them, in words: they are ascending, apart and whole pages.
    pub fn new(pieces: &'a [Piece]) -> Result<Self, String> {
        let (mut length, mut end, mut places) = (0_u64, 0, Vec::with_capacity(pieces.len()));
        for piece in pieces {
            let GuestRange { start, size } = piece.range;
            let whole = size > 0 && [start, size].iter().all(|bytes| bytes.is_multiple_of(PAGE as u64));
            let behind = start.checked_add(size).filter(|_| whole && start >= end);
            end = behind.ok_or_else(|| format!("memory of {:?} at {start:#x} cannot be", piece.owner))?;
            places.push((length, piece));
            // Pieces are apart, so their sizes add up to no more than addresses do.
            length += size;
        }
        Ok(Self { places, length })
    }

    /// Bytes of the file.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Each piece, with the place of its first byte.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &'a Piece)> {
        self.places.iter().copied()
    }

    /// The guest-physical addresses of the bytes from `place` on, `length` at most and up to the end of the piece.
    pub fn addresses(&self, place: u64, length: u64) -> Option<GuestRange> {
        self.find(place, length).map(|(_, range)| range)
    }

    /// As [`addresses`](Self::addresses), with the owner.
    pub fn find(&self, place: u64, length: u64) -> Option<(&'a str, GuestRange)> {
        let index = self.places.partition_point(|(start, _)| *start <= place).checked_sub(1)?;
        let (start, piece) = self.places[index];
        let within = place - start;
        let left = piece.range.size.checked_sub(within).filter(|left| *left > 0)?;
        Some((&piece.owner, GuestRange::new(piece.range.start + within, left.min(length))))
    }

    /// The place of a guest-physical address, and how many bytes follow up to the end of its piece.
    pub fn place_of(&self, address: u64) -> Option<(u64, u64)> {
        let index = self.places.partition_point(|(_, piece)| piece.range.start <= address).checked_sub(1)?;
        let (start, piece) = self.places[index];
        let within = address - piece.range.start;
        let left = piece.range.size.checked_sub(within).filter(|left| *left > 0)?;
        Some((start + within, left))
    }
}

/// XXH64 over the XXH64s (64 bits, little endian) of all pages that are not all zeroes, each with its place in the file for a
/// seed: whatever holes a file system makes of the others, it is the same.
#[derive(Debug, Default)]
pub struct PageSum(XxHash64);

impl PageSum {
    /// The checksum of what was added.
    pub fn finish(self) -> u64 {
        self.0.finish()
    }

    fn add(&mut self, place: u64, pages: &[u8]) {
        for (place, page) in (place..).step_by(PAGE).zip(pages.chunks(PAGE)) {
            self.0.write(&XxHash64::oneshot(place, page).to_le_bytes());
        }
    }
}

/// Whether the work is to go on; asked again and again.
pub type GoOn<'a> = &'a dyn Fn() -> bool;

/// Where pages go that are not all zeroes, in ascending order: the place of the first in the file, and their bytes.
pub type Put<'a> = &'a mut dyn FnMut(u64, &[u8]) -> io::Result<()>;

/// Puts pages into a file.
pub fn into(file: &File) -> impl FnMut(u64, &[u8]) -> io::Result<()> {
    |place, pages| file.write_all_at(pages, place)
}

/// Hands what `read` reads at `parts`, whole pages in ascending order, to `put`, and adds it to `sum` if that is wanted.
/// Elsewhere there is nothing but zeroes.
///
/// # Errors
/// What the host said; `Interrupted` when it was not to go on.
pub fn save(
    put: Put<'_>,
    parts: &[Range<u64>],
    mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
    go_on: GoOn<'_>,
    mut sum: Option<&mut PageSum>,
) -> io::Result<()> {
    each_chunk(parts, go_on, |place, chunk| {
        read(place, chunk)?;
        each_run(place, chunk, |place, pages| {
            if let Some(sum) = &mut sum {
                sum.add(place, pages);
            }
            put(place, pages)
        })
    })
}

/// Hands what is in the first `length` bytes of the file to `put`, but for pages of zeroes; returns its checksum.
///
/// # Errors
/// What the host said.
pub fn load(file: &File, length: u64, mut put: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<u64> {
    let mut sum = PageSum::default();
    let mut parts: Vec<Range<u64>> = Vec::new();
    for part in sparse::data(file, 0..length)? {
        // File systems may count in smaller units than pages.
        let whole = part.start - part.start % PAGE as u64..part.end.next_multiple_of(PAGE as u64);
        match parts.last_mut() {
            Some(last) if last.end >= whole.start => last.end = whole.end,
            _ => parts.push(whole),
        }
    }
    each_chunk(&parts, &|| true, |place, chunk| {
        file.read_exact_at(chunk, place)?;
        each_run(place, chunk, |place, pages| {
            sum.add(place, pages);
            put(place, pages)
        })
    })?;
    Ok(sum.finish())
}

/// Hands all that is in `parts` of the file to `put`, pages of zeroes as well.
///
/// # Errors
/// What the host said.
pub fn read(
    file: &File,
    parts: &[Range<u64>],
    mut put: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    each_chunk(parts, &|| true, |place, chunk| {
        file.read_exact_at(chunk, place)?;
        put(place, chunk)
    })
}

fn each_chunk(
    parts: &[Range<u64>],
    go_on: GoOn<'_>,
    mut act: impl FnMut(u64, &mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(CHUNK).expect("a small number")];
    for part in parts {
        let mut place = part.start;
        while place < part.end {
            if !go_on() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = CHUNK.min(part.end - place);
            act(place, &mut buffer[..usize::try_from(length).expect("no more than a chunk")])?;
            place += length;
        }
    }
    Ok(())
}

/// Calls `act` with every run of pages that are not all zeroes.
fn each_run(place: u64, chunk: &[u8], mut act: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let is_zero = |page: &[u8]| page == &[0; PAGE][..page.len()];
    let mut at = 0;
    let mut pages = chunk.chunks(PAGE).peekable();
    while let Some(page) = pages.next() {
        let start = at;
        at += page.len();
        if is_zero(page) {
            continue;
        }
        while let Some(page) = pages.next_if(|page| !is_zero(page)) {
            at += page.len();
        }
        act(place + start as u64, &chunk[start..at])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(start: u64, size: u64) -> Piece {
        Piece { owner: "boot".to_owned(), range: GuestRange::new(start, size) }
    }

    #[test]
    fn pieces_lie_one_behind_the_other() {
        let all = [piece(0, 0x3000), piece(0x8000, 0x1000), piece(0x9000, 0x2000)];
        let pieces = Pieces::new(&all).unwrap();
        assert_eq!(pieces.length(), 0x6000);
        assert_eq!(pieces.addresses(0x2000, 0x9000), Some(GuestRange::new(0x2000, 0x1000)));
        assert_eq!(pieces.addresses(0x3800, 0x100), Some(GuestRange::new(0x8800, 0x100)));
        assert_eq!(pieces.addresses(0x4000, 0x9000), Some(GuestRange::new(0x9000, 0x2000)));
        assert_eq!(pieces.addresses(0x6000, 1), None);
        assert_eq!(pieces.place_of(0x2800), Some((0x2800, 0x800)));
        assert_eq!(pieces.place_of(0x8800), Some((0x3800, 0x800)));
        assert_eq!((pieces.place_of(0x3000), pieces.place_of(0xb000)), (None, None));
        assert_eq!(Pieces::new(&[]).unwrap().addresses(0, 1), None);
    }

    #[test]
    fn pieces_that_cannot_be_are_refused() {
        for wrong in [
            vec![piece(0x1000, 0)],
            vec![piece(0x1001, 0x1000)],
            vec![piece(0x1000, 0x1001)],
            vec![piece(u64::MAX - 0xfff, 0x2000)],
            vec![piece(0x1000, 0x2000), piece(0x2000, 0x1000)],
        ] {
            assert!(Pieces::new(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn work_that_is_given_up_ends() {
        let file = tempfile::tempfile().unwrap();
        let all = 0..CHUNK * 3;
        let error = save(&mut into(&file), &[all], |_, _| Ok(()), &|| false, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }

    const PAGES: u64 = 600;

    proptest! {
        /// Pages, some of zeroes, come back as they were and with the same checksum, from a file with holes and from
        /// one without.
        #[test]
        fn what_is_saved_is_loaded(
            pages in prop::collection::btree_map(0..PAGES, 0_u8..3, 0..40),
            first in 0..PAGES,
        ) {
            let mut memory = vec![0; PAGE * usize::try_from(PAGES).unwrap()];
            for (page, value) in &pages {
                let at = usize::try_from(*page).unwrap() * PAGE;
                memory[at + PAGE - 1] = *value;
            }
            let (length, page) = (memory.len() as u64, PAGE as u64);
            let read = |place: u64, bytes: &mut [u8]| {
                bytes.copy_from_slice(&memory[usize::try_from(place).unwrap()..][..bytes.len()]);
                Ok(())
            };
            let sparse = tempfile::tempfile().unwrap();
            sparse.set_len(length).unwrap();
            let parts = [0..first * page, first * page..length];
            let mut sum = PageSum::default();
            save(&mut into(&sparse), &parts, read, &|| true, Some(&mut sum)).unwrap();
            let sum = sum.finish();
            let whole = tempfile::tempfile().unwrap();
            whole.write_all_at(&memory, 0).unwrap();
            for file in [&sparse, &whole] {
                let mut loaded = vec![0; memory.len()];
                let put = |place: u64, bytes: &[u8]| {
                    assert!(bytes.chunks(PAGE).all(|page| page.iter().any(|byte| *byte != 0)));
                    loaded[usize::try_from(place).unwrap()..][..bytes.len()].copy_from_slice(bytes);
                    Ok(())
                };
                prop_assert_eq!(load(file, length, put).unwrap(), sum);
                prop_assert!(loaded == memory);
            }
        }
    }
}
