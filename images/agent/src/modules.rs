//! Kernel modules that the initramfs holds but does not load by itself.
//!
//! `/modules/optional/NAME` lists NAME's file and, before it, those of the modules it needs: a path
//! per line, in load order. A distribution has all modules of its kernel, and `modprobe`, instead.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::protocol::{Bytes, Failure, Status};
use crate::tree::Tree;
use crate::{exec, pid1};

const OPTIONAL: &str = "modules/optional";
const MODPROBE: &str = "sbin/modprobe";
/// Where the kernel shows the virtio devices, each with its type in `device` (virtio 1.2, section 5).
const VIRTIO: &str = "sys/bus/virtio/devices";
/// Types of device whose drivers are not loaded unless there is one.
const DRIVERS: [(&str, &str); 7] = [
    ("0x0001", "virtio_net"),
    ("0x0002", "virtio_blk"),
    ("0x0004", "virtio-rng"),
    ("0x0005", "virtio_balloon"),
    ("0x0013", "vmw_vsock_virtio_transport"),
    // What finds persistent memory, and what makes a block device of it.
    ("0x001b", "virtio_pmem"),
    ("0x001b", "nd_pmem"),
];

/// Loads the drivers of the virtio devices that the machine has, where the image has them.
///
/// # Errors
/// When the kernel refuses one of them.
pub fn load_drivers(tree: &Tree) -> Result<(), Failure> {
    for name in wanted(tree) {
        if files(tree, name).is_ok() {
            load(tree, name)?;
        }
    }
    Ok(())
}

fn wanted(tree: &Tree) -> Vec<&'static str> {
    let devices = std::fs::read_dir(tree.path(VIRTIO)).into_iter().flatten().flatten();
    let types = devices.filter_map(|device| std::fs::read_to_string(device.path().join("device")).ok());
    let types: Vec<_> = types.collect();
    let is_there = |wanted: &str| types.iter().any(|seen| seen.trim() == wanted);
    DRIVERS.into_iter().filter(|(wanted, _)| is_there(wanted)).map(|(_, name)| name).collect()
}

/// Loads module `name` and what it needs.
///
/// # Errors
/// When the image has no such module, or the kernel refuses one of them.
pub fn load(tree: &Tree, name: &str) -> Result<(), Failure> {
    if is_a_distribution(tree) {
        return modprobe(&[name]);
    }
    for path in files(tree, name)? {
        pid1::load_module(&path).map_err(|error| {
            let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
            match cause {
                Some(cause) => Failure::from_io(&format!("load the kernel module {}", path.display()), cause),
                None => Failure::new(error.to_string()),
            }
        })?;
    }
    Ok(())
}

/// Removes module `name`, then what it needed and nothing else needs.
///
/// # Errors
/// When the image has no such module, or the kernel refuses to remove `name`.
pub fn unload(tree: &Tree, name: &str) -> Result<(), Failure> {
    if is_a_distribution(tree) {
        return modprobe(&["--remove", name]);
    }
    let files = files(tree, name)?;
    let mut names = files.iter().rev().filter_map(|path| module_name(path));
    let Some(module) = names.next() else { return Ok(()) };
    let failed = |module: &str, error: Errno| {
        Failure::from_io(&format!("remove the kernel module {module}"), &error.into())
    };
    remove(&module).map_err(|error| failed(&module, error))?;
    for needed in names {
        match remove(&needed) {
            // In use by others, or gone with another one.
            Ok(()) | Err(Errno::BUSY | Errno::AGAIN | Errno::NOENT) => {}
            Err(error) => return Err(failed(&needed, error)),
        }
    }
    Ok(())
}

/// Whether modules are not where the initramfs has them.
fn is_a_distribution(tree: &Tree) -> bool {
    !tree.path(OPTIONAL).is_dir() && tree.path(MODPROBE).is_file()
}

/// Has the distribution's program do it.
fn modprobe(words: &[&str]) -> Result<(), Failure> {
    let program = format!("/{MODPROBE}");
    let words: Vec<String> =
        std::iter::once(program.as_str()).chain(words.iter().copied()).map(str::to_owned).collect();
    let executed = exec::run(&words, &Bytes(Vec::new()))?;
    if executed.status == Status::Code(0) {
        return Ok(());
    }
    Err(Failure::new(String::from_utf8_lossy(&executed.stderr.0).trim().to_owned()))
}

/// Removes a module that nothing uses (delete_module(2)).
fn remove(module: &str) -> Result<(), Errno> {
    let name = CString::new(module).map_err(|_| Errno::INVAL)?;
    rustix::system::delete_module(&name, libc::O_NONBLOCK)
}

/// The files of module `name` and of what it needs, in load order.
fn files(tree: &Tree, name: &str) -> Result<Vec<PathBuf>, Failure> {
    let known = || {
        let entries = std::fs::read_dir(tree.path(OPTIONAL)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        Failure::new(format!("The image has no optional module \"{name}\"; it has: {}", names.join(", ")))
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(known());
    }
    let list = tree.read(&format!("{OPTIONAL}/{name}")).map_err(|_| known())?;
    Ok(list.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect())
}

/// The kernel's name of the module in file `path`: `notifier-error-inject.ko` is
/// `notifier_error_inject`.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    Some(file.split_once('.').map_or(file, |(name, _)| name).replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Tree) {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        std::fs::create_dir_all(tree.path(OPTIONAL)).unwrap();
        std::fs::write(tree.path("modules/optional/hwpoison-inject"), "/m/a.ko\n\n/m/hwpoison-inject.ko\n")
            .unwrap();
        (root, tree)
    }

    #[test]
    fn a_list_gives_files_in_load_order() {
        let (_root, tree) = tree();
        let expected = [PathBuf::from("/m/a.ko"), PathBuf::from("/m/hwpoison-inject.ko")];
        assert_eq!(files(&tree, "hwpoison-inject").unwrap(), expected);
    }

    #[test]
    fn an_unknown_module_is_refused_with_the_known_ones() {
        let (_root, tree) = tree();
        for name in ["nvidia", "", "..", "../load", "/etc/passwd"] {
            let expected = format!("The image has no optional module \"{name}\"; it has: hwpoison-inject");
            assert_eq!(load(&tree, name).unwrap_err().text, expected);
            assert_eq!(unload(&tree, name).unwrap_err().text, expected);
        }
    }

    #[test]
    fn only_devices_that_are_there_have_their_drivers_loaded() {
        let (_root, tree) = tree();
        assert_eq!(wanted(&tree), <[&str; 0]>::default());
        for (name, kind) in [("virtio0", "0x0003"), ("virtio1", "0x0002"), ("virtio2", "0x0002")] {
            std::fs::create_dir_all(tree.path(format!("{VIRTIO}/{name}"))).unwrap();
            std::fs::write(tree.path(format!("{VIRTIO}/{name}/device")), format!("{kind}\n")).unwrap();
        }
        assert_eq!(wanted(&tree), ["virtio_blk"]);
        // An image without the driver is one for kernels that have it built in.
        load_drivers(&tree).unwrap();
    }

    #[test]
    fn a_missing_file_is_the_failure_of_that_file() {
        let (_root, tree) = tree();
        let failure = load(&tree, "hwpoison-inject").unwrap_err();
        assert_eq!(failure.errno, Some(libc::ENOENT));
        assert!(
            failure.text.starts_with("Cannot load the kernel module /m/a.ko: ENOENT"),
            "{}",
            failure.text
        );
    }

    #[test]
    fn module_names_are_the_kernels() {
        let name = module_name(Path::new("/lib/modules/memory-notifier-error-inject.ko"));
        assert_eq!(name.as_deref(), Some("memory_notifier_error_inject"));
    }
}
