//! A snapshot in one file without a name, for children of this process: the memory, the state, and in the last 8 bytes where
//! the one ends and the other begins (little endian). Nobody can change it once it is made, and it needs no checksum.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::memory::Put;
use super::state::{self, FilesState, Saved};
use super::{LARGEST_STATE, MachineState, Snapshot, SnapshotError};

mod huge;

use huge::HugeFile;

const TRAILER: u64 = 8;

/// Makes an image of a machine: `length` bytes of memory, which `save` hands over, and its state.
///
/// # Errors
/// What the host says.
pub fn write(
    machine: MachineState,
    files: FilesState,
    length: u64,
    save: impl FnOnce(Put<'_>) -> io::Result<()>,
) -> io::Result<File> {
    // Not all paths are text.
    let state = serde_json::to_vec(&Saved { files, machine })?;
    let memfd = memfd_create("dimmer-image", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut image = File::from(memfd);
    image.set_len(length)?;
    let mut huge = HugeFile::new(&image, length)?;
    save(&mut |place, pages| huge.put(place, pages))?;
    // What is mapped for writing cannot be sealed.
    drop(huge);
    image.seek(SeekFrom::Start(length))?;
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
        let saved = state::parse(&bytes).map_err(wrong)?;
        Self::whole(saved, image, length, path)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::snapshot::{memory, sample};

    fn written() -> File {
        write(sample::state(), sample::saved().files, sample::LENGTH, |put| sample::save(put, None)).unwrap()
    }

    /// A file of `memory` bytes of memory with `state` behind it, and what the last 8 bytes say of the first length.
    fn file(memory: u64, state: &[u8], length: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(memory).unwrap();
        file.write_all_at(state, memory).unwrap();
        file.write_all_at(&length.to_le_bytes(), memory + state.len() as u64).unwrap();
        file
    }

    fn complaint(image: File) -> String {
        let error = Snapshot::from_image(image).unwrap_err().to_string();
        error.strip_prefix("the image of the parent: ").unwrap_or_else(|| panic!("{error}")).to_owned()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let snapshot = Snapshot::from_image(written()).unwrap();
        let expected = sample::saved();
        let text = |files: &FilesState, state: &MachineState| serde_json::to_string(&(files, state)).unwrap();
        assert_eq!(text(&snapshot.files, &snapshot.state), text(&expected.files, &expected.machine));
        let [layer] = &snapshot.layers[..] else { panic!("{snapshot:?}") };
        assert_eq!((&snapshot.id, layer.sum), (&None, None));
        let mut places = Vec::new();
        let put = |place: u64, bytes: &[u8]| {
            places.push(place..place + bytes.len() as u64);
            Ok(())
        };
        memory::load(&layer.file, sample::LENGTH, put).unwrap();
        assert_eq!(places.first().map(|place| place.start), Some(sample::LENGTH - 8192));
        assert_eq!(places.last().map(|place| place.end), Some(sample::LENGTH), "the state is no memory");
    }

    #[test]
    fn nobody_changes_an_image() {
        let image = written();
        let length = image.metadata().unwrap().len();
        assert!(image.write_all_at(b"x", 0).is_err());
        assert!(image.set_len(length - 1).is_err());
        assert!(image.set_len(length + 1).is_err());
        Snapshot::from_image(image).unwrap();
    }

    #[test]
    fn a_file_that_is_no_image_is_refused() {
        let state = serde_json::to_vec(&sample::saved()).unwrap();
        let bytes = |bytes: &[u8]| {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(bytes, 0).unwrap();
            file
        };
        assert_eq!(complaint(bytes(b"")), "unexpected end of file");
        assert_eq!(complaint(bytes(b"1234567")), "unexpected end of file");
        assert_eq!(complaint(bytes(&u64::MAX.to_le_bytes())), "invalid data");
        assert_eq!(complaint(bytes(&1_u64.to_le_bytes())), "invalid data");
        assert!(complaint(bytes(&0_u64.to_le_bytes())).starts_with("is no state of a machine: EOF"));
        // A state that no machine has.
        assert_eq!(complaint(file(LARGEST_STATE + 1, b"", 0)), "invalid data");
        Snapshot::from_image(file(sample::LENGTH, &state, sample::LENGTH)).unwrap();
        let shifted = complaint(file(sample::LENGTH, &state, sample::LENGTH + 1));
        assert!(shifted.starts_with("is no state of a machine: "), "{shifted}");
        let more = sample::LENGTH + 4096;
        let expected = format!("has {more} bytes, and the state is about {}", sample::LENGTH);
        assert_eq!(complaint(file(more, &state, more)), expected);
        let cut = complaint(file(sample::LENGTH, &state[..state.len() - 1], sample::LENGTH));
        assert!(cut.starts_with("is no state of a machine: "), "{cut}");
    }

    #[test]
    fn an_image_that_cannot_be_written_is_an_error() {
        let failed = |state, save: fn(Put<'_>) -> io::Result<()>| {
            write(state, sample::saved().files, sample::LENGTH, save).unwrap_err()
        };
        let given_up = failed(sample::state(), |_| Err(io::ErrorKind::Interrupted.into()));
        assert_eq!(given_up.kind(), io::ErrorKind::Interrupted);
        let mut odd = sample::state();
        odd.spec.kernel = OsStr::from_bytes(b"/boot/\xff").into();
        let no_text = failed(odd, |put| sample::save(put, None)).to_string();
        assert!(no_text.contains("path contains invalid UTF-8"), "{no_text}");
    }
}
