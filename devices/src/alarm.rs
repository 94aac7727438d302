//! Being called back later. Devices have no clock and no threads: the VMM has.

use std::time::Duration;

/// Calls a memory device back; must not block and must not call back into a device at once.
pub trait Alarm: Send + Sync + std::fmt::Debug {
    /// Wakes the memory device of this id after `delay`; several alarms of one device are kept
    /// apart.
    fn after(&self, delay: Duration, device: &str);
}
