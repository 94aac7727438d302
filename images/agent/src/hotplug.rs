//! Changing memory blocks, the hotplug policy and ACPI memory devices through the kernel's files.

use std::io;

use crate::blocks::BlockList;
use crate::errno;
use crate::protocol::{BlockResult, Failure, Parameter, ZoneKind};
use crate::tree::Tree;

/// Where the kernel shows ACPI devices.
const ACPI_DEVICES: &str = "sys/bus/acpi/devices";
/// The hardware id of an ACPI memory device (ACPI 6.5, section 9.11).
const MEMORY_DEVICE: &str = "PNP0C80:";

impl Failure {
    /// The system's refusal to do `what`.
    pub fn from_io(what: &str, error: &io::Error) -> Self {
        let errno = error.raw_os_error();
        let name = errno.map(|errno| format!("{}: ", errno::name(errno))).unwrap_or_default();
        Self { text: format!("Cannot {what}: {name}{error}"), errno }
    }

    /// A failure that is not the kernel's.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), errno: None }
    }
}

/// Onlines `blocks` one after another, to the kind of zone given or as the kernel's policy says.
/// May block while the kernel is busy with memory.
pub fn online(tree: &Tree, blocks: &BlockList, zone: Option<ZoneKind>) -> Vec<BlockResult> {
    let word = match zone {
        None => "online",
        Some(ZoneKind::Kernel) => "online_kernel",
        Some(ZoneKind::Movable) => "online_movable",
    };
    change(tree, blocks, word)
}

/// Offlines `blocks` one after another. May block for as long as a page of a block is in use.
pub fn offline(tree: &Tree, blocks: &BlockList) -> Vec<BlockResult> {
    change(tree, blocks, "offline")
}

/// Writes `word` to the state of each block and goes on behind a refusal.
fn change(tree: &Tree, blocks: &BlockList, word: &str) -> Vec<BlockResult> {
    let change_one = |index| {
        let path = format!("sys/devices/system/memory/memory{index}/state");
        match tree.write(&path, word) {
            Ok(()) => BlockResult { index, error: None, errno: None },
            Err(error) => {
                let errno = error.raw_os_error();
                let name = errno.map_or_else(|| error.to_string(), errno::name);
                BlockResult { index, error: Some(name), errno }
            }
        }
    };
    blocks.iter().map(change_one).collect()
}

/// Sets a policy parameter.
///
/// # Errors
/// The kernel's refusal: `ENOENT` for a parameter that it lacks, `EINVAL` for a value it refuses.
pub fn set(tree: &Tree, name: Parameter, value: &str) -> Result<(), Failure> {
    let path = match name {
        Parameter::AutoOnlineBlocks => "sys/devices/system/memory/auto_online_blocks",
        Parameter::OnlinePolicy => "sys/module/memory_hotplug/parameters/online_policy",
        Parameter::AutoMovableRatio => "sys/module/memory_hotplug/parameters/auto_movable_ratio",
        Parameter::AutoMovableNumaAware => "sys/module/memory_hotplug/parameters/auto_movable_numa_aware",
    };
    tree.write(path, value)
        .map_err(|error| Failure::from_io(&format!("write \"{value}\" to /{path}"), &error))
}

/// Asks the kernel to eject the ACPI memory device whose `_UID` is `slot`. The kernel only queues
/// the request; what comes of it shows in the layout and in the device's `_OST`.
///
/// # Errors
/// When there is no such device, or the kernel refuses (`ENODEV` with ejection switched off).
pub fn eject(tree: &Tree, slot: u32) -> Result<(), Failure> {
    let names = device_names(tree).map_err(|error| Failure::from_io("list ACPI devices", &error))?;
    let mut others = Vec::new();
    for name in names {
        let Ok(uid) = tree.read(&format!("{ACPI_DEVICES}/{name}/uid")) else { continue };
        if number_of(&uid) == Some(slot) {
            return tree
                .write(&format!("{ACPI_DEVICES}/{name}/eject"), "1")
                .map_err(|error| Failure::from_io(&format!("eject slot {slot} ({name})"), &error));
        }
        others.push(uid);
    }
    Err(Failure::new(format!("No ACPI memory device has _UID {slot}; there are: {}", others.join(", "))))
}

/// The number in a `_UID`: the kernel shows an integer in decimal, and a string as the firmware has
/// it, which is `0x0A` with QEMU's.
fn number_of(uid: &str) -> Option<u32> {
    match uid.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => uid.parse().ok(),
    }
}

/// Names of the ACPI memory devices, such as `PNP0C80:00`, sorted.
fn device_names(tree: &Tree) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(tree.path(ACPI_DEVICES))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| name.starts_with(MEMORY_DEVICE));
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree(files: &[&str]) -> (tempfile::TempDir, Tree) {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::new(root.path());
        for file in files {
            let path = tree.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        (root, tree)
    }

    #[test]
    fn each_block_gets_its_own_result() {
        let state = |index| format!("sys/devices/system/memory/memory{index}/state");
        let (_root, tree) = tree(&[&state(48), &state(50), &state(51)]);
        let results = online(&tree, &"48-50".parse().unwrap(), Some(ZoneKind::Movable));
        let done = |index| BlockResult { index, error: None, errno: None };
        let missing = BlockResult { index: 49, error: Some("ENOENT".into()), errno: Some(libc::ENOENT) };
        assert_eq!(results, [done(48), missing, done(50)]);
        assert_eq!(tree.read(&state(48)).unwrap(), "online_movable");
        assert_eq!(offline(&tree, &BlockList::one(51)), [done(51)]);
        assert_eq!(tree.read(&state(51)).unwrap(), "offline");
    }

    #[test]
    fn a_parameter_that_the_kernel_lacks_is_named_with_the_error() {
        let (_root, tree) = tree(&["sys/module/memory_hotplug/parameters/auto_movable_ratio"]);
        set(&tree, Parameter::AutoMovableRatio, "400").unwrap();
        assert_eq!(tree.read("sys/module/memory_hotplug/parameters/auto_movable_ratio").unwrap(), "400");
        let failure = set(&tree, Parameter::OnlinePolicy, "auto-movable").unwrap_err();
        assert_eq!(failure.errno, Some(libc::ENOENT));
        let start =
            "Cannot write \"auto-movable\" to /sys/module/memory_hotplug/parameters/online_policy: ENOENT";
        assert!(failure.text.starts_with(start), "{}", failure.text);
    }

    #[test]
    fn a_slot_is_found_by_its_uid() {
        let device = |name, file| format!("{ACPI_DEVICES}/{name}/{file}");
        let (_root, tree) = tree(&[
            &device("PNP0C80:00", "eject"),
            &device("PNP0C80:01", "eject"),
            &device("PNP0C0C:00", "eject"),
        ]);
        for (name, uid) in [("PNP0C80:00", "4\n"), ("PNP0C80:01", "0x0B\n"), ("PNP0C0C:00", "5\n")] {
            fs::write(tree.path(device(name, "uid")), uid).unwrap();
        }
        eject(&tree, 11).unwrap();
        assert_eq!(tree.read(&device("PNP0C80:01", "eject")).unwrap(), "1");
        assert_eq!(tree.read(&device("PNP0C80:00", "eject")).unwrap(), "");
        let failure = eject(&tree, 5).unwrap_err();
        assert_eq!(failure.text, "No ACPI memory device has _UID 5; there are: 4, 0x0B");
    }
}
