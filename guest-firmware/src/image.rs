//! A kernel or an initramfs on the host: a file that is opened once and read at every start of the
//! machine.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// A regular file with the path that it was opened by.
#[derive(Debug)]
pub struct Image {
    path: PathBuf,
    file: File,
    size: u64,
}

/// Why a file is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be opened.
    #[error("Cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is a directory, a pipe or the like.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// It has no content.
    #[error("{} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Image {
    /// Opens the file at `path`.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Open { path: path.to_owned(), source };
        // Asked before opening: to open a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(ImageError::NotAFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        match file.metadata().map_err(failed)?.len() {
            0 => Err(ImageError::Empty { path: path.to_owned() }),
            size => Ok(Self { path: path.to_owned(), file, size }),
        }
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length in bytes when it was opened.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Fills `bytes` from `offset`.
    pub(crate) fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// The file from its start, for loaders that read it as a stream.
    pub(crate) fn reader(&self) -> io::Result<&File> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Copies the whole file to guest-physical address `start`.
    pub(crate) fn copy_to<M: GuestMemoryBackend>(&self, memory: &M, start: u64) -> io::Result<()> {
        let size = usize::try_from(self.size).map_err(io::Error::other)?;
        memory
            .read_exact_volatile_from(GuestAddress(start), &mut self.reader()?, size)
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let error = Image::open(Path::new("/nowhere/vmlinuz")).unwrap_err();
        assert_eq!(error.to_string(), "Cannot open /nowhere/vmlinuz");
    }

    #[test]
    fn a_directory_is_no_image() {
        let directory = tempfile::tempdir().unwrap();
        let error = Image::open(directory.path()).unwrap_err();
        assert!(matches!(error, ImageError::NotAFile { path } if path == directory.path()));
    }

    #[test]
    fn an_empty_file_is_no_image() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Image::open(file.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("{} is empty", file.path().display()));
    }
}
