//! Memory that begins as a copy of a file, and what there may be in memory besides zeroes.
//!
//! The file is mapped privately: a page of it is read when it is touched, and is the area's own once it is written. What is
//! given back and revealed again is memory like any other, and the file stays as it is.
#![expect(unsafe_code, reason = "maps a file")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use dimmer_devices::bus::lock;
use rustix::mm::{MapFlags, ProtFlags, mmap};

use super::error::at;
use super::{ALIGN, Bound, Mapping, MappingError, Store, len};
use crate::{kept, sparse};

/// A part of an area that lies over a file.
#[derive(Debug, Clone)]
pub(super) struct Base {
    part: Range<u64>,
    file: Arc<File>,
    /// Where the part begins in the file.
    place: u64,
}

/// Bytes of a page, and of its entry in `/proc/self/pagemap`.
const PAGE: u64 = 4096;
const ENTRY: u64 = 8;
/// Entries that are read at once.
const ENTRIES: u64 = 16 << 10;
/// Runs of files that an area has, at most, but for parts that are laid over one as a whole: each of them makes two mappings more,
/// of which a process has some 65,000 (`vm.max_map_count`), and most of them are for slots.
const MOST_RUNS: usize = 256;
/// Bits 63 and 62: the page is in memory, or was swapped out (Linux, Documentation/admin-guide/mm/pagemap.rst).
const THERE: u64 = 0b11 << 62;

impl Mapping {
    /// Puts what `file` has from `place` on over `part`, which has memory that nobody has touched. Where the file has nothing,
    /// that memory stays: it takes huge pages, which a hole of a file does not.
    ///
    /// # Errors
    /// [`MappingError`] when the host refuses, or the area's memory is not of a kind that can begin as a copy.
    pub fn base(
        &self,
        part: &Range<u64>,
        bound: &[Bound],
        file: &Arc<File>,
        place: u64,
    ) -> Result<(), MappingError> {
        let (start, size) = (part.start, part.end - part.start);
        if !matches!(self.store, Store::Anonymous) || self.spec.prealloc || self.spec.reserve {
            return Err(MappingError::NoBase);
        }
        const STEP: &str = "map a snapshot over";
        let most = MOST_RUNS.saturating_sub(lock(&self.bases).len());
        let runs = runs(file, part, place, most).map_err(at(STEP, size))?;
        for part in runs {
            let place = place + (part.start - start);
            self.lay_over(&part, file, place).map_err(at(STEP, size))?;
            lock(&self.bases).push(Base { part, file: file.clone(), place });
        }
        self.fill(part, bound)
    }

    fn lay_over(&self, part: &Range<u64>, file: &File, place: u64) -> rustix::io::Result<()> {
        let flags = MapFlags::FIXED | MapFlags::PRIVATE | MapFlags::NORESERVE;
        let (start, len) = (self.address(part.start).cast(), len(part.end - part.start));
        // SAFETY: replaces a part of this object's own area, which nobody has touched.
        unsafe { mmap(start, len, ProtFlags::READ | ProtFlags::WRITE, flags, file, place)? };
        Ok(())
    }

    /// `part` is bare from now on.
    pub(super) fn forget_base(&self, part: &Range<u64>) {
        let mut bases = lock(&self.bases);
        *bases = std::mem::take(&mut *bases).iter().flat_map(|base| base.without(part)).collect();
    }

    /// Whether a byte of `part` lies over a file.
    pub(super) fn lies_over_a_file(&self, part: &Range<u64>) -> bool {
        let meets = |base: &Base| base.part.start < part.end && part.start < base.part.end;
        lock(&self.bases).iter().any(meets)
    }

    /// Where `part`, which has memory, may have something else in it than zeroes: ascending and apart, in whole pages.
    ///
    /// # Errors
    /// What the host says.
    pub fn content(&self, part: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
        let mut found = match &self.store {
            Store::File { file, offset } => {
                let data = sparse::data(file, part.start + offset..part.end + offset)?;
                data.into_iter().map(|data| data.start - offset..data.end - offset).collect()
            }
            Store::Anonymous | Store::Huge(_) => self.touched(part)?,
            // It is all in its file.
            Store::Persistent { .. } => Vec::new(),
        };
        for base in &*lock(&self.bases) {
            found.extend(base.data(part)?);
        }
        Ok(rounded(found, PAGE))
    }

    /// Where pages were touched.
    fn touched(&self, part: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
        let pagemap = kept::file(Path::new(kept::PAGEMAP))?;
        let first = self.address(part.start).addr() as u64 / PAGE;
        let mut found: Vec<Range<u64>> = Vec::new();
        let mut entries = vec![0; usize::try_from(ENTRIES * ENTRY).expect("a small number")];
        let mut at = part.start;
        while at < part.end {
            let pages = ENTRIES.min((part.end - at).div_ceil(PAGE));
            let entries = &mut entries[..usize::try_from(pages * ENTRY).expect("no more than the buffer")];
            pagemap.read_exact_at(entries, (first + (at - part.start) / PAGE) * ENTRY)?;
            for entry in entries.as_chunks().0 {
                if u64::from_ne_bytes(*entry) & THERE != 0 {
                    match found.last_mut() {
                        Some(last) if last.end == at => last.end += PAGE,
                        _ => found.push(at..at + PAGE),
                    }
                }
                at += PAGE;
            }
        }
        Ok(found)
    }
}

impl Base {
    /// What is left of it besides `gone`.
    fn without(&self, gone: &Range<u64>) -> impl Iterator<Item = Self> + use<> {
        let before = self.part.start..self.part.end.min(gone.start);
        let behind = self.part.start.max(gone.end)..self.part.end;
        let (file, start, place) = (self.file.clone(), self.part.start, self.place);
        [before, behind].into_iter().filter(|part| part.start < part.end).map(move |part| {
            let place = place + (part.start - start);
            Self { file: file.clone(), place, part }
        })
    }

    /// Where its file has data within `part`.
    fn data(&self, part: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
        let own = self.part.start.max(part.start)..self.part.end.min(part.end);
        if own.start >= own.end {
            return Ok(Vec::new());
        }
        let place = |at: u64| at - self.part.start + self.place;
        let data = sparse::data(&*self.file, place(own.start)..place(own.end))?;
        let back = |at: u64| at - self.place + self.part.start;
        Ok(data.into_iter().map(|data| back(data.start)..back(data.end)).collect())
    }
}

/// The runs of `part` over which `file`, from `place` on, is to be laid: where it has data, rounded to huge pages, or to more
/// where that would be more than `most` runs; all of the part where there may be none.
fn runs(file: &File, part: &Range<u64>, place: u64, most: usize) -> io::Result<Vec<Range<u64>>> {
    let data = sparse::data(file, place..place + (part.end - part.start))?;
    if most == 0 && !data.is_empty() {
        return Ok(vec![part.clone()]);
    }
    let back = |at: u64| at - place + part.start;
    let data = data.into_iter().map(|data| back(data.start)..back(data.end)).collect();
    let mut grain = ALIGN;
    let mut runs = rounded(data, grain);
    while runs.len() > most {
        grain *= 2;
        runs = rounded(runs, grain);
    }
    let cut = |run: Range<u64>| run.start.max(part.start)..run.end.min(part.end);
    Ok(runs.into_iter().map(cut).collect())
}

/// The multiples of `grain` that `parts` have a byte of; ascending, neighbours joined.
fn rounded(mut parts: Vec<Range<u64>>, grain: u64) -> Vec<Range<u64>> {
    parts.sort_unstable_by_key(|part| part.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for part in parts {
        let part = part.start - part.start % grain..part.end.next_multiple_of(grain);
        match joined.last_mut() {
            Some(last) if last.end >= part.start => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    joined
}
