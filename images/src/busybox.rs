//! Debian's static busybox: the machine's where it is installed, else fetched into the cache.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, Cache};
use crate::elf::Elf;
use crate::{apt, deb};

/// The package.
pub const PACKAGE: &str = "busybox-static";

/// Why there is no static busybox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The package could not be fetched.
    #[error(transparent)]
    Apt(#[from] apt::Error),
    /// The package could not be unpacked.
    #[error(transparent)]
    Deb(#[from] deb::Error),
    /// The program cannot be used.
    #[error("Cannot use {path}")]
    Use {
        /// The program.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It is not static.
    #[error("{path} of the package {PACKAGE} is not a static program")]
    Dynamic {
        /// The program.
        path: PathBuf,
    },
}

/// A static busybox.
#[derive(Clone, Debug)]
pub struct Busybox {
    /// Where it is.
    pub path: PathBuf,
    /// The program.
    pub image: Vec<u8>,
}

impl Busybox {
    /// The machine's, if it is static, or the cache's.
    #[must_use]
    pub fn find(cache: &Cache) -> Option<Self> {
        let paths = [PathBuf::from("/bin/busybox"), cached(cache)];
        paths.iter().find_map(|path| Self::read(path).ok())
    }

    /// [`find`](Self::find), or else fetches it.
    ///
    /// # Errors
    /// [`Error`].
    pub fn find_or_fetch(cache: &Cache) -> Result<Self, Error> {
        if let Some(busybox) = Self::find(cache) {
            return Ok(busybox);
        }
        let lock = cache.lock()?;
        if let Some(busybox) = Self::find(cache) {
            return Ok(busybox);
        }
        let apt = apt::Apt::open(cache, &lock, "bookworm")?;
        let staged = cache.stage(&lock)?;
        let (package, unpacked) = (apt.download(&apt.current(PACKAGE)?, &staged)?, staged.join("files"));
        deb::unpack(&package, &unpacked)?;
        let found = ["bin", "usr/bin"].map(|directory| unpacked.join(directory).join("busybox"));
        let program = found.iter().find(|path| path.exists()).unwrap_or(&found[0]);
        let image = fs::read(program).map_err(|cause| Error::Use { path: program.clone(), cause })?;
        Self::parse(program, image)?;
        cache.publish(&lock, program, "busybox")?;
        Self::read(&cached(cache))
    }

    fn read(path: &Path) -> Result<Self, Error> {
        let image = fs::read(path).map_err(|cause| Error::Use { path: path.into(), cause })?;
        Self::parse(path, image)
    }

    fn parse(path: &Path, image: Vec<u8>) -> Result<Self, Error> {
        if Elf::new(&image).is_none_or(Elf::is_dynamic) {
            return Err(Error::Dynamic { path: path.into() });
        }
        Ok(Self { path: path.into(), image })
    }

    /// Names of its applets, as it says itself.
    ///
    /// # Errors
    /// [`Error::Use`] when it does not run.
    pub fn applets(&self) -> Result<Vec<String>, Error> {
        let output = Command::new(&self.path).arg("--list").output();
        let output = output.map_err(|cause| Error::Use { path: self.path.clone(), cause })?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }
}

fn cached(cache: &Cache) -> PathBuf {
    cache.root().join("busybox")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_not_taken_for_busybox() {
        let this = std::env::current_exe().unwrap();
        assert!(matches!(Busybox::read(&this), Err(Error::Dynamic { .. })));
        assert!(matches!(Busybox::read(Path::new("/no/such/busybox")), Err(Error::Use { .. })));
    }
}
