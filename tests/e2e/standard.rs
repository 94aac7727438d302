//! The two machines that most tests are about: 4 GiB of RAM, and DIMMs or a virtio-mem device. Each is booted once in a host;
//! a test has a child of it.

use dimmer_images::Kernel;
use dimmer_lab::promised;
use dimmer_lab::vm::{Setup, TestVm, VmError};

/// With six slots for DIMMs, in a window of 24 GiB.
pub fn with_dimms(kernel: &Kernel) -> Result<TestVm, VmError> {
    forked(kernel, "--memory-hotplug method=acpi,slots=6,size=24G")
}

/// With the virtio-mem device `vmem0` of 32 GiB.
pub fn with_virtio_mem(kernel: &Kernel) -> Result<TestVm, VmError> {
    forked(kernel, "--memory-hotplug method=virtio-mem,size=32G")
}

fn forked(kernel: &Kernel, memory: &str) -> Result<TestVm, VmError> {
    Setup::new(kernel).arguments(promised::MACHINE).arguments(memory).forked()
}
