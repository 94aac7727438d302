//! The directory that everything fetched or built is kept in. Any number of processes may use it at a time: whoever
//! fills it holds its lock, and what it fills in appears by renaming, complete or not at all.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Overrides the cache's place.
pub const VARIABLE: &str = "DIMMER_CACHE";

/// Why the cache is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory of the cache cannot be used.
    #[error("Cannot {step} {path} in the cache; {VARIABLE} names another directory")]
    Use {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// There is neither a checkout nor a home directory.
    #[error("No place for the cache: neither {VARIABLE} nor HOME is set")]
    NoPlace,
}

/// A cache directory that exists.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

/// Holds the cache's lock until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Cache {
    /// The cache of this user: what `DIMMER_CACHE` names; else `.cache` in the checkout that this was built from, if it
    /// is still there and this is no package; else `dimmer` in the XDG cache directory.
    ///
    /// # Errors
    /// [`Error::NoPlace`], or [`Error::Use`] when the directory cannot be created.
    pub fn open() -> Result<Self, Error> {
        let root = place(
            env::var_os(VARIABLE).map(PathBuf::from),
            if option_env!("DIMMER_BUILD").is_some() {
                None
            } else {
                Path::new(env!("CARGO_MANIFEST_DIR")).parent()
            },
            env::var_os("XDG_CACHE_HOME").map(PathBuf::from),
            env::var_os("HOME").map(PathBuf::from),
        );
        Self::at(root.ok_or(Error::NoPlace)?)
    }

    /// The cache in `root`, which is created if need be and made absolute.
    ///
    /// # Errors
    /// [`Error::Use`].
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(used("create", &root))?;
        let root = fs::canonicalize(&root).map_err(used("find", &root))?;
        Ok(Self { root })
    }

    /// Its directory, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Waits until no one else fills the cache, and says so on standard error when that takes time.
    ///
    /// # Errors
    /// [`Error::Use`].
    pub fn lock(&self) -> Result<Lock, Error> {
        let path = self.root.join("lock");
        let file = File::options().create(true).append(true).open(&path).map_err(used("open", &path))?;
        if file.try_lock().is_err() {
            crate::progress::say(format_args!(
                "Waiting for another process that fills {}",
                self.root.display()
            ));
            file.lock().map_err(used("lock", &path))?;
        }
        Ok(Lock { _file: file })
    }

    /// An empty directory inside the cache to prepare something in that [`publish`](Self::publish) puts into place.
    /// Whatever an interrupted process left there is removed.
    ///
    /// # Errors
    /// [`Error::Use`].
    pub fn stage(&self, _lock: &Lock) -> Result<PathBuf, Error> {
        let path = self.root.join("staging");
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(used("remove", &path)(error));
            }
            _ => fs::create_dir_all(&path).map_err(used("create", &path))?,
        }
        Ok(path)
    }

    /// Renames `staged` to `name` inside the cache, replacing nothing: a directory that is there already stays.
    ///
    /// # Errors
    /// [`Error::Use`].
    pub fn publish(&self, _lock: &Lock, staged: &Path, name: impl AsRef<Path>) -> Result<PathBuf, Error> {
        let path = self.root.join(name);
        let parent = path.parent().expect("a name in the cache has a parent");
        fs::create_dir_all(parent).map_err(used("create", parent))?;
        if !path.exists() {
            fs::rename(staged, &path).map_err(used("create", &path))?;
        }
        Ok(path)
    }

    /// Writes `bytes` to the file `name` inside the cache: whoever opens that name sees all of it or the file before.
    ///
    /// # Errors
    /// [`Error::Use`].
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<PathBuf, Error> {
        let path = self.root.join(name);
        let parent = path.parent().expect("a name in the cache has a parent");
        fs::create_dir_all(parent).map_err(used("create", parent))?;
        let mut staged = path.clone().into_os_string();
        staged.push(format!(".{}.{:?}", std::process::id(), std::thread::current().id()));
        fs::write(&staged, bytes).map_err(used("write", Path::new(&staged)))?;
        fs::rename(&staged, &path).map_err(used("create", &path))?;
        Ok(path)
    }
}

fn used<'a>(step: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |cause| Error::Use { step, path: path.into(), cause }
}

/// Where the cache is, by the rules of [`Cache::open`].
fn place(
    given: Option<PathBuf>,
    checkout: Option<&Path>,
    xdg: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    let set = |path: &PathBuf| !path.as_os_str().is_empty();
    let checkout = checkout.filter(|path| path.join("images/Cargo.toml").is_file());
    given
        .filter(set)
        .or_else(|| checkout.map(|path| path.join(".cache")))
        .or_else(|| xdg.filter(|path| path.is_absolute()).map(|path| path.join("dimmer")))
        .or_else(|| home.filter(set).map(|path| path.join(".cache/dimmer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_goes_from_the_variable_to_the_checkout_to_the_user() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(place(path("/v"), checkout, path("/x"), path("/h")), path("/v"));
        assert_eq!(
            place(path(""), checkout, path("/x"), path("/h")),
            checkout.map(|path| path.join(".cache"))
        );
        let gone = Some(Path::new("/no/such/checkout"));
        assert_eq!(place(None, gone, path("/x"), path("/h")), path("/x/dimmer"));
        assert_eq!(place(None, gone, path("relative"), path("/h")), path("/h/.cache/dimmer"));
        assert_eq!(place(None, gone, None, path("")), None);
    }

    #[test]
    fn what_is_staged_appears_whole_and_what_is_there_stays() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path().join("deep/cache")).unwrap();
        let lock = cache.lock().unwrap();
        for text in ["first", "second"] {
            let staged = cache.stage(&lock).unwrap();
            fs::write(staged.join("file"), text).unwrap();
            let path = cache.publish(&lock, &staged, "things/one").unwrap();
            assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "first");
        }
        assert!(fs::read_dir(cache.stage(&lock).unwrap()).unwrap().next().is_none());
    }

    #[test]
    fn the_lock_keeps_others_out_until_dropped() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path()).unwrap();
        let lock = cache.lock().unwrap();
        let other = File::open(cache.root().join("lock")).unwrap();
        assert!(other.try_lock().is_err());
        drop(lock);
        other.try_lock().unwrap();
    }

    #[test]
    fn a_cache_that_cannot_be_is_an_error_that_names_it() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::at(file.join("cache")).unwrap_err().to_string();
        assert!(error.contains("file/cache") && error.contains(VARIABLE), "{error}");
    }
}
