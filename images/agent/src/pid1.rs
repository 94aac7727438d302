//! What every PID 1 of ours does, in the guest and in the emulated host: mounts, kernel modules, finding a virtio port,
//! reaping orphans, and ending the machine.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use rustix::system::{RebootCommand, finit_module};

/// List of the kernel modules that an initramfs of ours wants loaded: one path a line, in load order.
pub const MODULES: &str = "/modules/load";

const PORTS: &str = "/sys/class/virtio-ports";
/// How often a port that is not there yet is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Why PID 1 could not set the machine up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file system could not be mounted.
    #[error("Cannot mount {kind} at {at}")]
    Mount {
        /// Type of the file system.
        kind: &'static str,
        /// Mount point.
        at: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// A file could not be read.
    #[error("Cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// A kernel module could not be loaded.
    #[error("Cannot load the kernel module {path}")]
    Module {
        /// The module.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// No virtio port of that name appeared in time.
    #[error("No virtio port named {name} within {} ms; there are: {}", waited.as_millis(), found.join(", "))]
    NoPort {
        /// The name looked for.
        name: String,
        /// How long it was looked for.
        waited: Duration,
        /// Names of the ports that are there.
        found: Vec<String>,
    },
}

/// Mounts `/proc`, `/sys`, `/dev`, `/dev/pts`, `/dev/shm`, `/run` and `/tmp`, and debugfs and tracefs where the kernel
/// has them. What is mounted already stays as it is.
///
/// # Errors
/// [`Error::Mount`] for the first one that failed, debugfs and tracefs excepted.
pub fn mount_api_filesystems() -> Result<(), Error> {
    let root = Path::new("/");
    mount_api_filesystems_under(root)?;
    mount_one(root, "tmpfs", "tmp", MountFlags::NOSUID | MountFlags::NODEV, "mode=1777")
}

/// [`mount_api_filesystems`] for a root file system that is mounted at `root` and keeps its own `/tmp`.
///
/// # Errors
/// [`Error::Mount`] for the first one that failed, debugfs and tracefs excepted.
pub fn mount_api_filesystems_under(root: &Path) -> Result<(), Error> {
    let plain = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    mount_one(root, "proc", "proc", plain, "")?;
    mount_one(root, "sysfs", "sys", plain, "")?;
    mount_one(root, "devtmpfs", "dev", MountFlags::NOSUID, "mode=0755")?;
    mount_one(root, "devpts", "dev/pts", MountFlags::NOSUID | MountFlags::NOEXEC, "mode=0620,ptmxmode=0666")?;
    mount_one(root, "tmpfs", "dev/shm", MountFlags::NOSUID | MountFlags::NODEV, "mode=1777")?;
    mount_one(root, "tmpfs", "run", MountFlags::NOSUID | MountFlags::NODEV, "mode=0755")?;
    for (kind, at) in [("debugfs", "sys/kernel/debug"), ("tracefs", "sys/kernel/tracing")] {
        // Either may be configured out, and nothing that must work needs them.
        let _ = mount_one(root, kind, at, plain, "");
    }
    Ok(())
}

fn mount_one(root: &Path, kind: &'static str, at: &str, flags: MountFlags, data: &str) -> Result<(), Error> {
    let at = root.join(at);
    let failed = |cause| Error::Mount { kind, at: at.clone(), cause };
    if !at.is_dir() {
        fs::create_dir_all(&at).map_err(failed)?;
    }
    let data = std::ffi::CString::new(data).expect("mount options have no NUL");
    match mount(kind, &at, kind, flags, data.as_c_str()) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(cause) => Err(failed(cause.into())),
    }
}

/// Loads the modules that the file `list` names, one path a line, in that order. Loaded ones are skipped; a list that
/// does not exist is empty.
///
/// # Errors
/// [`Error::Read`] for the list, [`Error::Module`] for the first module that failed.
pub fn load_modules(list: &Path) -> Result<(), Error> {
    let text = match fs::read_to_string(list) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(Error::Read { path: list.into(), cause }),
    };
    text.lines().filter(|line| !line.is_empty()).try_for_each(|path| load_module(Path::new(path)))
}

/// Loads one uncompressed module, without parameters. A module that is loaded already is a success.
///
/// # Errors
/// [`Error::Module`].
pub fn load_module(path: &Path) -> Result<(), Error> {
    let failed = |cause| Error::Module { path: path.into(), cause };
    let file = File::open(path).map_err(failed)?;
    match finit_module(&file, c"", 0) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(cause) => Err(failed(cause.into())),
    }
}

/// Opens the virtio-serial port that its machine calls `name`, for reading and writing, waiting up to `deadline` for it
/// to appear: the bus is probed while PID 1 starts.
///
/// # Errors
/// [`Error::NoPort`] at the deadline; [`Error::Read`] when the port is there but cannot be opened.
pub fn find_port(name: &str, deadline: Duration) -> Result<File, Error> {
    let start = Instant::now();
    loop {
        let ports = ports(Path::new(PORTS));
        let device = ports.iter().find(|port| port.1 == name).map(|port| Path::new("/dev").join(&port.0));
        if let Some(path) = device.filter(|path| path.exists()) {
            let file = File::options().read(true).write(true).open(&path);
            return file.map_err(|cause| Error::Read { path, cause });
        }
        let waited = start.elapsed();
        if waited >= deadline {
            let found = ports.into_iter().map(|port| port.1).collect();
            return Err(Error::NoPort { name: name.into(), waited, found });
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Device name and port name of every named virtio port that sysfs shows in `directory`.
fn ports(directory: &Path) -> Vec<(String, String)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let named = entries.flatten().filter_map(|entry| {
        let name = fs::read_to_string(entry.path().join("name")).ok()?;
        Some((entry.file_name().into_string().ok()?, name.trim_end().to_owned()))
    });
    named.collect()
}

/// Reaps whatever ends until the child `main` does, and gives its status. Orphans of the whole system end up here, so
/// PID 1 calls this and leaves the work to `main`.
///
/// # Errors
/// What `wait` says; `ECHILD` when `main` is not a child.
pub fn reap_until(main: Pid) -> io::Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == main => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes out what is cached and switches the machine off. Comes back only when the kernel refuses.
pub fn power_off() -> io::Error {
    end(RebootCommand::PowerOff)
}

/// Writes out what is cached and restarts the machine. Comes back only when the kernel refuses.
pub fn reboot() -> io::Error {
    end(RebootCommand::Restart)
}

fn end(command: RebootCommand) -> io::Error {
    rustix::fs::sync();
    match rustix::system::reboot(command) {
        Ok(()) => io::Error::other("the kernel carried on after reboot(2)"),
        Err(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_by_the_name_in_sysfs() {
        let root = tempfile::tempdir().unwrap();
        for (device, name) in [("vport1p1", "dimmer.agent\n"), ("vport2p1", "other\n")] {
            fs::create_dir(root.path().join(device)).unwrap();
            fs::write(root.path().join(device).join("name"), name).unwrap();
        }
        fs::create_dir(root.path().join("vport3p0")).unwrap(); // a console port has no name
        let mut found = ports(root.path());
        found.sort();
        let expected = [("vport1p1", "dimmer.agent"), ("vport2p1", "other")];
        assert_eq!(found, expected.map(|(device, name)| (device.to_owned(), name.to_owned())));
    }

    #[test]
    fn a_missing_port_is_an_error_at_the_deadline() {
        let error = find_port("no.such.port", Duration::ZERO).unwrap_err();
        assert!(error.to_string().starts_with("No virtio port named no.such.port within 0 ms"), "{error}");
    }

    #[test]
    fn a_list_of_modules_may_be_missing_but_not_the_modules_in_it() {
        let root = tempfile::tempdir().unwrap();
        let list = root.path().join("load");
        load_modules(&list).unwrap();
        fs::write(&list, "\n/no/such/module.ko\n").unwrap();
        let error = load_modules(&list).unwrap_err();
        assert_eq!(error.to_string(), "Cannot load the kernel module /no/such/module.ko");
    }
}
