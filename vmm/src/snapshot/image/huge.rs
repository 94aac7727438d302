//! A file in memory that gets huge pages while it is written, if the host gives such files any.
//!
//! With `advise` in `/sys/kernel/mm/transparent_hugepage/shmem_enabled` Linux does so only where the file is touched first
//! through a mapping for which `MADV_HUGEPAGE` was said (Documentation/admin-guide/mm/transhuge.rst); `write` alone makes
//! pages of 4 KiB. What lies over the file is then read with one fault for each huge page, by the host and by the guest.
#![expect(unsafe_code, reason = "maps a file")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// Bytes of a huge page.
const HUGE: u64 = 2 << 20;

/// A file that is written from its beginning to its end.
#[derive(Debug)]
pub(super) struct HugeFile<'a> {
    file: &'a File,
    /// All of the file, only to touch it.
    start: *mut c_void,
    length: usize,
    /// The huge page that was touched last.
    touched: Option<u64>,
}

impl<'a> HugeFile<'a> {
    /// The first `length` bytes of a file that has them, none of which was written.
    ///
    /// # Errors
    /// What the host says.
    pub(super) fn new(file: &'a File, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that is nobody's.
        let start = unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, file, 0)? };
        let this = Self { file, start, length, touched: None };
        // SAFETY: the mapping is this object's own. A kernel without huge pages does not know the advice.
        let _ = unsafe { madvise(start, length, Advice::LinuxHugepage) };
        Ok(this)
    }

    /// Writes bytes to a place behind those written before.
    ///
    /// # Errors
    /// What the host says.
    pub(super) fn put(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        for page in place / HUGE..(place + bytes.len() as u64).div_ceil(HUGE) {
            if self.touched.replace(page) != Some(page) {
                self.touch(page)?;
            }
        }
        self.file.write_all_at(bytes, place)
    }

    /// Has the host give the file a huge page, or what it has instead.
    fn touch(&self, page: u64) -> io::Result<()> {
        let offset = usize::try_from(page * HUGE).map_err(io::Error::other)?;
        if offset >= self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: in the mapping, which is this object's own. The advice fails where an access would end the process.
        match unsafe { madvise(self.start.wrapping_byte_add(offset), 1, Advice::LinuxPopulateWrite) } {
            // Kernels before 5.14 do not know the advice.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for HugeFile<'_> {
    fn drop(&mut self) {
        // SAFETY: the mapping is this object's own, and nothing refers to it. It fails for no mapping that there is.
        let _ = unsafe { munmap(self.start, self.length) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_there() {
        let file = tempfile::tempfile().unwrap();
        let length = 2 * HUGE + 4096;
        file.set_len(length).unwrap();
        let mut huge = HugeFile::new(&file, length).unwrap();
        let pages = [(4096, 1), (HUGE - 4096, 2), (HUGE, 3), (2 * HUGE, 4)];
        for (place, value) in pages {
            huge.put(place, &[value; 4096]).unwrap();
        }
        huge.put(HUGE + 4096, &vec![5; 1 << 20]).unwrap();
        drop(huge);
        let read = |place: u64| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, place).unwrap();
            byte[0]
        };
        assert!(pages.iter().all(|(place, value)| read(*place) == *value));
        assert_eq!((read(0), read(8192), read(HUGE + 4096), read(HUGE + 4096 + (1 << 20))), (0, 0, 5, 0));
        assert_eq!(file.metadata().unwrap().len(), length);
    }

    #[test]
    fn nothing_is_put_behind_the_end() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(HUGE).unwrap();
        let mut huge = HugeFile::new(&file, HUGE).unwrap();
        let error = huge.put(HUGE, &[1; 4096]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(file.metadata().unwrap().len(), HUGE);
    }
}
