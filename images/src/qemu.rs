//! QEMU of the emulated host: Debian's, in one version for every machine, with all its libraries and started by its own
//! loader. Nothing is installed, so no root is needed, and every machine has the same emulation.
//!
//! In the cache, `qemu-VERSION/` has the files of the packages that matter, and the file `qemu.current` says which
//! version is current. `docs/hosts.md` says why it is this suite's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::{self, Apt};
use crate::cache::{self, Cache, Lock};
use crate::deb;

/// The Debian suite it comes from. QEMU before 10.2 loses interrupts of the emulated processor.
pub const SUITE: &str = "trixie-backports";
/// The package.
pub const PACKAGE: &str = "qemu-system-x86";

/// File with the current version.
const CURRENT: &str = "qemu.current";
/// The program, the directories of its libraries and firmware, and the loader among the libraries.
const PROGRAM: &str = "usr/bin/qemu-system-x86_64";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];
const LOADER: &str = "ld-linux-x86-64.so.2";

/// Why there is no QEMU.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The packages could not be fetched.
    #[error(transparent)]
    Apt(#[from] apt::Error),
    /// A package could not be unpacked.
    #[error(transparent)]
    Deb(#[from] deb::Error),
    /// A file is not where Debian has it.
    #[error("Cannot use {path} of the package {PACKAGE} and those it depends on")]
    Use {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// QEMU in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    root: PathBuf,
    /// Debian's version of it.
    pub version: String,
}

impl Qemu {
    /// The one in the cache.
    #[must_use]
    pub fn find(cache: &Cache) -> Option<Self> {
        let version = fs::read_to_string(cache.root().join(CURRENT)).ok()?.trim_end().to_owned();
        let root = cache.root().join(directory(&version));
        root.join(PROGRAM).is_file().then_some(Self { root, version })
    }

    /// [`find`](Self::find), or else fetches it; progress goes to standard error.
    ///
    /// # Errors
    /// [`Error`].
    pub fn find_or_fetch(cache: &Cache) -> Result<Self, Error> {
        if let Some(qemu) = Self::find(cache) {
            return Ok(qemu);
        }
        let lock = cache.lock()?;
        // Whoever held the lock before may have fetched it.
        match Self::find(cache) {
            Some(qemu) => Ok(qemu),
            None => Self::fetch(cache, &lock),
        }
    }

    fn fetch(cache: &Cache, lock: &Lock) -> Result<Self, Error> {
        let apt = Apt::open(cache, lock, SUITE)?;
        let version = apt.current(PACKAGE)?.version;
        let staged = cache.stage(lock)?;
        let (archives, files, kept) = (staged.join("archives"), staged.join("files"), staged.join("kept"));
        let packages = apt.download_all(PACKAGE, &archives)?;
        crate::progress::say(format_args!("Unpacking {} packages", packages.len()));
        packages.iter().try_for_each(|package| deb::unpack(package, &files))?;
        for part in [PROGRAM, LIBRARIES].into_iter().chain(FIRMWARE) {
            keep(&files.join(part), &kept.join(part))?;
        }
        let root = cache.publish(lock, &kept, directory(&version))?;
        cache.stage(lock)?;
        cache.write(CURRENT, format!("{version}\n").as_bytes())?;
        Ok(Self { root, version })
    }

    /// A copy of it in the directory `to`.
    ///
    /// # Errors
    /// [`Error::Use`].
    pub fn copied(&self, to: &Path) -> Result<Self, Error> {
        for part in [PROGRAM, LIBRARIES].into_iter().chain(FIRMWARE) {
            copy(&self.root.join(part), &to.join(part))?;
        }
        Ok(Self { root: to.into(), version: self.version.clone() })
    }

    /// The command that runs it, without any argument of its own but where its firmware is.
    #[must_use]
    pub fn command(&self) -> Command {
        let libraries = self.root.join(LIBRARIES);
        let mut command = Command::new(libraries.join(LOADER));
        command.arg("--library-path").arg(&libraries).arg(self.root.join(PROGRAM));
        for directory in FIRMWARE {
            command.arg("-L").arg(self.root.join(directory));
        }
        command
    }
}

/// Its place in the cache. A version may have an epoch, whose colon would part paths of a library path.
pub(crate) fn directory(version: &str) -> String {
    format!("qemu-{}", version.rsplit(':').next().unwrap_or(version))
}

fn keep(from: &Path, to: &Path) -> Result<(), Error> {
    let parent = to.parent().expect("a part of a package has a parent");
    let moved = fs::create_dir_all(parent).and_then(|()| fs::rename(from, to));
    moved.map_err(|cause| Error::Use { path: from.into(), cause })
}

/// Copies a file, or a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let cannot = |cause| Error::Use { path: from.into(), cause };
    if from.is_dir() {
        fs::create_dir_all(to).map_err(cannot)?;
        let mut names = fs::read_dir(from).map_err(cannot)?.map(|entry| entry.map(|entry| entry.file_name()));
        return names.try_for_each(|name| {
            let name = name.map_err(cannot)?;
            copy(&from.join(&name), &to.join(&name))
        });
    }
    fs::create_dir_all(to.parent().expect("a file has a directory")).map_err(cannot)?;
    fs::copy(from, to).map(drop).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_once_all_of_it_is_there_and_runs_with_its_own_loader() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path()).unwrap();
        cache.write(CURRENT, b"1:11.1+ds-1\n").unwrap();
        assert_eq!(Qemu::find(&cache), None, "the program is missing");
        cache.write(Path::new("qemu-11.1+ds-1").join(PROGRAM), b"").unwrap();
        let qemu = Qemu::find(&cache).unwrap();
        assert_eq!(qemu.version, "1:11.1+ds-1");
        let command = qemu.command();
        let program = Path::new(command.get_program());
        assert!(program.starts_with(cache.root()) && program.ends_with(LOADER), "{command:?}");
        assert!(command.get_args().any(|argument| Path::new(argument).ends_with(PROGRAM)), "{command:?}");
    }

    #[test]
    fn a_copy_has_all_that_it_needs() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().join("cache")).unwrap();
        cache.write(CURRENT, b"1\n").unwrap();
        let parts = [PROGRAM.into(), format!("{LIBRARIES}/{LOADER}"), format!("{LIBRARIES}/qemu/more.so")];
        let firmware = FIRMWARE.map(|directory| format!("{directory}/rom"));
        for part in parts.iter().chain(&firmware) {
            cache.write(Path::new("qemu-1").join(part), part.as_bytes()).unwrap();
        }
        let to = place.path().join("copy");
        let copy = Qemu::find(&cache).unwrap().copied(&to).unwrap();
        for part in parts.iter().chain(&firmware) {
            assert_eq!(fs::read_to_string(to.join(part)).unwrap(), *part);
        }
        assert_eq!(Path::new(copy.command().get_program()), to.join(LIBRARIES).join(LOADER));
    }
}
