//! One area of host address space in which guest memory comes and goes.
//!
//! The address space is reserved as a whole: nothing can be reached in it and it costs nothing,
//! however large it is. [`Mapping::reveal`] puts memory over a part of it, and [`Mapping::conceal`]
//! gives the memory back to the host and leaves bare address space again. So an address that holds no
//! guest memory cannot be touched by mistake, and `/proc/self/maps` shows what there is.
#![expect(unsafe_code, reason = "maps, unmaps and populates memory")]

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::Mutex;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use crate::units::{Bytes, MIB};
use base::Base;
use bind::bind;
pub use error::MappingError;
use error::at;
use huge::shortage;
pub use spec::MappingSpec;
pub use store::{Store, StoreError, Stores};

mod base;
mod bind;
mod error;
mod huge;
pub mod maps;
mod release;
mod spec;
mod store;
#[cfg(test)]
mod tests;

/// Areas start at a multiple of this at least, so that transparent huge pages fit.
const ALIGN: u64 = 2 * MIB;

/// Bytes that are to lie on these nodes of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Which bytes, counted from the area's start.
    pub part: Range<u64>,
    /// The host's nodes.
    pub nodes: Vec<u32>,
}

/// An area; unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: *mut c_void,
    size: u64,
    store: Store,
    spec: MappingSpec,
    /// What lies over a file that others may have, too.
    bases: Mutex<Vec<Base>>,
}

// SAFETY: the pointer is only an address; what lies behind it is guest memory, which the guest's
// CPUs change at any time, and which is only reached through vm-memory's volatile accesses.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Reserves address space for `size` bytes, whose memory will come from `store`.
    ///
    /// # Errors
    /// [`MappingError`] when the host has no address space to give.
    pub fn new(size: u64, store: Store, spec: &MappingSpec) -> Result<Self, MappingError> {
        let start = reserve(size, ALIGN.max(spec.backing.page_size())).map_err(at("reserve", size))?;
        Ok(Self { start, size, store, spec: spec.clone(), bases: Mutex::default() })
    }

    /// The host address of the byte `offset` of the area.
    pub fn address(&self, offset: u64) -> *mut u8 {
        assert!(offset < self.size, "offset {offset:#x} in an area of {:#x} bytes", self.size);
        self.start.cast::<u8>().wrapping_add(usize::try_from(offset).expect("mapped, so it fits"))
    }

    /// Puts memory that reads as zeroes over `part`, which has none: bound to nodes, populated and
    /// set aside as was asked for.
    ///
    /// # Errors
    /// [`MappingError`]; nothing has changed then.
    pub fn reveal(&self, part: &Range<u64>, bound: &[Bound]) -> Result<(), MappingError> {
        let page = self.spec.backing.page_size();
        let size = part.end - part.start;
        if size == 0 || !part.start.is_multiple_of(page) || !size.is_multiple_of(page) {
            let (size, page) = (Bytes(size), Bytes(page));
            return Err(MappingError::Unaligned { start: part.start, size, page });
        }
        self.map(part).map_err(|error| self.explain("map", size, error))?;
        let filled = self.fill(part, bound);
        if filled.is_err()
            && let Err(error) = self.conceal(part)
        {
            tracing::error!("memory that the guest did not get stays in use: {error}");
        }
        filled
    }

    /// Gives the memory of `part` back to the host and leaves bare address space. Nobody may use the
    /// part any more; a guest that did would stop with an error of KVM's, the machine itself with a
    /// segmentation fault.
    ///
    /// # Errors
    /// [`MappingError`] when the host refuses; the memory is still there then, its content
    /// unspecified.
    pub fn conceal(&self, part: &Range<u64>) -> Result<(), MappingError> {
        let size = part.end - part.start;
        // SAFETY: replaces a part of this object's own area, which nobody uses any more.
        let covered = unsafe {
            let bare = MapFlags::FIXED | MapFlags::PRIVATE | MapFlags::NORESERVE;
            mmap_anonymous(self.address(part.start).cast(), len(size), ProtFlags::empty(), bare)
        };
        covered.map_err(at("give back", size))?;
        self.forget_base(part);
        // Private memory is gone with its mapping. A file keeps its pages until it is told otherwise;
        // dropping them from a shared mapping (MADV_DONTNEED) would free nothing.
        self.store.empty(part).map_err(|error| {
            if let Err(error) = self.map(part) {
                tracing::error!("guest memory that could not be given back is lost: {error}");
            }
            at("give back", size)(error)
        })
    }

    /// Where there is memory, as the host's kernel says in `maps`; ascending, neighbours joined.
    pub fn revealed(&self, maps: &[Range<u64>]) -> Vec<Range<u64>> {
        let (start, size) = (self.start.addr() as u64, self.size);
        let inside = |map: &Range<u64>| {
            let part = map.start.max(start)..map.end.min(start + size);
            (part.start < part.end).then(|| part.start - start..part.end - start)
        };
        maps.iter().filter_map(inside).collect()
    }

    /// Where the file behind the area has pages or blocks; nothing for memory without a file.
    ///
    /// # Errors
    /// What the file's file system said.
    pub fn allocated(&self) -> io::Result<Vec<Range<u64>>> {
        self.store.allocated(self.size)
    }

    /// Readable, writable memory over `part`; nothing is taken from the host yet but huge pages,
    /// which are set aside.
    fn map(&self, part: &Range<u64>) -> rustix::io::Result<()> {
        let (start, len) = (self.address(part.start).cast(), len(part.end - part.start));
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let lazy = if self.spec.reserve { MapFlags::empty() } else { MapFlags::NORESERVE };
        // SAFETY: replaces a part of this object's own area, which nobody uses yet.
        unsafe {
            match &self.store {
                Store::Anonymous => {
                    mmap_anonymous(start, len, prot, MapFlags::FIXED | MapFlags::PRIVATE | lazy)?
                }
                // Never NORESERVE: with it a shortage would be a SIGBUS at the first touch.
                Store::Huge(page) => {
                    let huge =
                        MapFlags::HUGETLB | MapFlags::from_bits_retain(page.ilog2() << libc::MAP_HUGE_SHIFT);
                    mmap_anonymous(start, len, prot, MapFlags::FIXED | MapFlags::PRIVATE | huge)?
                }
                Store::File { file, offset } => {
                    let flags = MapFlags::FIXED | MapFlags::SHARED | MapFlags::NORESERVE;
                    mmap(start, len, prot, flags, file, offset + part.start)?
                }
                Store::Persistent { file, readonly } => {
                    let prot = if *readonly { ProtFlags::READ } else { prot };
                    mmap(start, len, prot, MapFlags::FIXED | MapFlags::SHARED, file, part.start)?
                }
            };
        }
        Ok(())
    }

    /// Does to memory that was just mapped what is to be done before it is used.
    fn fill(&self, part: &Range<u64>, bound: &[Bound]) -> Result<(), MappingError> {
        for Bound { part, nodes } in bound {
            let size = part.end - part.start;
            bind(self.address(part.start), len(size), nodes).map_err(at("bind to host nodes", size))?;
        }
        self.advise(part);
        let size = part.end - part.start;
        if self.spec.reserve {
            self.store.allocate(part).map_err(at("set aside", size))?;
        }
        // Huge pages are set aside wherever they are; that those of the chosen nodes suffice is known
        // only once they are taken.
        let is_huge = matches!(self.store, Store::Huge(_));
        if self.spec.prealloc || (is_huge && !bound.is_empty()) {
            // SAFETY: populating changes no content.
            unsafe { madvise(self.address(part.start).cast(), len(size), Advice::LinuxPopulateWrite) }
                .map_err(|error| self.explain("preallocate", size, error))?;
        }
        Ok(())
    }

    fn advise(&self, part: &Range<u64>) {
        if matches!(self.store, Store::Huge(_) | Store::Persistent { .. }) {
            return;
        }
        let advice = if self.spec.thp { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        // SAFETY: advice on huge pages changes no content.
        let advised = unsafe { madvise(self.address(part.start).cast(), len(part.end - part.start), advice) };
        if let Err(error) = advised {
            // Kernels without transparent huge pages refuse; memory works all the same.
            tracing::debug!("transparent huge pages: {error}");
        }
    }

    /// What it means that a step with `size` bytes failed.
    fn explain(&self, step: &'static str, size: u64, error: rustix::io::Errno) -> MappingError {
        match self.store {
            Store::Huge(page) => shortage(page, size, error).into(),
            Store::Anonymous | Store::File { .. } | Store::Persistent { .. } => at(step, size)(error),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the area is this object's own, and its users are gone (see `Ram`).
        if let Err(error) = unsafe { munmap(self.start, len(self.size)) } {
            tracing::warn!("unmap guest memory: {error}");
        }
    }
}

/// A size within the address space.
fn len(size: u64) -> usize {
    usize::try_from(size).expect("the host's addresses have 64 bits")
}

/// Address space in which nothing can be reached, starting at a multiple of `align`.
fn reserve(size: u64, align: u64) -> rustix::io::Result<*mut c_void> {
    let wide = size.checked_add(align).and_then(|wide| usize::try_from(wide).ok());
    let (wide, align) = (wide.ok_or(rustix::io::Errno::NOMEM)?, len(align));
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: a new mapping, placed by the kernel.
    let first = unsafe { mmap_anonymous(ptr::null_mut(), wide, ProtFlags::empty(), flags)? };
    let before = first.addr().next_multiple_of(align) - first.addr();
    let start = first.wrapping_byte_add(before);
    // SAFETY: both ends belong to the mapping just made, and nothing uses them.
    unsafe {
        if before > 0 {
            munmap(first, before)?;
        }
        munmap(start.wrapping_byte_add(len(size)), align - before)?;
    }
    Ok(start)
}
