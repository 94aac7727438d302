//! Memory in cloud-hypervisor's shape: sizes, how the host makes it, and the virtio-mem devices as its zones.

use dimmer_devices::memory::{Kind, MemoryStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::spec::{Backing, MachineSpec, MemorySpec, VirtioMemSpec, WindowSpec};

/// Memory in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemoryConfig {
    /// Boot RAM and DIMMs.
    pub size: u64,
    /// What `vm.resize` changes: `VirtioMem` or `Acpi`.
    pub hotplug_method: &'static str,
    /// Most that can be added.
    pub hotplug_size: Option<u64>,
    /// What virtio-mem devices are asked for.
    pub hotplugged_size: Option<u64>,
    /// How host memory is made.
    #[serde(flatten)]
    pub host: HostMemoryConfig,
    /// Whether transparent huge pages are asked for.
    pub thp: bool,
    /// The virtio-mem devices, if there are any: `vm.resize-zone` takes their names.
    pub zones: Option<Vec<MemoryZoneConfig>>,
}

/// A virtio-mem device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MemoryZoneConfig {
    /// Its name.
    pub id: String,
    /// Bytes at boot that cannot go; there are none.
    pub size: u64,
    /// Most bytes.
    pub hotplug_size: Option<u64>,
    /// Bytes that it is asked for.
    pub hotplugged_size: Option<u64>,
    /// How its host memory is made.
    #[serde(flatten)]
    pub host: HostMemoryConfig,
}

/// How host memory is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HostMemoryConfig {
    /// Whether it is shared memory.
    pub shared: bool,
    /// Whether it comes from the host's pool of huge pages.
    pub hugepages: bool,
    /// Bytes of a huge page.
    pub hugepage_size: Option<u64>,
    /// Whether it is populated at start.
    pub prefault: bool,
    /// Whether the host commits to it.
    pub reserve: bool,
    /// Whether the host may merge equal pages; it may not.
    pub mergeable: bool,
}

impl MemoryConfig {
    pub(super) fn new(spec: &MachineSpec, devices: &[MemoryStatus]) -> Self {
        let requested = |kind| devices.iter().filter(move |device| device.kind == kind);
        let sum = |kind| requested(kind).map(|device| device.requested_size).sum::<u64>();
        let host = HostMemoryConfig::new(&spec.memory);
        let zone = |device: &VirtioMemSpec| MemoryZoneConfig {
            id: device.id.clone(),
            size: 0,
            hotplug_size: Some(device.size),
            hotplugged_size: requested(Kind::VirtioMem).find(|d| d.id == device.id).map(|d| d.requested_size),
            host: host.clone(),
        };
        let zones: Vec<_> = spec.virtio_mem().map(zone).collect();
        let window = |window: &WindowSpec| match window {
            WindowSpec::Acpi { size, .. } => Some(*size),
            WindowSpec::VirtioMem(_) => None,
        };
        let (method, most) = if zones.is_empty() {
            ("Acpi", spec.windows.iter().find_map(window))
        } else {
            ("VirtioMem", Some(spec.virtio_mem().map(|device| device.size).sum()))
        };
        Self {
            size: spec.memory.size.saturating_add(sum(Kind::Dimm)),
            hotplug_method: method,
            hotplug_size: most,
            hotplugged_size: (!zones.is_empty()).then(|| sum(Kind::VirtioMem)),
            host: host.clone(),
            thp: spec.memory.thp,
            zones: Some(zones).filter(|zones| !zones.is_empty()),
        }
    }
}

impl HostMemoryConfig {
    pub(super) fn new(memory: &MemorySpec) -> Self {
        let huge = match memory.backing {
            Backing::Hugetlb(size) => Some(size),
            Backing::Anon | Backing::Memfd | Backing::File(_) => None,
        };
        Self {
            shared: matches!(memory.backing, Backing::Memfd | Backing::File(_)),
            hugepages: huge.is_some(),
            hugepage_size: huge,
            prefault: memory.prealloc,
            reserve: memory.reserve,
            mergeable: false,
        }
    }
}
