//! The archives that guests and the emulated host start from: newc cpio (Linux, `Documentation/driver-api/early-userspace/
//! buffer-format.rst`), uncompressed, the same bytes for the same contents.
//!
//! `/modules/load` lists the modules to load, one path a line in load order. A module that is there for those who ask
//! for it by name has a list of its own, `/modules/optional/NAME`, with what it depends on before it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::kernel::Kernel;
use crate::modules::{Module, Modules};
use crate::{AGENT, HOST_INIT, busybox, cache};

/// What a guest needs for memory devices, the agent's port and the power button.
const GUEST_MODULES: [&str; 8] = [
    "virtio",
    "virtio_ring",
    "virtio_mmio",
    "virtio_console",
    "virtio_mem",
    "button",
    "evdev",
    "pvpanic-mmio",
];
/// Drivers of devices that a machine may have, what a root file system of a distribution needs, and what tests may load in a
/// guest, where the kernel has it.
const OPTIONAL_MODULES: [&str; 17] = [
    "virtio_blk",
    "virtio_net",
    "virtio-rng",
    "virtio_balloon",
    "vmw_vsock_virtio_transport",
    "memory-notifier-error-inject",
    "hwpoison-inject",
    "nd_e820",
    "nd_pmem",
    "virtio_pmem",
    "nfit",
    "squashfs",
    "overlay",
    "wdat_wdt",
    "dax_hmem",
    "device_dax",
    "kmem",
];
/// What the emulated host needs: KVM, the shared root, a layer of changes on top, the ports, and TAP devices.
const HOST_MODULES: [&str; 8] =
    ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay", "irqbypass", "kvm-amd", "tun"];

const DIRECTORIES: [&str; 12] = [
    "bin",
    "dev",
    "etc",
    "lib",
    "lib/modules",
    "modules",
    "modules/optional",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
];

/// What decides, beside its parts, what is in an archive: how it is made.
const RECIPE: [&[u8]; 2] = [include_bytes!("initramfs.rs"), include_bytes!("modules.rs")];
/// An archive may only begin at a multiple of this many bytes (`unpack_to_rootfs` in init/initramfs.c).
const ALIGNMENT: usize = 4;

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel module is missing.
    #[error(transparent)]
    Modules(#[from] crate::modules::Error),
    /// There is no static busybox.
    #[error(transparent)]
    Busybox(#[from] busybox::Error),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] cache::Error),
    /// A file that was to be added cannot be read.
    #[error("Cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A file is too large for the format.
    #[error("Cannot put {path} into an initramfs")]
    Archive {
        /// Its path in the archive.
        path: String,
        /// What the writer said.
        #[source]
        cause: io::Error,
    },
}

/// The initramfs for a guest that boots `kernel`: the agent as `/init`, busybox with all its applets, modules. Built when
/// it is not in the cache; the path names what it is made of, so it never goes stale.
///
/// A kernel whose modules are unknown gets none: it has what it needs built in.
///
/// # Errors
/// [`Error`].
pub fn initramfs(kernel: &Kernel) -> Result<PathBuf, Error> {
    let busybox = busybox::Busybox::find_or_fetch(kernel.cache())?;
    stored(kernel, "guest", &[AGENT, &busybox.image], || {
        let mut archive = Archive::new(AGENT);
        for applet in busybox.applets()?.iter().filter(|applet| *applet != "busybox") {
            archive.entries.insert(format!("bin/{applet}"), Entry::Link("busybox".into()));
        }
        archive.file("bin/busybox", 0o755, busybox.image.clone());
        archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n".to_vec());
        archive.file("etc/group", 0o644, b"root:x:0:\n".to_vec());
        if let Some(root) = &kernel.modules {
            let modules = Modules::open(root)?;
            archive.modules("load", modules.load_order(&present(&modules, &GUEST_MODULES))?);
            for name in present(&modules, &OPTIONAL_MODULES) {
                archive.modules(&format!("optional/{name}"), modules.load_order(&[name])?);
            }
        }
        Ok(archive)
    })
}

/// The initramfs of the emulated host, for `kernel` with all its modules.
///
/// # Errors
/// [`Error`].
pub fn host_initramfs(kernel: &Kernel) -> Result<PathBuf, Error> {
    stored(kernel, "host", &[HOST_INIT], || {
        let mut archive = Archive::new(HOST_INIT);
        if let Some(root) = &kernel.modules {
            archive.modules("load", Modules::open(root)?.load_order(&HOST_MODULES)?);
        }
        Ok(archive)
    })
}

/// The archive `initramfs` with `files` added: paths in it, without a `/` at the front or with one, and where their
/// contents are. The kernel unpacks archives that follow one another, the later ones over the earlier ones.
///
/// # Errors
/// [`Error::Read`] and [`Error::Archive`].
pub fn extended(initramfs: &Path, files: &[(String, PathBuf)]) -> Result<Vec<u8>, Error> {
    let read =
        |path: &Path| std::fs::read(path).map_err(|cause| Error::Read { path: path.to_owned(), cause });
    let mut bytes = read(initramfs)?;
    let mut archive = Archive { entries: BTreeMap::new() };
    for (path, file) in files {
        let path = path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            archive.entries.insert(path[..end].to_owned(), Entry::Directory);
        }
        archive.file(path, 0o644, read(file)?);
    }
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    bytes.extend(archive.bytes()?);
    Ok(bytes)
}

/// Those of `names` that the kernel has.
fn present<'a>(modules: &Modules, names: &[&'a str]) -> Vec<&'a str> {
    names.iter().copied().filter(|name| modules.has(name)).collect()
}

/// The archive that `build` makes of `parts` and the kernel's modules; built where it is not in the cache. Modules of a fetched
/// kernel never change, so that such an archive is known by what it is made of; a kernel of one's own may have been built anew.
fn stored(
    kernel: &Kernel,
    purpose: &str,
    parts: &[&[u8]],
    build: impl FnOnce() -> Result<Archive, Error>,
) -> Result<PathBuf, Error> {
    let place = |parts: &[&[u8]]| {
        let name = format!("initramfs/{purpose}-{}-{:016x}.cpio", kernel.release, hash(parts));
        (kernel.cache().root().join(&name), name)
    };
    let Some(version) = &kernel.version else {
        let bytes = build()?.bytes()?;
        let (path, name) = place(&[&bytes]);
        return if path.is_file() { Ok(path) } else { Ok(kernel.cache().write(name, &bytes)?) };
    };
    let made_of = [parts, &RECIPE, &[kernel.name.as_bytes(), version.as_bytes()]].concat();
    let (path, name) = place(&made_of);
    if path.is_file() { Ok(path) } else { Ok(kernel.cache().write(name, &build()?.bytes()?)?) }
}

/// 64-bit FNV-1a over the lengths and words of all parts, enough to tell builds of our own apart.
fn hash(parts: &[&[u8]]) -> u64 {
    parts.iter().fold(0xcbf2_9ce4_8422_2325, |hash, part| {
        let words = part.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        std::iter::once(part.len() as u64).chain(words).fold(hash, |hash: u64, word| {
            let mixed = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
            mixed ^ mixed >> 29
        })
    })
}

enum Entry {
    Directory,
    File {
        mode: u32,
        bytes: Vec<u8>,
    },
    Link(String),
    /// A character device: major and minor number.
    Device(u32, u32),
}

/// Paths, relative to the root, and what is there. Sorted, a directory comes before what is in it.
struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    fn new(init: &[u8]) -> Self {
        let directories = DIRECTORIES.map(|path| (path.to_owned(), Entry::Directory));
        let mut archive = Self { entries: BTreeMap::from(directories) };
        archive.file("init", 0o755, init.to_vec());
        // The kernel opens the console for PID 1 before anyone mounts /dev. Where there is none, PID 1 starts without
        // standard streams, and Rust's runtime opens /dev/null in their place.
        archive.entries.insert("dev/console".into(), Entry::Device(5, 1));
        archive.entries.insert("dev/null".into(), Entry::Device(1, 3));
        archive
    }

    fn file(&mut self, path: &str, mode: u32, bytes: Vec<u8>) {
        self.entries.insert(path.into(), Entry::File { mode, bytes });
    }

    /// Adds `modules`, and their paths in this order as `/modules/LIST`.
    fn modules(&mut self, list: &str, modules: Vec<Module>) {
        let mut paths = String::new();
        for Module { name, image } in modules {
            let path = format!("lib/modules/{name}.ko");
            paths.extend(["/", &path, "\n"]);
            self.file(&path, 0o644, image);
        }
        self.file(&format!("modules/{list}"), 0o644, paths.into_bytes());
    }

    fn bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            let written = write(&mut bytes, number, path, entry);
            written.map_err(|cause| Error::Archive { path: path.clone(), cause })?;
        }
        cpio::newc::trailer(&mut bytes).map_err(|cause| Error::Archive { path: "TRAILER".into(), cause })?;
        Ok(bytes)
    }
}

fn write(to: &mut Vec<u8>, number: u32, path: &str, entry: &Entry) -> io::Result<()> {
    const DIRECTORY: u32 = 0o040_755;
    const FILE: u32 = 0o100_000;
    const LINK: u32 = 0o120_777;
    const CHARACTER: u32 = 0o020_600;
    let header = cpio::newc::Builder::new(path).ino(number).nlink(1);
    let (header, contents) = match entry {
        Entry::Directory => (header.mode(DIRECTORY).nlink(2), [].as_slice()),
        Entry::File { mode, bytes } => (header.mode(FILE | mode), bytes.as_slice()),
        Entry::Link(target) => (header.mode(LINK), target.as_bytes()),
        Entry::Device(major, minor) => {
            (header.mode(CHARACTER).rdev_major(*major).rdev_minor(*minor), [].as_slice())
        }
    };
    let size = u32::try_from(contents.len()).map_err(|_| io::Error::other("it has 4 GiB or more"))?;
    let mut writer = header.write(&mut *to, size);
    io::Write::write_all(&mut writer, contents)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests;
