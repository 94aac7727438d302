//! What nobody needs of the cache any more: versions of kernels and of QEMU that are not the current ones, archives of which
//! there is a newer one for the same purpose and kernel, and images of modules and selftests of kernels that are not current. What is removed in error is fetched or built again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cache::{self, Cache};
use crate::distribution;
use crate::kernel::{self, list};
use crate::qemu::{self, Qemu};
use crate::selftests;

/// The cache could not be tidied up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A kernel in it is damaged.
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    /// A file or directory cannot be looked at, or removed.
    #[error("Cannot tidy up {path}")]
    Remove {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The file or directory.
    pub path: PathBuf,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Removes what is superseded, while nobody fills the cache; returns what that was.
///
/// # Errors
/// [`Error`], for the first that failed.
pub fn prune(cache: &Cache) -> Result<Vec<Removed>, Error> {
    let lock = cache.lock()?;
    cache.stage(&lock)?;
    let superseded =
        [kernels(cache)?, qemus(cache)?, archives(cache)?, modules(cache)?, selftests(cache)?].concat();
    superseded.into_iter().map(remove).collect()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::Remove { path, cause }
}

/// Directories of kernels of the table that are not the current version of any.
fn kernels(cache: &Cache) -> Result<Vec<PathBuf>, Error> {
    let all = list(cache)?;
    let current: Vec<_> = all.iter().filter_map(|(_, kernel)| kernel.as_ref()?.image().parent()).collect();
    let of_the_table = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        path.is_dir() && all.iter().any(|(source, _)| name.starts_with(&format!("{}-", source.name)))
    };
    let found = entries(&cache.root().join("kernels"))?.into_iter();
    Ok(found.filter(|path| of_the_table(path) && !current.contains(&path.as_path())).collect())
}

fn qemus(cache: &Cache) -> Result<Vec<PathBuf>, Error> {
    let Some(Qemu { version, .. }) = Qemu::find(cache) else { return Ok(Vec::new()) };
    let current = cache.root().join(qemu::directory(&version));
    let is_one = |path: &PathBuf| {
        path.is_dir() && path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"qemu-"))
    };
    Ok(entries(cache.root())?.into_iter().filter(|path| is_one(path) && *path != current).collect())
}

/// Archives but the newest for each purpose and kernel, which are all of their names but the last part.
fn archives(cache: &Cache) -> Result<Vec<PathBuf>, Error> {
    let mut newest: BTreeMap<String, (SystemTime, PathBuf)> = BTreeMap::new();
    let mut superseded = Vec::new();
    for path in entries(&cache.root().join("initramfs"))? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((what, _)) = name.rsplit_once('-') else { continue };
        let written = fs::metadata(&path).and_then(|metadata| metadata.modified()).map_err(failed(&path))?;
        let other = match newest.get(what) {
            Some((best, _)) if *best > written => Some((written, path)),
            _ => newest.insert(what.to_owned(), (written, path)),
        };
        superseded.extend(other.map(|(_, path)| path));
    }
    Ok(superseded)
}

/// Images of modules of versions of kernels that are not current. Those of a kernel of somebody's own stay.
fn modules(cache: &Cache) -> Result<Vec<PathBuf>, Error> {
    let kernels = list(cache)?.into_iter().filter_map(|(_, kernel)| kernel);
    let current: Vec<_> = kernels.map(|kernel| distribution::modules_image(cache, &kernel)).collect();
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("modules-") && !name.ends_with("-own.squashfs")
    };
    let found = entries(&cache.root().join("roots"))?.into_iter();
    Ok(found.filter(|path| is_one(path) && !current.contains(path)).collect())
}

/// Selftests of versions of kernels that are not current.
fn selftests(cache: &Cache) -> Result<Vec<PathBuf>, Error> {
    let kernels = list(cache)?.into_iter().filter_map(|(_, kernel)| kernel);
    let current: Vec<_> = kernels.filter_map(|kernel| selftests::place(cache, &kernel)).collect();
    let found = entries(&cache.root().join("selftests"))?.into_iter();
    Ok(found.filter(|path| !current.contains(path)).collect())
}

/// What is in a directory, which may not be there.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths =
            fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(failed(directory)),
    }
}

fn remove(path: PathBuf) -> Result<Removed, Error> {
    let bytes = size(&path)?;
    let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    removed.map_err(failed(&path))?;
    Ok(Removed { path, bytes })
}

/// Bytes of all files under `path`; links are not followed.
fn size(path: &Path) -> Result<u64, Error> {
    let metadata = fs::symlink_metadata(path).map_err(failed(path))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    entries(path)?.iter().map(|path| size(path)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    fn file(cache: &Cache, name: &str, text: &str) {
        let path = cache.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn pruned(cache: &Cache) -> Vec<(String, u64)> {
        let name = |path: &Path| path.strip_prefix(cache.root()).unwrap().display().to_string();
        prune(cache).unwrap().iter().map(|removed| (name(&removed.path), removed.bytes)).collect()
    }

    #[test]
    fn only_what_is_superseded_goes() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        assert_eq!(pruned(&cache), []);
        for version in ["6.12.1", "6.12.2"] {
            file(&cache, &format!("kernels/6.12-cloud-{version}/release"), "6.12.r\n");
            file(&cache, &format!("kernels/6.12-cloud-{version}/modules/a.ko"), "12345");
        }
        file(&cache, "kernels/6.12-cloud.current", "6.12.2\n");
        file(&cache, "kernels/of-somebody-else/it", "x");
        for version in ["1", "2"] {
            file(&cache, &format!("qemu-{version}/usr/bin/qemu-system-x86_64"), "elf");
        }
        file(&cache, "qemu.current", "2\n");
        for name in ["modules-6.12.r-6.12.1", "modules-6.12.r-6.12.2", "modules-6.12.r-own", "debian-12"] {
            file(&cache, &format!("roots/{name}.squashfs"), "hsqs");
        }
        for version in ["6.12.1", "6.12.2"] {
            file(&cache, &format!("selftests/linux-source-6.12_{version}/a.sh"), "true");
        }
        file(&cache, "staging/left", "x");
        let archives = ["guest-6.1-aa", "guest-6.1-bb", "guest-6.12-cc", "host-6.12-dd"];
        for (age, name) in archives.iter().enumerate() {
            file(&cache, &format!("initramfs/{name}.cpio"), "cpio");
            let file = File::options()
                .write(true)
                .open(cache.root().join(format!("initramfs/{name}.cpio")))
                .unwrap();
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age as u64);
            file.set_modified(written).unwrap();
        }
        let expected = [
            ("kernels/6.12-cloud-6.12.1", 12),
            ("qemu-1", 3),
            ("initramfs/guest-6.1-bb.cpio", 4),
            ("roots/modules-6.12.r-6.12.1.squashfs", 4),
            ("selftests/linux-source-6.12_6.12.1", 4),
        ];
        assert_eq!(pruned(&cache), expected.map(|(name, bytes)| (name.to_owned(), bytes)));
        assert!(cache.root().join("kernels/of-somebody-else/it").is_file());
        assert!(!cache.root().join("staging/left").exists());
        assert_eq!(pruned(&cache), [], "nothing more");
    }

    #[test]
    fn a_qemu_without_a_current_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path()).unwrap();
        file(&cache, "qemu-1/usr/bin/qemu-system-x86_64", "elf");
        assert_eq!(pruned(&cache), []);
    }
}
