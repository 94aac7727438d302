//! A kernel to boot: one of the table, fetched into the cache, or any file.
//!
//! In the cache, `kernels/NAME-VERSION/` has `vmlinuz`, `vmlinux`, `config`, `release` and `modules`, and the file
//! `kernels/NAME.current` says which version is current.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::apt;
use crate::cache::{self, Cache};
use crate::elf::Elf;
use crate::kernels::{self, Names, Source};
use crate::{deb, vmlinux};

/// Why there is no kernel.
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
    /// Neither a name nor a file.
    #[error("{name:?} is neither the name of a kernel nor a file; names are: {Names}")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// A kernel of the table that is not in the cache.
    #[error("The kernel {name} is not in the cache; fetch it with: dimmer-lab images fetch {name}")]
    NotFetched {
        /// Its name.
        name: &'static str,
    },
    /// A file cannot be read.
    #[error("Cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A file is no kernel.
    #[error("{path} is no kernel: neither a bzImage nor a 64-bit ELF vmlinux")]
    NoKernel {
        /// The file.
        path: PathBuf,
    },
    /// A directory has no modules of a kernel.
    #[error(
        "{path} has no modules: there is neither modules.builtin nor lib/modules/{release}/modules.builtin in it"
    )]
    NoModules {
        /// The directory that was given.
        path: PathBuf,
        /// The kernel's release.
        release: String,
    },
    /// The `vmlinux` could not be extracted.
    #[error("Cannot extract vmlinux from {path}")]
    Vmlinux {
        /// The bzImage.
        path: PathBuf,
        /// Why.
        #[source]
        cause: vmlinux::Error,
    },
}

/// A kernel, with what belongs to it.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its name in the table, or its path.
    pub name: String,
    /// Version of the Debian package; none for a file.
    pub version: Option<String>,
    /// What `uname -r` says in a guest; `unknown` where the file does not tell.
    pub release: String,
    /// The bzImage, unless a `vmlinux` was given.
    pub bzimage: Option<PathBuf>,
    /// The ELF `vmlinux`, unless the bzImage that was given has none that can be extracted.
    pub vmlinux: Option<PathBuf>,
    /// Its `/lib/modules/RELEASE`, where known.
    pub modules: Option<PathBuf>,
    cache: Cache,
}

impl Kernel {
    /// The kernel that `name` says: a name of the table that has been fetched, or the path of a bzImage or `vmlinux`.
    /// Modules of a path are looked for beside it, or are in the directory that is named with `PATH,modules=DIR`: a
    /// `lib/modules/RELEASE`, or what `make modules_install` was told as `INSTALL_MOD_PATH`.
    ///
    /// # Errors
    /// [`Error`]; [`Error::NotFetched`] when [`fetch`](crate::fetch) would help.
    pub fn resolve(name: &str) -> Result<Self, Error> {
        Self::resolve_in(&Cache::open()?, name)
    }

    /// [`resolve`](Self::resolve) with a cache of choice.
    ///
    /// # Errors
    /// As for `resolve`.
    pub fn resolve_in(cache: &Cache, name: &str) -> Result<Self, Error> {
        match kernels::find(name) {
            Some(source) => cached(cache, source)?.ok_or(Error::NotFetched { name: source.name }),
            None => from_file(cache, name),
        }
    }

    /// The file to boot by preference: the `vmlinux`, which starts faster, or else the bzImage.
    #[must_use]
    pub fn image(&self) -> &Path {
        let image = self.vmlinux.as_ref().or(self.bzimage.as_ref());
        image.expect("a kernel has at least one of the two")
    }

    /// The cache that what is made of this kernel goes into.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }
}

/// Every kernel of the table, and what the cache has of it.
///
/// # Errors
/// [`Error`] when the cache is damaged.
pub fn list(cache: &Cache) -> Result<Vec<(&'static Source, Option<Kernel>)>, Error> {
    kernels::SOURCES.iter().map(|source| Ok((source, cached(cache, source)?))).collect()
}

/// The current version of `source` in the cache, if there is one.
pub(crate) fn cached(cache: &Cache, source: &Source) -> Result<Option<Kernel>, Error> {
    let current = cache.root().join(current(source));
    let version = match fs::read_to_string(&current) {
        Ok(version) => version.trim_end().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::Read { path: current, cause }),
    };
    let directory = cache.root().join(directory(source, &version));
    let path = directory.join("release");
    let release = fs::read_to_string(&path).map_err(|cause| Error::Read { path, cause })?;
    Ok(Some(Kernel {
        name: source.name.into(),
        version: Some(version),
        release: release.trim_end().into(),
        bzimage: Some(directory.join("vmlinuz")),
        vmlinux: Some(directory.join("vmlinux")),
        modules: Some(directory.join("modules")),
        cache: cache.clone(),
    }))
}

/// Name in the cache of the file that says which version of `source` is current.
pub(crate) fn current(source: &Source) -> PathBuf {
    PathBuf::from(format!("kernels/{}.current", source.name))
}

/// Name in the cache of the directory of one version.
pub(crate) fn directory(source: &Source, version: &str) -> PathBuf {
    PathBuf::from(format!("kernels/{}-{version}", source.name))
}

fn from_file(cache: &Cache, name: &str) -> Result<Kernel, Error> {
    let (file, given) = match name.split_once(",modules=") {
        Some((file, directory)) => (file, Some(Path::new(directory))),
        None => (name, None),
    };
    let path = Path::new(file);
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Unknown { name: name.into() });
        }
        result => result.map_err(|cause| Error::Read { path: path.into(), cause })?,
    };
    let absolute = fs::canonicalize(path).map_err(|cause| Error::Read { path: path.into(), cause })?;
    let (release, bzimage, vmlinux) = if vmlinux::is_bzimage(&bytes) {
        (vmlinux::release(&bytes), Some(absolute.clone()), None)
    } else if Elf::new(&bytes).is_some() {
        (banner(&bytes), None, Some(absolute.clone()))
    } else {
        return Err(Error::NoKernel { path: absolute });
    };
    let beside = || release.as_deref().and_then(|release| modules_beside(&absolute, release));
    let modules = match given {
        Some(directory) => Some(modules_in(directory, release.as_deref().unwrap_or("unknown"))?),
        None => beside(),
    };
    let release = release.unwrap_or_else(|| "unknown".into());
    Ok(Kernel { name: name.into(), version: None, release, bzimage, vmlinux, modules, cache: cache.clone() })
}

/// The release in the banner of a `vmlinux`: the word behind `Linux version `.
fn banner(vmlinux: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let starts = vmlinux.windows(BANNER.len()).enumerate().filter(|(_, window)| *window == BANNER);
    let words = starts.filter_map(|(start, _)| {
        let word = vmlinux[start + BANNER.len()..].split(|byte| b" \0\n%".contains(byte)).next()?;
        std::str::from_utf8(word).ok().filter(|word| word.starts_with(|first: char| first.is_ascii_digit()))
    });
    words.map(str::to_owned).next()
}

/// The modules in a directory that somebody named.
fn modules_in(directory: &Path, release: &str) -> Result<PathBuf, Error> {
    let places = [directory.to_owned(), directory.join("lib/modules").join(release)];
    let found = places.into_iter().find(|place| place.join("modules.builtin").is_file());
    let none = || Error::NoModules { path: directory.into(), release: release.into() };
    let found = found.ok_or_else(none)?;
    fs::canonicalize(&found).map_err(|cause| Error::Read { path: found, cause })
}

/// The modules of the kernel file `path`: beside it as in the cache, below the root it is in, or the machine's.
fn modules_beside(path: &Path, release: &str) -> Option<PathBuf> {
    let directory = path.parent()?;
    let is_cached =
        fs::read_to_string(directory.join("release")).is_ok_and(|text| text.trim_end() == release);
    let cached = is_cached.then(|| directory.join("modules"));
    let roots = [directory.parent(), Some(Path::new("/"))].into_iter().flatten();
    let installed = roots.map(|root| root.join("lib/modules").join(release));
    cached.into_iter().chain(installed).find(|modules| modules.join("modules.builtin").is_file())
}

#[cfg(test)]
mod tests;
