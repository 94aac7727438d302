//! What this project sells: guests of 1 GiB that grow to four times their size, and shrink again.

/// The flags of `dimmer run` for memory.
pub const MEMORY: &str = "--memory size=1G --memory-hotplug method=acpi,slots=4,size=4G \
    --memory-hotplug method=virtio-mem,size=3G";

/// What a guest grows by.
pub const GROWTH: u64 = 3 << 30;
