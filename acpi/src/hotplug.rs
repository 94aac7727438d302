//! The memory-hotplug register block: the one definition that the AML (`dsdt/memory.rs`) and the
//! device model (`devices`, `dimm/registers.rs`) share.
//!
//! The block belongs to Dimmer; ACPI leaves it to the platform how `_STA`, `_CRS`, `_EJ0` and
//! `_OST` reach the hardware. It lies in I/O space and every register is four bytes wide. The AML
//! holds one mutex around each sequence "select, then read or write", so the selectors need no
//! protection of their own.
//!
//! | offset | read | write |
//! |---|---|---|
//! | [`SLOT`] | selected slot | select a slot |
//! | [`RANGE`] | number of ranges of the selected slot | select one of its ranges |
//! | [`BASE_LOW`], [`BASE_HIGH`] | first address of the selected range | – |
//! | [`LENGTH_LOW`], [`LENGTH_HIGH`] | length of the selected range in bytes | – |
//! | [`PROXIMITY`] | `_PXM` of the selected slot | – |
//! | [`STATUS`] | `_STA` of the selected slot: 0 or [`STATUS_PRESENT`] | – |
//! | [`EVENT`] | takes the next notification: slot in bits 0-15, `Notify` value in bits 16-31, or [`NO_EVENT`] | – |
//! | [`EJECT`] | – | any value ejects the selected slot; its `_STA` is 0 when the write returns |
//! | [`OST_SOURCE`] | – | `_OST` argument 0 for the selected slot |
//! | [`OST_STATUS`] | – | `_OST` argument 1; completes the report begun with [`OST_SOURCE`] |
//!
//! In place of a slot, [`CONTAINER`] stands for the device around all slots: it is notified of a bus
//! check, and reports with `_OST`. Any other selector out of range reads as an empty slot, or as a
//! range of length 0. The events are a queue, so the AML never scans slots: a notification costs the
//! same with 1 slot and with 1,024.

/// Offset of the slot selector.
pub const SLOT: u16 = 0x00;
/// Offset of the range selector; reads as the number of ranges of the selected slot.
pub const RANGE: u16 = 0x04;
/// Offset of bits 0-31 of the selected range's first address.
pub const BASE_LOW: u16 = 0x08;
/// Offset of bits 32-63 of the selected range's first address.
pub const BASE_HIGH: u16 = 0x0c;
/// Offset of bits 0-31 of the selected range's length.
pub const LENGTH_LOW: u16 = 0x10;
/// Offset of bits 32-63 of the selected range's length.
pub const LENGTH_HIGH: u16 = 0x14;
/// Offset of the selected slot's proximity domain.
pub const PROXIMITY: u16 = 0x18;
/// Offset of the selected slot's `_STA` value.
pub const STATUS: u16 = 0x1c;
/// Offset of the notification queue's head.
pub const EVENT: u16 = 0x20;
/// Offset of the eject command.
pub const EJECT: u16 = 0x24;
/// Offset of the `_OST` source event.
pub const OST_SOURCE: u16 = 0x28;
/// Offset of the `_OST` status code.
pub const OST_STATUS: u16 = 0x2c;
/// Size of the block in bytes.
pub const SIZE: u16 = 0x30;

/// `_STA` of a slot that holds a memory device: present, enabled, shown and functioning
/// (ACPI 6.5, section 6.3.7). The only other value a slot ever shows is 0.
pub const STATUS_PRESENT: u32 = 0xf;
/// What [`EVENT`] reads when no notification is waiting.
pub const NO_EVENT: u32 = 0xffff_ffff;

/// In place of a slot: the device that contains all of them.
pub const CONTAINER: u16 = 0xffff;

/// Most slots that one machine can have.
pub const MAX_SLOTS: u16 = 1024;
/// Most address ranges that one memory device can have.
pub const MAX_RANGES: usize = 8;

/// `Notify` value that asks the guest to look for changes in and below a device (ACPI 6.5, table 5.192).
pub const NOTIFY_BUS_CHECK: u32 = 0;
/// `Notify` value that asks the guest to check a device (ACPI 6.5, table 5.192).
pub const NOTIFY_DEVICE_CHECK: u32 = 1;
/// `Notify` value that asks the guest to let a device go (ACPI 6.5, table 5.192).
pub const NOTIFY_EJECT_REQUEST: u32 = 3;
