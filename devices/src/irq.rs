//! Interrupt lines: a device says whether its line is high, the VMM drives the interrupt
//! controller with it.

/// A level-triggered, active-high interrupt line.
///
/// Levels cannot be lost: a line that was raised before the guest's driver was there is still
/// high when the driver comes.
pub trait IrqLine: Send + Sync + std::fmt::Debug {
    /// Drives the line.
    fn set(&self, high: bool);
}
