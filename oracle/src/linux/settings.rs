//! How a kernel is set up.

use crate::policy::OnlineType;

/// What a guest is configured to do, beside the zone policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `auto_online_blocks`; `None` for `offline`.
    pub auto_online: Option<OnlineType>,
    /// `memory_hotplug.memmap_on_memory`
    pub memmap_on_memory: bool,
    /// `/sys/firmware/acpi/hotplug/memory/enabled`
    pub eject_enabled: bool,
    /// Bytes of boot memory that nothing else gets: for a crash kernel, or as huge pages.
    pub set_aside: u64,
    /// Whether the kernel lays out its address space at random.
    pub kaslr: bool,
}

impl Default for Settings {
    /// Blocks go online as they come, as the policy says; the rest is as the kernel has it without parameters.
    fn default() -> Self {
        Self {
            auto_online: Some(OnlineType::Policy),
            memmap_on_memory: false,
            eject_enabled: true,
            set_aside: 0,
            kaslr: false,
        }
    }
}
