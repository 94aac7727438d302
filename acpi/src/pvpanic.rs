//! The pvpanic device: one I/O port of one byte, through which a guest says that its kernel panicked (QEMU,
//! docs/specs/pvpanic; Linux, include/uapi/misc/pvpanic.h). Defined once, for AML and device.

/// Size of the register in bytes.
pub const SIZE: u8 = 1;
/// The kernel panicked, and nothing comes after it.
pub const PANICKED: u8 = 1 << 0;
/// The kernel panicked, and its crash kernel takes over.
pub const CRASH_LOADED: u8 = 1 << 1;
