//! A file that is not in the snapshot, but has to be the same when it is needed.

use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use twox_hash::XxHash64;

/// By what a file is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMark {
    /// Where it was.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last written: seconds and nanoseconds since 1970.
    pub modified: (i64, i64),
    /// XXH64 of what is in it, unless it is to be the very file that was marked.
    pub xxh64: Option<u64>,
}

impl FileMark {
    /// The mark of a file that was opened at `path`. If it has not been written since it was `known`, its checksum is known, too.
    ///
    /// # Errors
    /// What the host says.
    pub fn of(path: &Path, file: &File, known: Option<&Self>) -> io::Result<Self> {
        let now = Self::at_once(path, file, None)?;
        let same = known.filter(|known| (known.bytes, known.modified) == (now.bytes, now.modified));
        let xxh64 = same.and_then(|known| known.xxh64).map_or_else(|| sum(file), Ok)?;
        Ok(Self { xxh64: Some(xxh64), ..now })
    }

    /// The same without a look at what is in it.
    ///
    /// # Errors
    /// What the host says.
    pub fn at_once(path: &Path, file: &File, _: Option<&Self>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { path: path.to_owned(), bytes: metadata.len(), modified, xxh64: None })
    }

    /// Complains unless `file` is the one that was marked: neither written since, nor another one with other bytes in it.
    ///
    /// # Errors
    /// In what it differs, in words, or what the host says.
    pub fn check(&self, file: &File) -> Result<(), String> {
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if metadata.len() != self.bytes {
            return Err(format!("has {} bytes, and the machine's had {}", metadata.len(), self.bytes));
        }
        if (metadata.mtime(), metadata.mtime_nsec()) == self.modified {
            return Ok(());
        }
        let Some(wanted) = self.xxh64 else { return Err("was written since the machine began".to_owned()) };
        let seen = sum(file).map_err(|error| error.to_string())?;
        if seen == wanted {
            return Ok(());
        }
        Err(format!("is not the machine's: its checksum is {seen:#x}, and was {wanted:#x}"))
    }
}

/// The checksum of all that is in a file, wherever it is read at present.
fn sum(file: &File) -> io::Result<u64> {
    let mut hasher = XxHash64::with_seed(0);
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let read = std::os::unix::fs::FileExt::read_at(file, &mut buffer, at)?;
        if read == 0 {
            return Ok(hasher.finish());
        }
        hasher.write(&buffer[..read]);
        at += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_copy_is_the_same_and_what_was_written_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernel");
        let write = |text: &str| {
            fs::write(&path, text).unwrap();
            File::open(&path).unwrap()
        };
        let mark = FileMark::of(&path, &write("one"), None).unwrap();
        mark.check(&File::open(&path).unwrap()).unwrap();
        mark.check(&write("one")).unwrap();
        assert!(mark.check(&write("two")).unwrap_err().starts_with("is not the machine's"));
        let known = FileMark { xxh64: Some(7), ..mark.clone() };
        let again = |known| FileMark::of(&path, &File::open(&path).unwrap(), Some(known)).unwrap().xxh64;
        assert_ne!(again(&known), Some(7), "it was written since");
        let known =
            FileMark { xxh64: Some(7), ..FileMark::of(&path, &File::open(&path).unwrap(), None).unwrap() };
        assert_eq!(again(&known), Some(7));
        let mark = FileMark::at_once(&path, &write("one"), None).unwrap();
        mark.check(&File::open(&path).unwrap()).unwrap();
        assert_eq!(mark.check(&write("two")).unwrap_err(), "was written since the machine began");
        assert_eq!(mark.check(&write("three")).unwrap_err(), "has 5 bytes, and the machine's had 3");
    }
}
