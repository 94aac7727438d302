//! The devices of a machine as cloud-hypervisor's device tree has them.

use std::collections::BTreeMap;

use dimmer_devices::memory::MemoryStatus;
use serde::Serialize;
use utoipa::ToSchema;

use crate::layout;

/// The serial console's name.
const SERIAL: &str = "__serial";

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeviceNode {
    /// Its name.
    pub id: String,
    /// Where the guest finds it.
    pub resources: Vec<Resource>,
    /// Devices behind it; there are none.
    pub children: Vec<String>,
}

/// Where a guest finds a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub enum Resource {
    /// At I/O ports.
    PioAddressRange {
        /// The first port.
        base: u16,
        /// Number of ports.
        size: u16,
    },
    /// At guest-physical addresses: where the memory of a memory device is, or may come to be.
    MmioAddressRange {
        /// The first address.
        base: u64,
        /// Bytes.
        size: u64,
    },
}

/// The serial console, and the memory devices by name.
pub fn tree(devices: &[MemoryStatus]) -> BTreeMap<String, DeviceNode> {
    let node = |id: &str, resources| DeviceNode { id: id.to_owned(), resources, children: Vec::new() };
    let memory = devices.iter().map(|device| {
        let range = |range: &dimmer_devices::memory::GuestRange| Resource::MmioAddressRange {
            base: range.start,
            size: range.size,
        };
        node(&device.id, device.ranges.iter().map(range).collect())
    });
    let serial = node(SERIAL, vec![Resource::PioAddressRange { base: layout::SERIAL_PORT, size: 8 }]);
    memory.chain([serial]).map(|node| (node.id.clone(), node)).collect()
}
