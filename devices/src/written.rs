//! Which pages of guest memory were written since some moment: the guest's map says so of every write of ours that goes
//! through it, and KVM's dirty log of the guest's.
//!
//! Whatever writes into guest memory has a [`MemoryMap`](crate::memory_map::MemoryMap), whose regions mark what is written by their type; so no device and
//! no loader can forget to.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use vm_memory::bitmap::{Bitmap, NewBitmap, RefSlice, WithBitmapSlice};

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Pages of a word.
const BITS: u64 = 64;
/// Words of a chunk, which is there once a page of it is marked: 128 MiB of memory.
const WORDS: usize = 512;

type Chunk = [AtomicU64; WORDS];

/// Marks for the pages of an area of any size, of which most may have no memory.
#[derive(Debug)]
pub struct Pages {
    on: AtomicBool,
    chunks: Box<[OnceLock<Box<Chunk>>]>,
}

impl Pages {
    /// Marks for `size` bytes, of which none is written. Writes are not marked yet.
    pub fn new(size: u64) -> Self {
        let chunks = size.div_ceil(PAGE * BITS * WORDS as u64);
        Self { on: AtomicBool::new(false), chunks: (0..chunks).map(|_| OnceLock::new()).collect() }
    }

    /// Whether writes are marked from now on.
    pub fn watch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Marks the pages that `part` has a byte of, if writes are marked.
    pub fn mark(&self, part: &Range<u64>) {
        if !self.on.load(Ordering::Relaxed) || part.start >= part.end {
            return;
        }
        let (mut page, end) = (part.start / PAGE, part.end.div_ceil(PAGE));
        while page < end {
            let next = (page - page % BITS + BITS).min(end);
            let bits = u64::MAX >> (BITS - (next - page));
            self.set(page / BITS, bits << (page % BITS));
            page = next;
        }
    }

    /// Marks the pages from `start` on that have a bit in `log`, a log of KVM's (Linux, Documentation/virt/kvm/api.rst,
    /// `KVM_GET_DIRTY_LOG`).
    pub fn mark_log(&self, start: u64, log: &[u64]) {
        let (first, shift) = (start / PAGE / BITS, start / PAGE % BITS);
        for (word, bits) in (first..).zip(log).filter(|(_, bits)| **bits != 0) {
            self.set(word, bits << shift);
            if shift > 0 {
                self.set(word + 1, bits >> (BITS - shift));
            }
        }
    }

    /// No page is written.
    pub fn clear(&self) {
        let there = self.chunks.iter().filter_map(OnceLock::get);
        there.flat_map(|chunk| &**chunk).for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// The pages of `part` that are written; ascending, neighbours joined.
    pub fn written(&self, part: &Range<u64>) -> Vec<Range<u64>> {
        let (mut page, end) = (part.start / PAGE, part.end.div_ceil(PAGE));
        let mut found: Vec<Range<u64>> = Vec::new();
        while page < end {
            let next = (page - page % BITS + BITS).min(end);
            let mut bits = self.word(page / BITS) >> (page % BITS);
            while bits != 0 {
                page += u64::from(bits.trailing_zeros());
                bits >>= bits.trailing_zeros();
                if page >= end {
                    break;
                }
                let pages = u64::from(bits.trailing_ones()).min(end - page);
                let run = page * PAGE..(page + pages) * PAGE;
                match found.last_mut() {
                    Some(last) if last.end == run.start => last.end = run.end,
                    _ => found.push(run),
                }
                page += pages;
                bits = bits.checked_shr(u32::try_from(pages).expect("no more than a word")).unwrap_or(0);
            }
            page = next;
        }
        found
    }

    fn set(&self, word: u64, bits: u64) {
        let (chunk, word) = place(word);
        // Beyond the end there is no memory.
        if let Some(chunk) = self.chunks.get(chunk).filter(|_| bits != 0) {
            let chunk = chunk.get_or_init(|| Box::new([const { AtomicU64::new(0) }; WORDS]));
            chunk[word].fetch_or(bits, Ordering::Relaxed);
        }
    }

    fn word(&self, word: u64) -> u64 {
        let (chunk, word) = place(word);
        let chunk = self.chunks.get(chunk).and_then(OnceLock::get);
        chunk.map_or(0, |chunk| chunk[word].load(Ordering::Relaxed))
    }
}

/// The chunk of a word, and its place there.
fn place(word: u64) -> (usize, usize) {
    let word = usize::try_from(word).expect("an address fits");
    (word / WORDS, word % WORDS)
}

/// Where writes to a region of the map are marked; nowhere by default.
#[derive(Debug, Clone, Default)]
pub struct Written(Option<(Arc<Pages>, u64)>);

impl Written {
    /// In `pages`, of which the region begins at `start`.
    pub fn new(pages: &Arc<Pages>, start: u64) -> Self {
        Self(Some((pages.clone(), start)))
    }

    /// Marks the pages that have a bit in a log of KVM's about the region.
    pub fn mark_log(&self, log: &[u64]) {
        if let Some((pages, start)) = &self.0 {
            pages.mark_log(*start, log);
        }
    }
}

impl<'a> WithBitmapSlice<'a> for Written {
    type S = RefSlice<'a, Self>;
}

impl Bitmap for Written {
    fn mark_dirty(&self, offset: usize, len: usize) {
        if let Some((pages, start)) = &self.0 {
            let start = start.saturating_add(offset as u64);
            pages.mark(&(start..start.saturating_add(len as u64)));
        }
    }

    fn dirty_at(&self, offset: usize) -> bool {
        let Some((pages, start)) = &self.0 else { return false };
        let at = start.saturating_add(offset as u64);
        !pages.written(&(at..at.saturating_add(1))).is_empty()
    }

    fn slice_at(&self, offset: usize) -> RefSlice<'_, Self> {
        RefSlice::new(self, offset)
    }
}

impl NewBitmap for Written {
    fn with_len(_: usize) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests;
