//! Where the pages of guest memory come from: nowhere in particular, the pool of huge pages, or a
//! file.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{
    FallocateFlags, FileType, FlockOperation, MemfdFlags, Mode, OFlags, fallocate, flock, fstat, fstatfs,
    ftruncate, memfd_create, open,
};
use rustix::io::{Errno, retry_on_intr};

use crate::sparse;
use crate::spec::Backing;
use crate::units::{KIB, MIB};

/// `f_type` of hugetlbfs (include/uapi/linux/magic.h).
const HUGETLBFS: u64 = 0x9584_58f6;
/// Pages of files are set aside in pieces of this size: the allocation of a memfd's pages starts over
/// when a signal comes, such as the one that stops a vCPU.
const PIECE: u64 = 2 * MIB;
/// A hole that any file can have.
const PAGE: u64 = 4 * KIB;

/// A file for guest memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The host has none to give.
    #[error("memfd for guest memory: {0}")]
    Memfd(#[source] io::Error),
    /// A step with the file of `path=` failed.
    #[error("--memory path={}: {step}: {error}", path.display())]
    Path {
        /// The path as given.
        path: PathBuf,
        /// What was to be done.
        step: &'static str,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// Another machine has it.
    #[error("--memory path={}: another process has locked the file", .0.display())]
    InUse(PathBuf),
    /// Neither a directory nor a regular file.
    #[error("--memory path={}: must be a directory or a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Huge pages with another way to give them back.
    #[error("--memory path={}: lies on hugetlbfs; use backing=hugetlb for huge pages", .0.display())]
    Hugetlbfs(PathBuf),
}

/// Stores for the areas of a machine, one after the other.
#[derive(Debug)]
pub enum Stores {
    /// Private anonymous memory.
    Anonymous,
    /// Huge pages of this size.
    Huge(u64),
    /// A memfd for each area.
    Memfd,
    /// An unnamed file in this directory for each area.
    Directory(PathBuf),
    /// One file for all areas; `end` is where the next area goes.
    File {
        /// Its name.
        path: PathBuf,
        /// The file.
        file: Arc<OwnedFd>,
        /// Bytes that are given away.
        end: u64,
    },
}

/// Where the pages of one area come from.
#[derive(Debug)]
pub enum Store {
    /// Private anonymous memory.
    Anonymous,
    /// Private memory of huge pages of this size.
    Huge(u64),
    /// A shared file, from `offset` on.
    File {
        /// The file.
        file: Arc<OwnedFd>,
        /// Where the area starts in it.
        offset: u64,
    },
    /// A shared file that keeps what is in it.
    Persistent {
        /// The file.
        file: Arc<File>,
        /// Whether it can only be read.
        readonly: bool,
    },
}

impl Stores {
    /// Opens what `backing` names. A named file is locked, so that two machines do not share memory by
    /// accident, and emptied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(backing: &Backing) -> Result<Self, StoreError> {
        match backing {
            Backing::Anon => Ok(Self::Anonymous),
            Backing::Hugetlb(page) => Ok(Self::Huge(*page)),
            Backing::Memfd => Ok(Self::Memfd),
            Backing::File(path) if path.is_dir() => Ok(Self::Directory(path.clone())),
            Backing::File(path) => Ok(Self::File { file: open_locked(path)?, path: path.clone(), end: 0 }),
        }
    }

    /// The store of the next area, `size` bytes long. It holds nothing yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next(&mut self, size: u64) -> Result<Store, StoreError> {
        match self {
            Self::Anonymous => Ok(Store::Anonymous),
            Self::Huge(page) => Ok(Store::Huge(*page)),
            Self::Memfd => {
                let error = |errno: Errno| StoreError::Memfd(errno.into());
                let file = memfd_create("dimmer-ram", MemfdFlags::CLOEXEC).map_err(error)?;
                ftruncate(&file, size).map_err(error)?;
                Ok(Store::File { file: Arc::new(file), offset: 0 })
            }
            Self::Directory(path) => {
                let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
                let file = open(&*path, flags, Mode::RUSR | Mode::WUSR);
                let file = Arc::new(file.map_err(at(path, "make an unnamed file"))?);
                grow(path, &file, size)?;
                Ok(Store::File { file, offset: 0 })
            }
            Self::File { path, file, end } => {
                let offset = *end;
                let behind = offset.checked_add(size).ok_or(Errno::FBIG).map_err(at(path, "grow"))?;
                grow(path, file, behind)?;
                *end = behind;
                Ok(Store::File { file: file.clone(), offset })
            }
        }
    }
}

impl Store {
    /// Gives back what a file holds of `part` of the area; it reads as zeroes afterwards.
    pub(super) fn empty(&self, part: &Range<u64>) -> io::Result<()> {
        let Self::File { file, offset } = self else { return Ok(()) };
        Ok(punch(file, offset + part.start, part.end - part.start)?)
    }

    /// Sets memory or blocks aside for `part` of the area, when there is a file.
    pub(super) fn allocate(&self, part: &Range<u64>) -> io::Result<()> {
        let Self::File { file, offset } = self else { return Ok(()) };
        let mut start = part.start;
        while start < part.end {
            let size = PIECE.min(part.end - start);
            retry_on_intr(|| fallocate(file, FallocateFlags::empty(), offset + start, size))?;
            start += size;
        }
        Ok(())
    }

    /// Where a file has pages or blocks within the first `size` bytes of the area, ascending.
    pub(super) fn allocated(&self, size: u64) -> io::Result<Vec<Range<u64>>> {
        let Self::File { file, offset } = self else { return Ok(Vec::new()) };
        let parts = sparse::data(file, *offset..offset + size)?;
        Ok(parts.into_iter().map(|part| part.start - offset..part.end - offset).collect())
    }
}

/// For `map_err`: names the step that failed.
fn at(path: &Path, step: &'static str) -> impl FnOnce(Errno) -> StoreError {
    move |error| StoreError::Path { path: path.to_owned(), step, error: error.into() }
}

fn open_locked(path: &Path) -> Result<Arc<OwnedFd>, StoreError> {
    // Looked at before it is opened: opening a device or a pipe can have effects.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(StoreError::NotAFile(path.to_owned()));
    }
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::RUSR | Mode::WUSR).map_err(at(path, "open"))?;
    let found = fstat(&file).map_err(at(path, "look at"))?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(StoreError::NotAFile(path.to_owned()));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(StoreError::InUse(path.to_owned())),
        Err(error) => return Err(at(path, "lock")(error)),
    }
    ftruncate(&file, 0).map_err(at(path, "empty"))?;
    Ok(Arc::new(file))
}

/// Makes the file `size` bytes long and sees that its memory can be given back, before a guest finds
/// out that it cannot.
fn grow(path: &Path, file: &OwnedFd, size: u64) -> Result<(), StoreError> {
    let kind = fstatfs(file).map_err(at(path, "look at the file system"))?.f_type;
    if u64::try_from(kind) == Ok(HUGETLBFS) {
        return Err(StoreError::Hugetlbfs(path.to_owned()));
    }
    ftruncate(file, size).map_err(at(path, "grow"))?;
    punch(file, size.saturating_sub(PAGE), PAGE).map_err(at(path, "punch a hole, to give memory back,"))
}

fn punch(file: impl AsFd, offset: u64, size: u64) -> rustix::io::Result<()> {
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    retry_on_intr(|| fallocate(&file, hole, offset, size))
}
