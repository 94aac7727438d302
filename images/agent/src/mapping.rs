//! A piece of this process's address space, given back when it is dropped.
#![expect(unsafe_code, reason = "mapping memory and touching it through pointers is unsafe")]

use std::convert::Infallible;
use std::ffi::c_void;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap, mmap_anonymous, munmap};
use rustix::pipe::{IoSliceRaw, SpliceFlags, vmsplice};

/// Mapped memory. It may change at any time, so it is only touched by volatile accesses, never
/// through references.
#[derive(Debug)]
pub struct Mapping {
    start: *mut c_void,
    size: usize,
}

impl Mapping {
    /// `size` bytes of `file` from `offset` on, shared with it; both must be whole pages.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn file(file: impl AsFd, offset: u64, size: usize, writable: bool) -> Result<Self, Errno> {
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: The kernel chooses the place, so nothing that exists is replaced.
        let start = unsafe { mmap(ptr::null_mut(), size, access, MapFlags::SHARED, file, offset)? };
        Ok(Self { start, size })
    }

    /// `size` bytes of zeroes, which take memory only as they are touched.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn anonymous(size: usize) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: The kernel chooses the place, so nothing that exists is replaced.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), size, access, flags)? };
        Ok(Self { start, size })
    }

    /// Its place in this process.
    pub fn address(&self) -> u64 {
        self.start.addr() as u64
    }

    /// The place of a `T` at `offset`.
    ///
    /// # Panics
    /// When it does not lie within the mapping, or not where a `T` may lie.
    fn place<T>(&self, offset: usize) -> *mut T {
        let end = offset.checked_add(size_of::<T>()).expect("offsets are those of a mapping");
        assert!(end <= self.size, "offset {offset} is outside of a mapping of {} bytes", self.size);
        let place = self.start.wrapping_byte_add(offset).cast::<T>();
        assert!(place.is_aligned(), "offset {offset} is not aligned");
        place
    }

    /// Reads a byte.
    ///
    /// # Panics
    /// When `offset` is outside.
    pub fn read_u8(&self, offset: usize) -> u8 {
        // SAFETY: `place` lies within the mapping, which is readable for as long as `self` lives.
        unsafe { self.place::<u8>(offset).read_volatile() }
    }

    /// Reads eight bytes in one access.
    ///
    /// # Panics
    /// When they are not all inside, or `offset` is not a multiple of 8.
    pub fn read_u64(&self, offset: usize) -> u64 {
        // SAFETY: As for `read_u8`; every bit pattern is a number.
        unsafe { self.place::<u64>(offset).read_volatile() }
    }

    /// Writes a byte; the mapping must be a writable one.
    ///
    /// # Panics
    /// When `offset` is outside.
    pub fn write_u8(&self, offset: usize, value: u8) {
        // SAFETY: `place` lies within the mapping, which lives as long as `self`, and nobody has a
        // reference to it.
        unsafe { self.place::<u8>(offset).write_volatile(value) }
    }

    /// Writes eight bytes in one access; the mapping must be a writable one.
    ///
    /// # Panics
    /// When they are not all inside, or `offset` is not a multiple of 8.
    pub fn write_u64(&self, offset: usize, value: u64) {
        // SAFETY: As for `write_u8`.
        unsafe { self.place::<u64>(offset).write_volatile(value) }
    }

    /// Tells the kernel how `size` bytes from `offset` on will be used; advice that it does not
    /// take changes nothing.
    ///
    /// # Panics
    /// When they are not all inside, or the advice is one that drops what is in memory.
    pub fn advise(&self, offset: usize, size: usize, advice: Advice) {
        assert!(matches!(advice, Advice::LinuxHugepage | Advice::LinuxCold), "{advice:?} is not harmless");
        assert!(offset.checked_add(size).is_some_and(|end| end <= self.size), "advice about other memory");
        // SAFETY: The range lies within the mapping, and the advice changes no content.
        let _ = unsafe { madvise(self.start.wrapping_byte_add(offset), size, advice) };
    }

    /// Has all of it in memory, for as long as it is mapped.
    ///
    /// # Errors
    /// The kernel's refusal, also for want of memory.
    pub fn lock(&self) -> Result<(), Errno> {
        // SAFETY: The range is this mapping, and what it holds does not change.
        unsafe { mlock(self.start, self.size) }
    }

    /// Says with an empty line that it is there, and holds it until this program is killed.
    ///
    /// # Errors
    /// When nobody can be told.
    pub fn held(self) -> io::Result<Infallible> {
        io::stdout().write_all(b"\n")?;
        io::stdout().flush()?;
        loop {
            std::thread::park();
        }
    }

    /// Puts `size` bytes from `offset` on into `pipe` without copying them: the pipe holds on to
    /// their pages, also when the mapping is gone. Gives the bytes that went in.
    ///
    /// # Errors
    /// The kernel's refusal.
    ///
    /// # Panics
    /// When they are not all inside.
    pub fn splice(&self, offset: usize, size: usize, pipe: BorrowedFd<'_>) -> Result<usize, Errno> {
        assert!(offset.checked_add(size).is_some_and(|end| end <= self.size), "a splice of other memory");
        let start = self.start.wrapping_byte_add(offset).cast::<u8>();
        // SAFETY: The range lies within the mapping, which outlives the slice; zeroes and what was
        // written are initialized bytes, and nobody writes while the slice is there.
        let bytes = IoSliceRaw::from_slice(unsafe { std::slice::from_raw_parts(start, size) });
        // SAFETY: The kernel takes references to the pages and, without a flag, no more than that.
        unsafe { vmsplice(pipe, &[bytes], SpliceFlags::empty()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: The mapping is this value's own, and nobody else has its address.
        let _ = unsafe { munmap(self.start, self.size) };
    }
}
