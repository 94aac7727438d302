//! The kernel's own selftests of processors and memory that come and go, from Debian's source package of the very kernel that they
//! are to test: shell scripts, and the runner that makes TAP of how they end.
//!
//! In the cache, `selftests/PACKAGE_VERSION/` is as `make install` in the kernel's `tools/testing/selftests` would leave it: the
//! runner, a directory for each collection, and a list of all tests. Nothing else of the source is kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt::{self, Apt, Package};
use crate::cache::{self, Cache, Lock};
use crate::kernel::Kernel;
use crate::{deb, kernels};

/// Collections, and the test in each.
pub const TESTS: [(&str, &str); 2] =
    [("cpu-hotplug", "cpu-on-off-test.sh"), ("memory-hotplug", "mem-on-off-test.sh")];

/// The list of tests, a line `COLLECTION:TEST` for each.
pub const LIST: &str = "kselftest-list.txt";
/// What runs them.
pub const RUNNER: &str = "run_kselftest.sh";
/// What the runner is made of.
const HELPERS: &str = "kselftest";

/// The programs that unpack the source, with the packages that have them.
pub const PROGRAMS: [(&str, &str); 2] = [("tar", "tar"), ("xz", "xz-utils")];

/// Directories above the selftests in the archive: linux-source-6.12/tools/testing/selftests.
const DEPTH: usize = 4;

/// Why there are no selftests.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// Debian's archive cannot be used.
    #[error(transparent)]
    Apt(#[from] apt::Error),
    /// The package could not be unpacked.
    #[error(transparent)]
    Deb(#[from] deb::Error),
    /// Nobody knows its source.
    #[error(
        "The kernel {kernel} is none that was fetched from Debian, which alone have sources to take selftests from; those of \
         your own kernel can be named: dimmer-lab selftest --tests DIR"
    )]
    Unknown {
        /// Its name.
        kernel: String,
    },
    /// The archive has no such source.
    #[error(
        "Debian's archive has no source of this version of the kernel {kernel}; it keeps few, and may have that of a newer one: \
         dimmer-lab images fetch --renew {kernel}"
    )]
    Source {
        /// The kernel's name.
        kernel: String,
        /// What apt said.
        #[source]
        cause: apt::Error,
    },
    /// The source is not as it should be.
    #[error("Cannot unpack the selftests of {package}: {reason}")]
    Unpack {
        /// The package.
        package: String,
        /// What tar said.
        reason: String,
    },
    /// A file of the cache cannot be used.
    #[error("Cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// The package with a kernel's source, in the kernel's version; none for a kernel that is not Debian's.
fn source(kernel: &Kernel) -> Option<Package> {
    let mut numbers = kernel.release.split(|it: char| !it.is_ascii_digit());
    let (major, minor) = (numbers.next()?, numbers.next()?);
    Some(Package { name: format!("linux-source-{major}.{minor}"), version: kernel.version.clone()? })
}

/// Where the selftests of this kernel are in the cache, or will be.
pub(crate) fn place(cache: &Cache, kernel: &Kernel) -> Option<PathBuf> {
    let Package { name, version } = source(kernel)?;
    Some(cache.root().join("selftests").join(format!("{name}_{version}")))
}

/// The selftests of this kernel in the cache.
#[must_use]
pub fn find(cache: &Cache, kernel: &Kernel) -> Option<PathBuf> {
    place(cache, kernel).filter(|place| place.join(LIST).is_file())
}

/// [`find`], or else fetches the source and keeps the selftests; progress goes to standard error. The [`PROGRAMS`] are there.
///
/// # Errors
/// [`Error`].
pub fn find_or_fetch(cache: &Cache, kernel: &Kernel) -> Result<PathBuf, Error> {
    if let Some(found) = find(cache, kernel) {
        return Ok(found);
    }
    let unknown = || Error::Unknown { kernel: kernel.name.clone() };
    let (package, place) = source(kernel).zip(place(cache, kernel)).ok_or_else(unknown)?;
    let suite = kernels::find(&kernel.name).ok_or_else(unknown)?.suite;
    let lock = cache.lock()?;
    // Whoever held the lock before may have fetched them.
    if let Some(found) = find(cache, kernel) {
        return Ok(found);
    }
    let apt = Apt::open(cache, &lock, suite)?;
    let staged = fetch(cache, &lock, &apt, &package).map_err(|error| match error {
        Error::Apt(cause @ apt::Error::Failed { .. }) => Error::Source { kernel: kernel.name.clone(), cause },
        other => other,
    })?;
    cache.publish(&lock, &staged, &place)?;
    cache.stage(&lock)?;
    Ok(place)
}

fn fetch(cache: &Cache, lock: &Lock, apt: &Apt<'_>, package: &Package) -> Result<PathBuf, Error> {
    let staged = cache.stage(lock)?;
    let [download, files, kept] = ["download", "files", "kept"].map(|part| staged.join(part));
    for directory in [&download, &kept] {
        fs::create_dir(directory).map_err(used(directory))?;
    }
    let archive = apt.download(package, &download)?;
    crate::progress::say(format_args!("Unpacking the selftests of {}", package.name));
    deb::unpack(&archive, &files)?;
    unpack(package, &files.join("usr/src").join(format!("{}.tar.xz", package.name)), &kept)?;
    Ok(kept)
}

/// Unpacks what is kept of the source into the directory `to`, and lists the tests there.
fn unpack(package: &Package, archive: &Path, to: &Path) -> Result<(), Error> {
    let failed = |reason: String| Error::Unpack { package: package.name.clone(), reason };
    let parts = [RUNNER, HELPERS].into_iter().chain(TESTS.map(|(collection, _)| collection));
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--xz", "--file"]).arg(archive).arg("--directory").arg(to);
    tar.arg(format!("--strip-components={DEPTH}"));
    tar.args(parts.map(|part| format!("{}/tools/testing/selftests/{part}", package.name)));
    let output = tar.stdin(Stdio::null()).output().map_err(|error| failed(format!("tar: {error}")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")));
    }
    let mut list = String::new();
    for (collection, test) in TESTS {
        if !to.join(collection).join(test).is_file() {
            return Err(failed(format!("there is no {collection}/{test} in it")));
        }
        list.extend([collection, ":", test, "\n"]);
    }
    fs::write(to.join(LIST), list).map_err(used(to))
}

fn used(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::File { path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(cache: &Cache, name: &str, release: &str, version: Option<&str>) -> Kernel {
        let file = |part: &str, text: &str| {
            cache
                .write(format!("kernels/{name}-{}/{part}", version.unwrap_or("own")), text.as_bytes())
                .unwrap()
        };
        file("release", release);
        cache.write(format!("kernels/{name}.current"), version.unwrap_or("own").as_bytes()).unwrap();
        let mut kernel = Kernel::resolve_in(cache, name).unwrap();
        kernel.version = version.map(str::to_owned);
        kernel
    }

    #[test]
    fn the_source_is_that_of_the_kernels_series_and_version() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        for (name, release, version, series) in [
            ("6.12-cloud", "6.12.117+deb12-cloud-amd64", "6.12.117-1~deb12u1", "linux-source-6.12"),
            ("6.1-cloud", "6.1.0-57-cloud-amd64", "6.1.192-3", "linux-source-6.1"),
        ] {
            let kernel = kernel(&cache, name, release, Some(version));
            assert_eq!(source(&kernel), Some(Package { name: series.into(), version: version.into() }));
        }
        let own = kernel(&cache, "5.10-cloud", "6.12.0", None);
        assert_eq!(find(&cache, &own), None);
        let error = find_or_fetch(&cache, &own).unwrap_err().to_string();
        assert!(error.contains("5.10-cloud is none that was fetched"), "{error}");
    }

    #[test]
    fn what_is_kept_of_a_source_is_a_list_a_runner_and_the_tests() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::at(directory.path()).unwrap();
        let package = Package { name: "linux-source-6.1".into(), version: "1".into() };
        let selftests = Path::new("linux-source-6.1/tools/testing/selftests");
        let all = TESTS.map(|(collection, test)| format!("{collection}/{test}"));
        let (archive, to) = (directory.path().join("source.tar.xz"), directory.path().join("to"));
        fs::create_dir(&to).unwrap();
        let pack = || {
            let mut tar = Command::new("tar");
            tar.args(["--create", "--xz", "--file"]).arg(&archive).arg("--directory").arg(cache.root());
            assert!(tar.arg("linux-source-6.1").status().unwrap().success());
        };
        for file in ["run_kselftest.sh", "kselftest/runner.sh", "mm/Makefile"] {
            cache.write(selftests.join(file), b"#!/bin/sh\n").unwrap();
        }
        pack();
        let error = unpack(&package, &archive, &to).unwrap_err().to_string();
        assert!(error.contains("selftests of linux-source-6.1") && error.contains("cpu-hotplug"), "{error}");
        all.iter().for_each(|file| drop(cache.write(selftests.join(file), b"#!/bin/sh\n").unwrap()));
        pack();
        unpack(&package, &archive, &to).unwrap();
        let list = "cpu-hotplug:cpu-on-off-test.sh\nmemory-hotplug:mem-on-off-test.sh\n";
        assert_eq!(fs::read_to_string(to.join(LIST)).unwrap(), list);
        assert!(to.join(RUNNER).is_file() && to.join("kselftest/runner.sh").is_file());
        assert!(!to.join("mm").exists());
    }
}
