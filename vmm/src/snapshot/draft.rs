//! A snapshot that is being written: aside, until all of it is on disk, and then in its place in one step.
//!
//! Whenever the process or the host ends, what was in the place before is whole. What is left aside then is removed by the
//! next snapshot that goes to the same place.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::{MANIFEST, MEMORY, Manifest, STATE, SnapshotError, WRITTEN, at};

/// A snapshot without a manifest; gone when dropped, unless it was [finished](Draft::finish).
#[derive(Debug)]
pub struct Draft {
    place: PathBuf,
    aside: PathBuf,
    /// The directory aside, locked: nobody else writes there, or removes it. Without one there is nothing of ours.
    directory: Option<File>,
}

impl Draft {
    /// Begins a snapshot that is to be at `place`, where there is nothing, an empty directory, or another snapshot.
    ///
    /// # Errors
    /// [`SnapshotError`] when something else is there, when another process writes a snapshot there, or the host refuses.
    pub fn begin(place: &Path) -> Result<Self, SnapshotError> {
        check_place(place)?;
        let name = place.file_name().ok_or_else(|| wrong(place, "is no name for a directory"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        let aside = place.with_file_name(hidden);
        match DirBuilder::new().mode(0o700).create(&aside) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(at(&aside, "make")(error));
            }
            _ => {}
        }
        let directory = locked(&aside).map_err(at(&aside, "lock"))?;
        let directory = directory.ok_or_else(|| wrong(place, "another snapshot is being written there"))?;
        for left in [MANIFEST, STATE, MEMORY, WRITTEN] {
            match fs::remove_file(aside.join(left)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&aside, "empty")(error));
                }
                _ => {}
            }
        }
        Ok(Self { place: place.to_owned(), aside, directory: Some(directory) })
    }

    /// The file for the memory, empty; this user's alone, as is what a guest has in memory.
    ///
    /// # Errors
    /// [`SnapshotError::Host`].
    pub fn memory(&self) -> Result<File, SnapshotError> {
        self.create(MEMORY)
    }

    /// Writes the state, which is JSON.
    ///
    /// # Errors
    /// [`SnapshotError::Host`].
    pub fn state(&self, json: &[u8]) -> Result<(), SnapshotError> {
        self.write(STATE, json)
    }

    /// Where that file is.
    pub fn memory_path(&self) -> PathBuf {
        self.aside.join(MEMORY)
    }

    /// Writes which parts of the memory the file has, which is JSON.
    ///
    /// # Errors
    /// [`SnapshotError::Host`].
    pub fn written(&self, json: &[u8]) -> Result<(), SnapshotError> {
        self.write(WRITTEN, json)
    }

    /// Puts the snapshot into its place. The memory is on disk.
    ///
    /// # Errors
    /// [`SnapshotError::Host`]; what was in the place before is still there.
    pub fn finish(mut self, manifest: &Manifest) -> Result<(), SnapshotError> {
        let json = serde_json::to_vec_pretty(manifest).expect("strings and numbers can be written as JSON");
        self.write(MANIFEST, &json)?;
        if let Some(directory) = &self.directory {
            directory.sync_all().map_err(at(&self.aside, "write to disk"))?;
        }
        check_place(&self.place)?;
        match renameat_with(CWD, &self.aside, CWD, &self.place, RenameFlags::EXCHANGE) {
            Err(Errno::NOENT) => {
                fs::rename(&self.aside, &self.place).map_err(at(&self.place, "rename"))?;
                self.directory = None;
            }
            exchanged => {
                exchanged.map_err(at(&self.place, "exchange with the one before"))?;
                // What was there before is aside now, and goes with this draft, unless the next one has it already.
                self.directory = locked(&self.aside).ok().flatten();
            }
        }
        let parent = self.place.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(at(parent, "write to disk"))
    }

    fn create(&self, name: &str) -> Result<File, SnapshotError> {
        let path = self.aside.join(name);
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        file.map_err(at(&path, "make"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut file = self.create(name)?;
        let path = self.aside.join(name);
        io::Write::write_all(&mut file, bytes).map_err(at(&path, "write"))?;
        file.sync_all().map_err(at(&path, "write to disk"))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.directory.is_some()
            && let Err(error) = fs::remove_dir_all(&self.aside)
        {
            tracing::warn!("{} stays behind: {error}", self.aside.display());
        }
    }
}

/// The directory, unless another process has locked it.
fn locked(path: &Path) -> io::Result<Option<File>> {
    let directory = File::open(path)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(None),
        locked => Ok(locked.map(|()| Some(directory))?),
    }
}

/// Complains of a place where something is that is no snapshot.
fn check_place(place: &Path) -> Result<(), SnapshotError> {
    let found = match fs::symlink_metadata(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(at(place, "look at"))?,
    };
    if !found.is_dir() {
        return Err(wrong(place, "is there already, and is no directory"));
    }
    let empty = fs::read_dir(place).map_err(at(place, "look at"))?.next().is_none();
    if empty || place.join(MANIFEST).is_file() {
        return Ok(());
    }
    Err(wrong(place, "is a directory with something in it that is no snapshot"))
}

fn wrong(place: &Path, what: &'static str) -> SnapshotError {
    SnapshotError::Place { path: place.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::manifest::{Contents, sum_of};
    use std::os::unix::fs::PermissionsExt;

    fn finish(draft: Draft, state: &[u8]) {
        draft.memory().unwrap();
        draft.state(state).unwrap();
        draft.finish(&Manifest::new("1".to_owned(), sum_of(state), Contents { bytes: 0, xxh64: 0 })).unwrap();
    }

    fn names(directory: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn the_one_before_is_whole_until_the_next_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("snap");
        finish(Draft::begin(&place).unwrap(), b"one");
        assert_eq!(names(dir.path()), ["snap"]);
        assert_eq!(names(&place), ["manifest.json", "memory", "state.json"]);
        assert_eq!(fs::metadata(place.join("memory")).unwrap().permissions().mode() & 0o777, 0o600);
        let draft = Draft::begin(&place).unwrap();
        draft.state(b"two").unwrap();
        assert_eq!(fs::read(place.join("state.json")).unwrap(), b"one");
        // What a process leaves that is killed here.
        std::mem::forget(draft);
        assert_eq!(names(dir.path()), [".snap.partial", "snap"]);
        assert_eq!(fs::read(place.join("state.json")).unwrap(), b"one");
    }

    #[test]
    fn what_was_left_behind_goes_and_the_new_one_takes_the_place_of_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("snap");
        finish(Draft::begin(&place).unwrap(), b"one");
        fs::create_dir(dir.path().join(".snap.partial")).unwrap();
        fs::write(dir.path().join(".snap.partial/state.json"), b"left").unwrap();
        let draft = Draft::begin(&place).unwrap();
        let busy = Draft::begin(&place).unwrap_err().to_string();
        assert!(busy.ends_with("another snapshot is being written there"), "{busy}");
        finish(draft, b"two");
        assert_eq!(fs::read(place.join("state.json")).unwrap(), b"two");
        assert_eq!(names(dir.path()), ["snap"]);
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::begin(&dir.path().join("snap")).unwrap();
        draft.memory().unwrap();
        drop(draft);
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn what_is_no_snapshot_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let (file, full, empty) =
            (dir.path().join("file"), dir.path().join("full"), dir.path().join("empty"));
        fs::write(&file, b"x").unwrap();
        fs::create_dir(&full).unwrap();
        fs::write(full.join("letters"), b"x").unwrap();
        fs::create_dir(&empty).unwrap();
        assert!(Draft::begin(&file).unwrap_err().to_string().ends_with("is no directory"));
        assert!(Draft::begin(&full).unwrap_err().to_string().ends_with("that is no snapshot"));
        let nowhere = Draft::begin(&dir.path().join("not/there")).unwrap_err().to_string();
        assert!(nowhere.contains("not/.there.partial: make: "), "{nowhere}");
        finish(Draft::begin(&empty).unwrap(), b"one");
        assert_eq!(names(&empty).len(), 3);
    }
}
