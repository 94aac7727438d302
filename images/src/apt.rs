//! Debian packages by the machine's own apt, but with a state of our own in the cache: it needs no root, and neither
//! relies on the machine's package lists nor changes them.
//!
//! Sources, proxies and keys are the machine's: the archives that its sources name are used and no other, and apt checks
//! signatures and hashes as always. Only Debian's own sources are taken, since another one may be out of reach.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub mod text;

use crate::cache::{self, Cache, Lock};
use crate::kernels::Wanted;

/// Name of the file with a suite's sources.
const SOURCES: &str = "sources.list";

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A file of the private state cannot be used.
    #[error("Cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// There is no apt.
    #[error("Cannot run {program}: kernels by name need Debian's apt; elsewhere give the path of a kernel")]
    Run {
        /// The program.
        program: String,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// apt knows no Debian source.
    #[error("apt has no Debian source with the component main (see /etc/apt/sources.list.d)")]
    NoSource,
    /// The archive cannot be reached.
    #[error("Offline: {what} is not in the cache, and the package archive cannot be reached: {reason}")]
    Offline {
        /// The package or lists wanted.
        what: String,
        /// What apt said.
        reason: String,
    },
    /// apt failed in another way.
    #[error("{what}: {reason}")]
    Failed {
        /// What was being done.
        what: String,
        /// What apt said.
        reason: String,
    },
    /// No package of the series.
    #[error("Debian {suite} has no package {wanted}")]
    NoneOfSeries {
        /// The suite.
        suite: String,
        /// What was looked for.
        wanted: Wanted,
    },
    /// A metapackage is not what it should be.
    #[error("The metapackage {package} depends on no kernel image, but on: {depends}")]
    Metapackage {
        /// The metapackage.
        package: String,
        /// Its dependencies.
        depends: String,
    },
}

/// A package in a known version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// apt with the sources of one Debian suite.
#[derive(Debug)]
pub struct Apt<'a> {
    suite: &'a str,
    configuration: PathBuf,
    /// What went wrong when the lists were last fetched, which need not matter.
    complaints: String,
}

impl<'a> Apt<'a> {
    /// Sets the private state for `suite` (`bookworm`, `trixie-backports`) up and fetches its package lists.
    ///
    /// # Errors
    /// [`Error`]; lists that could not be fetched are an error only later, if a package is missing.
    pub fn open(cache: &Cache, _lock: &Lock, suite: &'a str) -> Result<Self, Error> {
        let directory = cache.root().join("apt").join(suite);
        for part in ["state/lists/partial", "cache/archives/partial"] {
            let path = directory.join(part);
            fs::create_dir_all(&path).map_err(|cause| Error::File { path, cause })?;
        }
        let targets = run("apt-get", |apt| {
            apt.args(["indextargets", "--no-release-info", "--format", text::TARGET_FORMAT]);
        })?;
        let machine = run("apt-config", |apt| {
            apt.arg("dump");
        })?;
        let sources = text::sources(&targets, suite);
        if sources.is_empty() {
            return Err(Error::NoSource);
        }
        let list = cache.write(directory.join(SOURCES), sources.as_bytes())?;
        cache.write(directory.join("state/status"), b"")?;
        let configuration = text::configuration(&machine, &directory, &list, suite);
        let configuration = cache.write(directory.join("apt.conf"), configuration.as_bytes())?;
        let mut apt = Self { suite, configuration, complaints: String::new() };
        apt.update()?;
        Ok(apt)
    }

    /// The file with its sources.
    #[must_use]
    pub fn sources(&self) -> PathBuf {
        self.configuration.with_file_name(SOURCES)
    }

    /// The Debian suite whose packages it has.
    #[must_use]
    pub fn suite(&self) -> &str {
        self.suite
    }

    fn update(&mut self) -> Result<(), Error> {
        crate::progress::say(format_args!("Fetching the package lists of Debian {}", self.suite));
        let (_, complaints) = self.show(["update"], None)?;
        self.complaints = complaints;
        Ok(())
    }

    /// The packages of a kernel, its image first.
    ///
    /// # Errors
    /// [`Error`].
    pub fn kernel(&self, wanted: Wanted) -> Result<Vec<Package>, Error> {
        let image = match wanted {
            Wanted::Metapackage(name) => self.behind(name)?,
            Wanted::Newest { series, flavour } => self.newest(series, flavour, wanted)?,
        };
        let shown = self.ask(["show", "--no-all-versions", &image]);
        let shown = shown.map_err(|reason| self.missing(&image, reason))?;
        text::parts(&shown).ok_or_else(|| Error::NoneOfSeries { suite: self.suite.into(), wanted })
    }

    /// The kernel image that `metapackage` depends on.
    fn behind(&self, metapackage: &str) -> Result<String, Error> {
        let shown = self.ask(["show", "--no-all-versions", metapackage]);
        let shown = shown.map_err(|reason| self.missing(metapackage, reason))?;
        text::kernel(&shown).map(|package| package.name).ok_or_else(|| Error::Metapackage {
            package: metapackage.into(),
            depends: text::field(&shown, "Depends").unwrap_or_default().into(),
        })
    }

    fn newest(&self, series: &str, flavour: &str, wanted: Wanted) -> Result<String, Error> {
        let names = self.ask(["pkgnames", "linux-image-"])?;
        let none = || Error::NoneOfSeries { suite: self.suite.into(), wanted };
        let found = text::newest(&names, series, flavour).map(str::to_owned).ok_or_else(none);
        found.map_err(|reason| self.missing(&wanted.to_string(), reason))
    }

    /// The version of `name` that would be downloaded.
    ///
    /// # Errors
    /// [`Error`].
    pub fn current(&self, name: &str) -> Result<Package, Error> {
        let shown = self.ask(["show", "--no-all-versions", name]);
        let shown = shown.map_err(|reason| self.missing(name, reason))?;
        let version = text::field(&shown, "Version").unwrap_or_default().to_owned();
        Ok(Package { name: name.into(), version })
    }

    /// Downloads `package` into the empty directory `into`, checked, showing apt's progress on standard error.
    ///
    /// # Errors
    /// [`Error`].
    pub fn download(&self, package: &Package, into: &Path) -> Result<PathBuf, Error> {
        let Package { name, version } = package;
        crate::progress::say(format_args!("Downloading {name} {version}"));
        let (done, complaints) = self.show(["download", &format!("{name}={version}")], Some(into))?;
        let entries = fs::read_dir(into).map_err(|cause| Error::File { path: into.into(), cause })?;
        let mut paths = entries.flatten().map(|entry| entry.path());
        let found = paths.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        match found.filter(|_| done) {
            Some(path) => Ok(path),
            None => Err(failed(&format!("{name} {version}"), complaints)),
        }
    }

    /// Downloads the package `name` of the suite and all it depends on into the directory `into`, checked, as for a machine
    /// that has nothing yet. Gives the archives.
    ///
    /// # Errors
    /// [`Error`].
    pub fn download_all(&self, name: &str, into: &Path) -> Result<Vec<PathBuf>, Error> {
        let file = |cause| Error::File { path: into.into(), cause };
        fs::create_dir_all(into.join("partial")).map_err(file)?;
        crate::progress::say(format_args!("Downloading {name} and what it depends on"));
        let archives = format!("Dir::Cache::archives={}", into.display());
        let install = ["install", "--download-only", "--yes", "--quiet", "--no-install-recommends"];
        let options = ["--option", &archives, name];
        let (done, complaints) = self.show(install.into_iter().chain(options), None)?;
        if !done {
            return Err(failed(name, complaints));
        }
        let paths = fs::read_dir(into).map_err(file)?.flatten().map(|entry| entry.path());
        Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "deb")).collect())
    }

    /// Why `package` is unknown: the lists that would have it may not be there.
    fn missing(&self, package: &str, reason: Error) -> Error {
        if self.complaints.is_empty() {
            return reason;
        }
        failed(package, self.complaints.clone())
    }

    /// Runs apt-cache and gives its output.
    fn ask<const N: usize>(&self, arguments: [&str; N]) -> Result<String, Error> {
        run("apt-cache", |apt| {
            apt.env("APT_CONFIG", &self.configuration).args(arguments);
        })
    }

    /// Runs apt-get with its progress on our standard error; gives whether it succeeded, and its complaints.
    fn show<'b>(
        &self,
        arguments: impl IntoIterator<Item = &'b str>,
        directory: Option<&Path>,
    ) -> Result<(bool, String), Error> {
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", &self.configuration).env("LC_ALL", "C.UTF-8").args(arguments);
        if let Some(directory) = directory {
            apt.current_dir(directory);
        }
        if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
            apt.stdout(stderr);
        }
        let child = apt.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        let failed = |cause| Error::Run { program: "apt-get".into(), cause };
        let output = child.map_err(failed)?.wait_with_output().map_err(failed)?;
        Ok((output.status.success(), text::complaints(&String::from_utf8_lossy(&output.stderr))))
    }
}

fn run(program: &str, prepare: impl FnOnce(&mut Command)) -> Result<String, Error> {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    prepare(&mut command);
    let output = command.output().map_err(|cause| Error::Run { program: program.into(), cause })?;
    if !output.status.success() {
        let reason = text::complaints(&String::from_utf8_lossy(&output.stderr));
        return Err(Error::Failed { what: format!("{program} failed"), reason });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn failed(what: &str, reason: String) -> Error {
    match text::is_offline(&reason) {
        true => {
            // The rest says the same of other files.
            let reason = reason.split("; ").next().unwrap_or_default().to_owned();
            Error::Offline { what: what.into(), reason }
        }
        false => Error::Failed { what: format!("Cannot fetch {what}"), reason },
    }
}
