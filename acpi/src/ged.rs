//! The Generic Event Device's register: what `_EVT` reads to learn why the interrupt came.
//!
//! One I/O register of four bytes. Reading it returns the pending events and clears them, and with
//! them the level of the interrupt line.

/// Size of the register block in bytes.
pub const SIZE: u16 = 4;
/// Memory notifications wait in [`crate::hotplug::EVENT`].
pub const MEMORY: u32 = 1 << 0;
/// The power button was pressed.
pub const POWER_BUTTON: u32 = 1 << 1;
/// The machine has another generation ID (see [`crate::generation`]).
pub const GENERATION: u32 = 1 << 2;
/// Notifications of processors wait in [`crate::processors::EVENT`].
pub const PROCESSORS: u32 = 1 << 3;
/// A device has come to one of the [places](crate::places), or is to go.
pub const PLACES: u32 = 1 << 4;
