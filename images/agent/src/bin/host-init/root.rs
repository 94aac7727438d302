//! The root file system of the command: the host's, shared read-only over 9P, under a layer in memory that takes every
//! change and is gone afterwards, with this machine's own `/dev`, `/proc`, `/run` and `/sys`.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use dimmer_agent::pid1;
use rustix::mount::{MountFlags, mount};
use rustix::process::chroot;

/// Tag of the 9P export, which `dimmer-lab host` gives QEMU.
const TAG: &str = "root";
/// Options of the 9P mount. The export does not change while a command runs, hence `cache=loose`; 512,000 bytes is the
/// largest message that the virtio transport carries; `access=any` keeps to one connection for all users.
const OPTIONS: &str = "trans=virtio,version=9p2000.L,msize=512000,cache=loose,access=any";

/// Huge pages in shared memory, where a program asks for them, as for private memory; Linux' own choice is never.
/// (Documentation/admin-guide/mm/transhuge.rst.) A guest's first touch of a page costs half a millisecond here.
const SHARED_HUGE_PAGES: (&str, &str) = ("sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");

const SHARED: &str = "/shared";
const CHANGES: &str = "/changes";
const ROOT: &str = "/root";

/// Why there is no root file system to run a command in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A step of preparing it failed.
    #[error("Cannot {step} {path}")]
    Step {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// One of its file systems could not be mounted.
    #[error(transparent)]
    Mount(#[from] pid1::Error),
}

fn failed(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |cause| Error::Step { step, path, cause }
}

/// Builds the root file system and enters it. The initramfs is out of reach afterwards.
pub fn enter() -> Result<(), Error> {
    let (upper, work) = (Path::new(CHANGES).join("upper"), Path::new(CHANGES).join("work"));
    for directory in [SHARED, CHANGES, ROOT] {
        fs::create_dir_all(directory).map_err(failed("create", directory))?;
    }
    mount_with(TAG, SHARED, "9p", MountFlags::RDONLY, OPTIONS)?;
    mount_with("tmpfs", CHANGES, "tmpfs", MountFlags::empty(), "mode=0755,size=75%")?;
    for directory in [&upper, &work] {
        fs::create_dir(directory).map_err(failed("create", directory))?;
    }
    let layers = format!("lowerdir={SHARED},upperdir={},workdir={}", upper.display(), work.display());
    mount_with("overlay", ROOT, "overlay", MountFlags::empty(), &layers)?;
    pid1::mount_api_filesystems_under(Path::new(ROOT))?;
    let (switch, word) = SHARED_HUGE_PAGES;
    let switch = Path::new(ROOT).join(switch);
    fs::write(&switch, word).map_err(failed("write", &switch))?;
    std::env::set_current_dir(ROOT).map_err(failed("enter", ROOT))?;
    chroot(".").map_err(|error| failed("enter", ROOT)(error.into()))
}

fn mount_with(source: &str, at: &str, kind: &str, flags: MountFlags, options: &str) -> Result<(), Error> {
    let options = CString::new(options).expect("mount options have no NUL");
    mount(source, at, kind, flags, options.as_c_str()).map_err(|error| failed("mount", at)(error.into()))
}
