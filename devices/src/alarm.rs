//! Being called back later. Devices have no clock and no threads: the VMM has.

use std::time::Duration;

/// No delay is longer, a hundred years: any clock can count that far ahead. What is to come later comes then.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// So many milliseconds, as far as a delay can be that long.
pub fn delay(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds).min(LONGEST)
}

/// What a device is called back for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// To go on with a queue in which the driver left more than one pass takes.
    Queue,
    /// To do what a fault delays.
    Delay,
}

/// Calls a memory device back; must not block and must not call back into a device at once.
pub trait Alarm: Send + Sync + std::fmt::Debug {
    /// Wakes the memory device of this id after `delay`, which is [`LONGEST`] at most. It has at most one alarm for each
    /// purpose: a new one takes the place of the one before.
    fn after(&self, delay: Duration, device: &str, purpose: Purpose);
}
