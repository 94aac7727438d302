//! Going over to the root file system of a distribution: a squashfs on a disk under a layer in memory that takes every change,
//! with the kernel's modules from a second disk, and this program in it as a service.
//!
//! `dimmer.root=vda` on the kernel's command line asks for it, and `dimmer.modules=vdb` for the modules.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::chroot;

use crate::modules;
use crate::tree::Tree;

const LOWER: &str = "/lower";
const CHANGES: &str = "/changes";
const ROOT: &str = "/newroot";
/// Where the distribution's own PID 1 is.
const INIT: &str = "/sbin/init";
/// How long a disk is waited for: its driver was loaded a moment ago.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is written over the distribution's files: path and contents.
const FILES: [(&str, &str); 5] = [
    ("etc/hostname", "dimmer\n"),
    ("etc/systemd/system/dimmer-agent.service", include_str!("root/dimmer-agent.service")),
    ("etc/systemd/system/serial-getty@ttyS0.service.d/dimmer.conf", include_str!("root/serial-getty.conf")),
    ("etc/systemd/network/80-dimmer.network", "[Match]\nType=ether\n\n[Network]\nDHCP=yes\n"),
    ("etc/profile.d/dimmer.sh", include_str!("root/profile.sh")),
];
/// The services that every boot wants, and one that has nothing to watch: what the link leads to, and the link.
const WANTED: [(&str, &str); 3] = [
    ("../dimmer-agent.service", "etc/systemd/system/multi-user.target.wants/dimmer-agent.service"),
    (
        "/lib/systemd/system/systemd-networkd.service",
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service",
    ),
    ("/dev/null", "etc/systemd/system/ndctl-monitor.service"),
];
/// Where this program goes.
const AGENT: &str = "usr/lib/dimmer/agent";

/// The disks that a kernel's command line names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disks {
    root: String,
    modules: Option<String>,
}

impl Disks {
    /// Those on the command line, if it names a root.
    #[must_use]
    pub fn named(cmdline: &str) -> Option<Self> {
        let value =
            |key: &str| cmdline.split_whitespace().find_map(|word| word.strip_prefix(key)).map(str::to_owned);
        Some(Self { root: value("dimmer.root=")?, modules: value("dimmer.modules=") })
    }

    /// Goes over to the distribution, whose PID 1 this process becomes. Comes back only when that fails.
    #[must_use]
    pub fn go_over(&self) -> io::Error {
        match self.prepare() {
            Ok(()) => Command::new(INIT).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").exec(),
            Err(error) => error,
        }
    }

    fn prepare(&self) -> io::Result<()> {
        for module in ["squashfs", "overlay"] {
            modules::load(&Tree::new("/"), module).map_err(|failure| io::Error::other(failure.text))?;
        }
        lay_over(&disk(&self.root)?)?;
        if let Some(modules) = &self.modules {
            let at = Path::new(ROOT).join("usr/lib/modules");
            fs::create_dir_all(&at)?;
            mount_at(&disk(modules)?, &at, "squashfs", MountFlags::RDONLY, "")?;
        }
        put_files(Path::new(ROOT), Path::new("/init"))?;
        for tree in ["dev", "proc", "sys"] {
            mount_move(format!("/{tree}"), format!("{ROOT}/{tree}"))?;
        }
        std::env::set_current_dir(ROOT)?;
        mount_move(".", "/")?;
        chroot(".")?;
        std::env::set_current_dir("/")
    }
}

/// Puts the disk `device` under a layer of changes, at [`ROOT`].
fn lay_over(device: &Path) -> io::Result<()> {
    let (upper, work) = (Path::new(CHANGES).join("upper"), Path::new(CHANGES).join("work"));
    [LOWER, CHANGES, ROOT].into_iter().try_for_each(fs::create_dir_all)?;
    mount_at(device, Path::new(LOWER), "squashfs", MountFlags::RDONLY, "")?;
    mount_at(Path::new("tmpfs"), Path::new(CHANGES), "tmpfs", MountFlags::empty(), "mode=0755,size=75%")?;
    [&upper, &work].into_iter().try_for_each(fs::create_dir)?;
    let layers = format!("lowerdir={LOWER},upperdir={},workdir={}", upper.display(), work.display());
    mount_at(Path::new("overlay"), Path::new(ROOT), "overlay", MountFlags::empty(), &layers)
}

/// Writes what is ours into the distribution at `root`, with a copy of `agent`.
fn put_files(root: &Path, agent: &Path) -> io::Result<()> {
    let place = |path: &str| -> io::Result<PathBuf> {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        Ok(path)
    };
    for (path, text) in FILES {
        fs::write(place(path)?, text)?;
    }
    fs::copy(agent, place(AGENT)?)?;
    WANTED.into_iter().try_for_each(|(target, link)| std::os::unix::fs::symlink(target, place(link)?))
}

/// The device file of a disk, once it is there.
fn disk(name: &str) -> io::Result<PathBuf> {
    let (path, begun) = (Path::new("/dev").join(name), Instant::now());
    while !path.exists() {
        if begun.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("there is no disk {}", path.display())));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(path)
}

fn mount_at(source: &Path, at: &Path, kind: &str, flags: MountFlags, options: &str) -> io::Result<()> {
    let options = CString::new(options)?;
    mount(source, at, kind, flags, options.as_c_str()).map_err(|error| {
        io::Error::other(format!("cannot mount {} at {}: {error}", source.display(), at.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_named_on_the_command_line() {
        let disks = Disks::named("console=ttyS0 dimmer.root=vda dimmer.modules=vdb quiet");
        assert_eq!(disks, Some(Disks { root: "vda".to_owned(), modules: Some("vdb".to_owned()) }));
        assert_eq!(Disks::named("dimmer.root=vdc"), Some(Disks { root: "vdc".to_owned(), modules: None }));
        assert_eq!(Disks::named("root=/dev/vda dimmer.modules=vdb"), None);
    }

    #[test]
    fn the_agent_is_a_service_of_every_boot() {
        let root = tempfile::tempdir().unwrap();
        let agent = root.path().join("init");
        fs::write(&agent, b"agent").unwrap();
        put_files(root.path(), &agent).unwrap();
        let wanted = fs::read_to_string(root.path().join(WANTED[0].1)).unwrap();
        assert!(wanted.contains(&format!("ExecStart=/{AGENT} serve")), "{wanted}");
        assert_eq!(fs::read(root.path().join(AGENT)).unwrap(), b"agent");
        assert!(put_files(root.path(), &agent).is_err(), "a second layer over the first would be a mistake");
    }
}
