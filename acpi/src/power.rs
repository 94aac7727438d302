//! Sleep and reset registers of the hardware-reduced FADT (ACPI 6.5, sections 4.8.3.7 and 4.8.3.6):
//! three I/O ports of one byte each, offsets from `Platform::power_port`.

/// Offset of the sleep control register.
pub const SLEEP_CONTROL: u16 = 0;
/// Offset of the sleep status register.
pub const SLEEP_STATUS: u16 = 1;
/// Offset of the reset register.
pub const RESET: u16 = 2;
/// Size of the block in bytes.
pub const SIZE: u16 = 3;

/// Value of the sleep type field that means S5 (soft off); `_S5` says the same.
pub const SLEEP_TYPE_S5: u8 = 5;
/// What the guest writes to [`SLEEP_CONTROL`] to power off: SLP_EN and the S5 sleep type.
pub const POWER_OFF: u8 = (1 << 5) | (SLEEP_TYPE_S5 << 2);
/// What the guest writes to [`RESET`] to reset the machine.
pub const RESET_VALUE: u8 = 1;
