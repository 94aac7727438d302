//! Which file of a chain of snapshots each page of a machine's memory is in.
//!
//! A page is in the topmost file that has it. Files are told apart by guest-physical addresses: the pieces of one snapshot need
//! not be those of the next.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use dimmer_devices::memory::GuestRange;

use super::memory::{self, Piece, Pieces};
use super::runs;

/// The file of one snapshot, and what counts of it.
#[derive(Debug)]
pub struct Layer {
    /// Where it is, for messages.
    pub path: PathBuf,
    /// The file.
    pub file: Arc<File>,
    /// Bytes of memory in it.
    pub length: u64,
    /// The checksum that they are to have, if they have one.
    pub sum: Option<u64>,
    /// The parts of the machine's memory that are as in this file, ascending.
    pub parts: Vec<Part>,
}

/// A part of a machine's memory that is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its place in the machine's memory: where it would be in a file with all of it.
    pub place: u64,
    /// Its place in the file.
    pub from: u64,
    /// Bytes.
    pub size: u64,
}

impl Layer {
    /// Hands what counts to `put`, but for pages of zeroes, by its place in the machine's memory; all of the file is read.
    ///
    /// # Errors
    /// What the host said, or that the file was changed.
    pub fn load(&self, mut put: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let sum = memory::load(&self.file, self.length, |from, bytes| self.pass_on(from, bytes, &mut put))?;
        match self.sum.filter(|wanted| *wanted != sum) {
            None => Ok(()),
            Some(wanted) => Err(io::Error::other(format!(
                "the memory was changed: its checksum is {sum:#x}, and was {wanted:#x}"
            ))),
        }
    }

    /// Hands all that counts to `put`, pages of zeroes as well, without a look at the checksum.
    ///
    /// # Errors
    /// What the host said.
    pub fn read_all(&self, mut put: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let parts: Vec<_> = self.parts.iter().map(|part| part.from..part.from + part.size).collect();
        memory::read(&self.file, &parts, |from, bytes| self.pass_on(from, bytes, &mut put))
    }

    /// The parts, joined with what lies between them where that is the same in file and memory.
    pub fn joined(&self) -> Vec<Part> {
        let mut joined: Vec<Part> = Vec::new();
        for part in &self.parts {
            match joined.last_mut() {
                Some(last) if part.place - last.place == part.from - last.from => {
                    last.size = part.place + part.size - last.place;
                }
                _ => joined.push(*part),
            }
        }
        joined
    }

    /// Hands what counts of `bytes`, which are in the file from `from` on, to `put`.
    fn pass_on(
        &self,
        from: u64,
        bytes: &[u8],
        put: &mut impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = from + bytes.len() as u64;
        let first = self.parts.partition_point(|part| part.from + part.size <= from);
        for part in self.parts[first..].iter().take_while(|part| part.from < end) {
            let (start, stop) = (part.from.max(from), (part.from + part.size).min(end));
            let within = |at: u64| usize::try_from(at - from).expect("no more than the bytes");
            put(part.place + (start - part.from), &bytes[within(start)..within(stop)])?;
        }
        Ok(())
    }
}

/// What the memory file of one snapshot has.
#[derive(Debug)]
pub struct Has<'a> {
    /// The pieces that its places are about.
    pub pieces: &'a [Piece],
    /// The runs of places that it has; all, when `None`.
    pub runs: Option<&'a [Range<u64>]>,
}

/// A part of memory that is still to be found.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    place: u64,
    range: GuestRange,
}

/// The parts that each file gives, of the topmost snapshot's memory; `files` begins with its own.
///
/// # Errors
/// In words, when memory is in none of them.
pub fn find(files: &[Has<'_>]) -> Result<Vec<Vec<Part>>, String> {
    let Some(top) = files.first() else { return Ok(Vec::new()) };
    let mut wanted: Vec<_> =
        Pieces::new(top.pieces)?.iter().map(|(place, piece)| Wanted { place, range: piece.range }).collect();
    let mut found = Vec::new();
    for file in files {
        let pieces = Pieces::new(file.pieces)?;
        let (mut parts, mut left) = (Vec::new(), Vec::new());
        for wanted in wanted {
            take(wanted, &pieces, file.runs, &mut parts, &mut left)?;
        }
        found.push(parts);
        wanted = left;
    }
    match wanted.first() {
        None => Ok(found),
        Some(Wanted { range, .. }) => Err(nowhere(range.start)),
    }
}

fn nowhere(address: u64) -> String {
    format!("memory at {address:#x} is neither in the snapshot nor in what it is a difference to")
}

/// Takes what a file has of `wanted`; the rest is `left`.
fn take(
    wanted: Wanted,
    pieces: &Pieces<'_>,
    runs: Option<&[Range<u64>]>,
    parts: &mut Vec<Part>,
    left: &mut Vec<Wanted>,
) -> Result<(), String> {
    let Wanted { place, range } = wanted;
    let mut done = 0;
    while done < range.size {
        let address = range.start + done;
        let (from, there) = pieces.place_of(address).ok_or_else(|| nowhere(address))?;
        let size = there.min(range.size - done);
        let all = from..from + size;
        let has = match runs {
            None => vec![all.clone()],
            Some(runs) => {
                let first = runs.partition_point(|run| run.end <= all.start);
                runs::common(std::slice::from_ref(&all), &runs[first..])
            }
        };
        let mut at = from;
        let rest = |from: u64, to: u64| Wanted {
            place: place + done + (from - all.start),
            range: GuestRange::new(address + (from - all.start), to - from),
        };
        for run in has {
            left.extend((at < run.start).then(|| rest(at, run.start)));
            let place = place + done + (run.start - all.start);
            parts.push(Part { place, from: run.start, size: run.end - run.start });
            at = run.end;
        }
        left.extend((at < all.end).then(|| rest(at, all.end)));
        done += size;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
