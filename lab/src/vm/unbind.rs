//! Virtio devices that are no longer present, of which Linux takes no notice by itself.

use super::{TestVm, VmError};

/// Unbinds their drivers; prints their names.
const UNBIND: &str = "cd /sys/bus/platform/drivers/virtio-mmio; for device in LNRO0005:*; do \
    if [ $(cat $device/firmware_node/status) = 0 ]; then echo $device | tee unbind; fi; done";

impl TestVm {
    /// Has the guest unbind the drivers of virtio devices that are no longer present; their names. Linux does so only with
    /// drivers of ACPI's own bus (`acpi_bus_trim`, drivers/acpi/scan.c).
    ///
    /// # Errors
    /// [`VmError`] when the agent does not answer, or the guest refuses.
    pub fn unbind_absent(&mut self) -> Result<Vec<String>, VmError> {
        Ok(self.shell(UNBIND)?.lines().map(str::to_owned).collect())
    }
}
