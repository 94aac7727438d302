//! The calls that have nothing behind them, and why.

use super::super::BASE;

/// One machine is made by a command line.
const ONE_MACHINE: &str =
    "a process of Dimmer has the one machine that its command line made, and ends with it";
/// What is on virtio-mmio cannot come later.
const NO_BUS: &str = "only memory devices are added to a running machine (POST /api/v1/memory-devices); disks, \
    persistent memory, network devices and the socket device are said on the command line (--disk, --pmem, --net, --vsock)";

const CALLS: [(&str, &str); 17] = [
    ("vm.create", ONE_MACHINE),
    ("vm.boot", ONE_MACHINE),
    ("vm.delete", ONE_MACHINE),
    ("vm.restore", "a machine goes on from a snapshot in a process of its own: dimmer run --restore DIR"),
    ("vm.receive-migration", "there is no migration; dimmer run --restore DIR goes on from a snapshot"),
    ("vm.send-migration", "there is no migration; PUT /api/v1/vm.snapshot writes the machine to a directory"),
    ("vm.coredump", "there is none; PUT /api/v1/vm.snapshot writes registers and memory to a directory"),
    ("vm.resize-disk", "a disk keeps the size that its file had at the start"),
    ("vm.add-device", NO_BUS),
    ("vm.add-disk", NO_BUS),
    ("vm.add-fs", NO_BUS),
    ("vm.add-generic-vhost-user", NO_BUS),
    ("vm.add-net", NO_BUS),
    ("vm.add-pmem", NO_BUS),
    ("vm.add-user-device", NO_BUS),
    ("vm.add-vdpa", NO_BUS),
    ("vm.add-vsock", NO_BUS),
];

/// Why there is nothing at `path`, if it is a call of cloud-hypervisor's.
pub fn why_not(path: &str) -> Option<&'static str> {
    let call = path.strip_prefix(BASE)?.strip_prefix('/')?;
    CALLS.iter().find(|(name, _)| *name == call).map(|(_, why)| *why)
}
