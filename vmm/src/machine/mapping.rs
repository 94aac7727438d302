//! One host mapping: address space that becomes memory where it is touched, and goes back to the
//! host on request.
#![expect(unsafe_code, reason = "maps, unmaps and discards memory")]

use std::ffi::c_void;
use std::io;
use std::ptr;

use rustix::fs::{FallocateFlags, MemfdFlags, fallocate, ftruncate, memfd_create};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use std::os::fd::OwnedFd;

use crate::spec::Backing;
use crate::units::Bytes;

/// Mappings start here, so that huge pages fit.
const ALIGN: usize = 2 << 20;

/// How guest memory is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MappingSpec {
    /// Where it comes from.
    pub backing: Backing,
    /// Whether memory is populated before the guest gets it.
    pub prealloc: bool,
    /// Whether transparent huge pages are asked for.
    pub thp: bool,
}

/// The host refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {size} of host memory: {error}")]
pub struct MappingError {
    step: &'static str,
    size: Bytes,
    #[source]
    error: io::Error,
}

/// For `map_err`: names the step that failed.
fn at<E: Into<io::Error>>(step: &'static str, size: u64) -> impl FnOnce(E) -> MappingError {
    move |error| MappingError { step, size: Bytes(size), error: error.into() }
}

/// A mapping, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    start: *mut c_void,
    size: usize,
    file: Option<OwnedFd>,
    prealloc: bool,
}

// SAFETY: the pointer is only an address; what lies behind it is guest memory, which the guest's
// CPUs change at any time, and which is only reached through vm-memory's volatile accesses.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `size` bytes; no memory is taken yet.
    ///
    /// # Errors
    /// [`MappingError`] when the host has no address space, or no memfd, to give.
    pub fn new(size: u64, spec: &MappingSpec) -> Result<Self, MappingError> {
        let fits = usize::try_from(size).ok().filter(|size| size.checked_add(ALIGN).is_some());
        let len = fits.ok_or_else(|| at("map", size)(io::Error::from(io::ErrorKind::OutOfMemory)))?;
        let file = match spec.backing {
            Backing::Anon => None,
            Backing::Memfd => Some(new_memfd(size)?),
        };
        let start = reserve(len).map_err(at("reserve", size))?;
        let mapping = Self { start, size: len, file, prealloc: spec.prealloc };
        mapping.populate_lazily().map_err(at("map", size))?;
        let advice = if spec.thp { Advice::LinuxHugepage } else { Advice::LinuxNoHugepage };
        // SAFETY: advice on huge pages changes no content.
        let advised = unsafe { madvise(mapping.start, len, advice) };
        if let Err(error) = advised {
            // Kernels without transparent huge pages refuse; memory works all the same.
            tracing::debug!("transparent huge pages: {error}");
        }
        Ok(mapping)
    }

    /// The host address of `offset`.
    pub fn address(&self, offset: u64) -> *mut u8 {
        let offset = usize::try_from(offset).expect("within the mapping, so it fits");
        assert!(offset < self.size, "offset {offset:#x} in a mapping of {:#x} bytes", self.size);
        self.start.cast::<u8>().wrapping_add(offset)
    }

    /// Gets `[offset, offset + size)` ready for the guest: populated when that was asked for.
    ///
    /// # Errors
    /// [`MappingError`] when the host has not enough memory.
    pub fn prepare(&self, offset: u64, size: u64) -> Result<(), MappingError> {
        if !self.prealloc {
            return Ok(());
        }
        let len = usize::try_from(size).expect("within the mapping, so it fits");
        let start = self.address(offset).cast();
        // SAFETY: populating changes no content.
        let populated = unsafe { madvise(start, len, Advice::LinuxPopulateWrite) };
        populated.or_else(|error| {
            self.discard(offset, size)?;
            Err(at("preallocate", size)(error))
        })
    }

    /// Gives the memory of `[offset, offset + size)` back; it reads as zeroes afterwards.
    ///
    /// # Errors
    /// [`MappingError`] when the host refuses; the content is unspecified then.
    pub fn discard(&self, offset: u64, size: u64) -> Result<(), MappingError> {
        match &self.file {
            // Dropping pages of a shared mapping would free nothing: the file keeps them.
            Some(file) => {
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(file, hole, offset, size).map_err(at("discard", size))
            }
            None => {
                let len = usize::try_from(size).expect("within the mapping, so it fits");
                // SAFETY: guest memory holds nothing that Rust relies on.
                unsafe { madvise(self.address(offset).cast(), len, Advice::LinuxDontNeed) }
                    .map_err(at("discard", size))
            }
        }
    }

    /// Puts readable, writable memory over the reserved address space.
    fn populate_lazily(&self) -> rustix::io::Result<()> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: replaces just this mapping's own reservation, which nothing uses yet.
        unsafe {
            match &self.file {
                Some(file) => mmap(self.start, self.size, prot, flags | MapFlags::SHARED, file, 0)?,
                None => mmap_anonymous(self.start, self.size, prot, flags | MapFlags::PRIVATE)?,
            };
        }
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's own, and its users are gone (see `Ram`).
        if let Err(error) = unsafe { munmap(self.start, self.size) } {
            tracing::warn!("unmap guest memory: {error}");
        }
    }
}

fn new_memfd(size: u64) -> Result<OwnedFd, MappingError> {
    let file = memfd_create("dimmer-ram", MemfdFlags::CLOEXEC).map_err(at("create a memfd for", size))?;
    ftruncate(&file, size).map_err(at("size a memfd for", size))?;
    Ok(file)
}

/// Address space of `size` bytes that starts at a multiple of [`ALIGN`] and cannot be accessed.
fn reserve(size: usize) -> rustix::io::Result<*mut c_void> {
    let none = ProtFlags::empty();
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let wide = unsafe {
        mmap_anonymous(ptr::null_mut(), size + ALIGN, none, MapFlags::PRIVATE | MapFlags::NORESERVE)?
    };
    let before = wide.addr().next_multiple_of(ALIGN) - wide.addr();
    let start = wide.wrapping_byte_add(before);
    // SAFETY: both ends belong to the mapping just made, and nothing uses them.
    unsafe {
        if before > 0 {
            munmap(wide, before)?;
        }
        munmap(start.wrapping_byte_add(size), ALIGN - before)?;
    }
    Ok(start)
}
