//! A snapshot in one file without a name, for children of this process: the memory, the state, and in the last 8 bytes where
//! the one ends and the other begins (little endian). Nobody can change it once it is made, and it needs no checksum.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::memory::PageSum;
use super::state::{self, FilesState, Saved};
use super::{LARGEST_STATE, MachineState, Snapshot, SnapshotError};

const TRAILER: u64 = 8;

/// Makes an image of a machine: `length` bytes of memory, which `save` writes, and its state.
///
/// # Errors
/// What the host says.
pub fn write(
    machine: MachineState,
    files: FilesState,
    length: u64,
    save: impl FnOnce(&File, Option<&mut PageSum>) -> io::Result<()>,
) -> io::Result<File> {
    let memfd = memfd_create("dimmer-image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut image = File::from(memfd);
    image.set_len(length)?;
    save(&image, None)?;
    image.seek(SeekFrom::Start(length))?;
    let state = serde_json::to_vec(&Saved { files, machine }).expect("a state can be written as JSON");
    image.write_all(&state)?;
    image.write_all(&length.to_le_bytes())?;
    fcntl_add_seals(&image, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW)?;
    Ok(image)
}

impl Snapshot {
    /// The snapshot in an image.
    ///
    /// # Errors
    /// [`SnapshotError`] when it is none.
    pub fn from_image(image: File) -> Result<Self, SnapshotError> {
        let path = PathBuf::from("the image of the parent");
        let wrong = |what: String| SnapshotError::Content { path: path.clone(), what };
        let read = || -> io::Result<(u64, Vec<u8>)> {
            let size = image.metadata()?.len();
            let end = size.checked_sub(TRAILER).ok_or(io::ErrorKind::UnexpectedEof)?;
            let mut length = [0; 8];
            image.read_exact_at(&mut length, end)?;
            let length = u64::from_le_bytes(length);
            let state = end.checked_sub(length).filter(|state| *state <= LARGEST_STATE);
            let state = state.ok_or(io::ErrorKind::InvalidData)?;
            let mut bytes = vec![0; usize::try_from(state).expect("no more than the largest")];
            image.read_exact_at(&mut bytes, length)?;
            Ok((length, bytes))
        };
        let (length, bytes) = read().map_err(|error| wrong(error.to_string()))?;
        let Saved { files, machine } = state::parse(&bytes).map_err(wrong)?;
        Self::checked(files, machine, image, length, path)
    }
}
