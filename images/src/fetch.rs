//! Fetching kernels from Debian into the cache.

use std::fs;
use std::path::Path;

use crate::apt::{Apt, Package};
use crate::cache::{Cache, Lock};
use crate::kernel::{Error, Kernel, cached, current, directory};
use crate::kernels::{self, Source};
use crate::{deb, vmlinux};

/// The kernels called `names`, fetching those that are not in the cache; `renew` asks Debian even for those that are.
/// Progress goes to standard error. With nothing to fetch, neither apt nor the network is used.
///
/// # Errors
/// [`Error`], for the first that failed; those before it are in the cache.
pub fn fetch(cache: &Cache, names: &[&str], renew: bool) -> Result<Vec<Kernel>, Error> {
    let mut fetcher = Fetcher { cache, renew, lock: None, archives: Vec::new() };
    let kernels = names.iter().map(|name| match kernels::find(name) {
        Some(source) => fetcher.kernel(source),
        None => Kernel::resolve_in(cache, name),
    });
    kernels.collect()
}

/// Takes the cache's lock and opens archives only once something has to be fetched.
struct Fetcher<'a> {
    cache: &'a Cache,
    renew: bool,
    lock: Option<Lock>,
    archives: Vec<Apt<'static>>,
}

impl Fetcher<'_> {
    fn kernel(&mut self, source: &'static Source) -> Result<Kernel, Error> {
        if let Some(kernel) = cached(self.cache, source)?.filter(|_| !self.renew) {
            return Ok(kernel);
        }
        let lock = match self.lock.take() {
            Some(lock) => lock,
            None => self.cache.lock()?,
        };
        let lock = self.lock.insert(lock);
        // Whoever held the lock before may have fetched it.
        if let Some(kernel) = cached(self.cache, source)?.filter(|_| !self.renew) {
            return Ok(kernel);
        }
        let opened = self.archives.iter().position(|apt| apt.suite() == source.suite);
        let index = match opened {
            Some(index) => index,
            None => {
                self.archives.push(Apt::open(self.cache, lock, source.suite)?);
                self.archives.len() - 1
            }
        };
        download(self.cache, lock, &self.archives[index], source)
    }
}

fn download(cache: &Cache, lock: &Lock, apt: &Apt<'_>, source: &Source) -> Result<Kernel, Error> {
    let packages = apt.kernel(source.package)?;
    let image = &packages[0];
    let name = directory(source, &image.version);
    if !cache.root().join(&name).is_dir() {
        let staged = cache.stage(lock)?;
        for package in &packages {
            let own = staged.join(&package.name);
            fs::create_dir(&own).map_err(|cause| Error::Read { path: own.clone(), cause })?;
            let archive = apt.download(package, &own)?;
            crate::progress::say(format_args!("Unpacking {}", package.name));
            deb::unpack(&archive, &staged.join("files"))?;
        }
        let prepared = staged.join("kernel");
        arrange(image, &staged.join("files"), &prepared)?;
        cache.publish(lock, &prepared, &name)?;
        cache.stage(lock)?;
    }
    cache.write(current(source), format!("{}\n", image.version).as_bytes())?;
    let kernel = cached(cache, source)?;
    Ok(kernel.expect("what was just published is in the cache"))
}

/// Moves what is needed of the package's `files` into the directory `to`, and extracts the `vmlinux`. Newer packages have
/// image and configuration beside the modules, older ones in `boot`.
fn arrange(package: &Package, files: &Path, to: &Path) -> Result<(), Error> {
    let read = |path: &Path| {
        let path = path.to_path_buf();
        move |cause| Error::Read { path, cause }
    };
    let release = package.name.strip_prefix("linux-image-").unwrap_or(&package.name);
    fs::create_dir(to).map_err(read(to))?;
    let modules = ["lib/modules", "usr/lib/modules"].map(|directory| files.join(directory).join(release));
    let modules = modules.iter().find(|path| path.is_dir()).unwrap_or(&modules[0]).clone();
    for name in ["vmlinuz", "config"] {
        let (old, new) = (files.join("boot").join(format!("{name}-{release}")), modules.join(name));
        let from = if new.is_file() { new } else { old };
        fs::rename(&from, to.join(name)).map_err(read(&from))?;
    }
    fs::rename(&modules, to.join("modules")).map_err(read(&modules))?;
    let path = to.join("vmlinuz");
    let image = fs::read(&path).map_err(read(&path))?;
    let vmlinux = vmlinux::extract(&image).map_err(|cause| Error::Vmlinux { path, cause })?;
    for (name, bytes) in [("vmlinux", vmlinux.as_slice()), ("release", format!("{release}\n").as_bytes())] {
        let path = to.join(name);
        fs::write(&path, bytes).map_err(read(&path))?;
    }
    Ok(())
}
