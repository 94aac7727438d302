//! Root file systems of distributions: Debian's own packages, put together by mmdebstrap into one squashfs image, without root
//! where the host lets users have namespaces.
//!
//! In the cache, `roots/NAME.squashfs` is the image and `roots/NAME.made` says of what it was made. An image has no kernel: any
//! kernel of the cache boots with it, and brings its modules as an image of their own, `roots/modules-RELEASE.squashfs`. The same
//! packages give the same bytes.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt::{self, Apt};
use crate::cache::{self, Cache, Lock};
use crate::kernel::Kernel;

mod exact;

/// A release of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distribution {
    /// What people call it.
    pub name: &'static str,
    /// Debian's name of it.
    pub suite: &'static str,
    /// The kernel that it comes with.
    pub kernel: &'static str,
}

/// Those that can be built.
pub const ALL: [Distribution; 2] = [
    Distribution { name: "debian-12", suite: "bookworm", kernel: "6.1" },
    Distribution { name: "debian-13", suite: "trixie", kernel: "6.12" },
];

/// What every image has: systemd, udev, and what people look at memory with.
pub const PACKAGES: [&str; 9] =
    ["systemd-sysv", "udev", "dbus", "kmod", "iproute2", "procps", "numactl", "ndctl", "daxctl"];

/// The programs that build one, with the packages that have them.
pub const PROGRAMS: [(&str, &str); 4] = [
    ("mmdebstrap", "mmdebstrap"),
    ("tar2sqfs", "squashfs-tools-ng"),
    ("gensquashfs", "squashfs-tools-ng"),
    ("depmod", "kmod"),
];

/// How images are packed: guests without hardware-assisted KVM unpack the fast way.
const PACKED: [&str; 5] = ["--quiet", "--compressor", "zstd", "--comp-extra", "level=3"];

/// The time stamp of all files, so that the same packages give the same image.
const EPOCH: &str = "1700000000";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such distribution.
    #[error("There is no distribution {name:?}; there are: {}", names())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// It has not been built.
    #[error("{name} is not in the cache; build it with: dimmer-lab images build {name}")]
    NotBuilt {
        /// Its name, and the packages that it is to have beside its own, as the command takes them.
        name: String,
    },
    /// The kernel has no modules.
    #[error("The kernel {kernel} has no modules, which a distribution needs")]
    NoModules {
        /// Its name.
        kernel: String,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// The sources cannot be read.
    #[error(transparent)]
    Apt(#[from] apt::Error),
    /// A file of the cache cannot be used.
    #[error("Cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A program cannot be run.
    #[error("Cannot run {program}")]
    Run {
        /// The program.
        program: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A program failed.
    #[error("{program} failed, as shown above")]
    Failed {
        /// The program.
        program: &'static str,
    },
}

fn names() -> String {
    ALL.map(|distribution| distribution.name).join(", ")
}

/// The distribution of this name.
///
/// # Errors
/// [`Error::Unknown`].
pub fn find(name: &str) -> Result<Distribution, Error> {
    let found = ALL.into_iter().find(|distribution| distribution.name == name);
    found.ok_or_else(|| Error::Unknown { name: name.to_owned() })
}

impl Distribution {
    /// The image in the cache.
    ///
    /// # Errors
    /// [`Error::NotBuilt`].
    pub fn built(&self, cache: &Cache) -> Result<PathBuf, Error> {
        let image = image(cache, self.name);
        if image.is_file() { Ok(image) } else { Err(Error::NotBuilt { name: self.name.to_owned() }) }
    }

    /// The image with [`PACKAGES`] and `more`, built unless the cache has just that, or when it is to be built of newer packages
    /// (`renew`). Progress goes to standard error. The [`PROGRAMS`] are there.
    ///
    /// # Errors
    /// [`Error`].
    pub fn build(&self, cache: &Cache, more: &[String], renew: bool) -> Result<PathBuf, Error> {
        self.build_as(cache, self.name, more, renew)
    }

    /// The same as the image called `stem`.
    fn build_as(&self, cache: &Cache, stem: &str, more: &[String], renew: bool) -> Result<PathBuf, Error> {
        let (image, made_of) = (image(cache, stem), recipe(more));
        if !renew && is_made_of(cache, stem, &made_of) {
            return Ok(image);
        }
        let lock = cache.lock()?;
        // Whoever held the lock before may have built it.
        if !renew && is_made_of(cache, stem, &made_of) {
            return Ok(image);
        }
        let apt = Apt::open(cache, &lock, self.suite)?;
        let staged = self.put_together(cache, &lock, &apt, &made_of)?;
        fs::create_dir_all(image.parent().unwrap_or(cache.root())).map_err(used(&image))?;
        fs::rename(&staged, &image).map_err(used(&image))?;
        cache.write(made(stem), made_of.as_bytes())?;
        Ok(image)
    }

    /// What the image is to be built with to have `packages` and all that it has; none where it has them.
    #[must_use]
    pub fn lacking(&self, cache: &Cache, packages: &[&str]) -> Option<Vec<String>> {
        let made_of = fs::read_to_string(cache.root().join(made(self.name))).unwrap_or_default();
        let has = |package: &&str| made_of.split(',').any(|one| one == *package);
        if self.built(cache).is_ok() && packages.iter().all(has) {
            return None;
        }
        let old = made_of.split(',').filter(|package| !package.is_empty());
        Some(old.chain(packages.iter().copied()).map(str::to_owned).collect())
    }

    fn put_together(
        &self,
        cache: &Cache,
        lock: &Lock,
        apt: &Apt<'_>,
        packages: &str,
    ) -> Result<PathBuf, Error> {
        crate::progress::say(format_args!("Putting {} together of Debian's packages", self.name));
        let staged = cache.stage(lock)?;
        let (archive, image) = (staged.join("root.tar"), staged.join("root.squashfs"));
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--variant=minbase", "--format=tar"]).arg(format!("--include={packages}"));
        mmdebstrap.arg(self.suite).arg(&archive).arg(apt.sources()).env("SOURCE_DATE_EPOCH", EPOCH);
        run("mmdebstrap", &mut mmdebstrap)?;
        let archive = File::open(&archive).map_err(used(&archive))?;
        let mut pack = Command::new("tar2sqfs");
        pack.args(PACKED).arg(&image).env("SOURCE_DATE_EPOCH", EPOCH);
        run_on("tar2sqfs", &mut pack, archive.into())?;
        Ok(image)
    }
}

/// Where the image called `stem` is, or will be.
fn image(cache: &Cache, stem: &str) -> PathBuf {
    cache.root().join("roots").join(format!("{stem}.squashfs"))
}

/// The cache's name of what says of what it was made.
fn made(stem: &str) -> String {
    format!("roots/{stem}.made")
}

fn is_made_of(cache: &Cache, stem: &str, recipe: &str) -> bool {
    let is_same = fs::read_to_string(cache.root().join(made(stem))).is_ok_and(|made| made == recipe);
    is_same && image(cache, stem).is_file()
}

/// Names of all packages that are asked for, joined by commas, the same for the same ones.
fn recipe(more: &[String]) -> String {
    let mut all: Vec<&str> = PACKAGES.into_iter().chain(more.iter().map(String::as_str)).collect();
    all.sort_unstable();
    all.dedup();
    all.join(",")
}

/// Where the image of a kernel's modules is, or will be.
pub(crate) fn modules_image(cache: &Cache, kernel: &Kernel) -> PathBuf {
    let version = kernel.version.as_deref().unwrap_or("own");
    cache.root().join("roots").join(format!("modules-{}-{version}.squashfs", kernel.release))
}

/// Whether the cache has an image of `kernel`'s modules; those of a kernel of somebody's own may have changed.
#[must_use]
pub fn has_modules(cache: &Cache, kernel: &Kernel) -> bool {
    kernel.version.is_some() && modules_image(cache, kernel).is_file()
}

/// An image of `kernel`'s modules, a directory with the name of its release, as it belongs at /usr/lib/modules. Built when it is
/// not in the cache.
///
/// # Errors
/// [`Error`].
pub fn modules(cache: &Cache, kernel: &Kernel) -> Result<PathBuf, Error> {
    let Some(modules) = &kernel.modules else { return Err(Error::NoModules { kernel: kernel.name.clone() }) };
    let release = &kernel.release;
    let image = modules_image(cache, kernel);
    if has_modules(cache, kernel) {
        return Ok(image);
    }
    let lock = cache.lock()?;
    crate::progress::say(format_args!("Packing the modules of {release}"));
    let staged = cache.stage(&lock)?;
    let (tree, packed) = (staged.join("tree"), staged.join("modules.squashfs"));
    let place = tree.join("lib/modules").join(release);
    fs::create_dir_all(place.parent().unwrap_or(&tree)).map_err(used(&place))?;
    run("cp", Command::new("cp").arg("-rl").arg(modules).arg(&place))?;
    run("depmod", Command::new("depmod").arg("-b").arg(&tree).arg(release))?;
    pack(&tree.join("lib/modules"), &packed)?;
    fs::create_dir_all(image.parent().unwrap_or(cache.root())).map_err(used(&image))?;
    fs::rename(&packed, &image).map_err(used(&image))?;
    cache.stage(&lock)?;
    Ok(image)
}

/// Makes an image of what is in a directory.
///
/// # Errors
/// [`Error::Run`] and [`Error::Failed`].
pub fn pack(directory: &Path, image: &Path) -> Result<(), Error> {
    let mut pack = Command::new("gensquashfs");
    pack.args(PACKED).arg("--all-root").arg("--pack-dir").arg(directory).arg(image);
    run("gensquashfs", pack.env("SOURCE_DATE_EPOCH", EPOCH))
}

fn used(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |cause| Error::File { path, cause }
}

/// Runs a program, all its output on our standard error.
fn run(program: &'static str, command: &mut Command) -> Result<(), Error> {
    run_on(program, command, Stdio::null())
}

/// The same with something to read.
fn run_on(program: &'static str, command: &mut Command, input: Stdio) -> Result<(), Error> {
    command.stdin(input);
    if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
        command.stdout(stderr);
    }
    let status = command.status().map_err(|cause| Error::Run { program, cause })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { program }) }
}

#[cfg(test)]
mod tests;
