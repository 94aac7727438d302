//! The processor-hotplug register block: the one definition that the AML (`dsdt/cpu.rs`) and the device model (`devices`,
//! `processors/registers.rs`) share.
//!
//! It is to processors what [`crate::hotplug`] is to memory, and has the same rules: I/O space, registers four bytes wide, a
//! mutex in the AML around "select, then read or write", and a queue of events rather than a scan.
//!
//! | offset | read | write |
//! |---|---|---|
//! | [`PROCESSOR`] | selected processor | select the processor with this `_UID` |
//! | [`STATUS`] | `_STA` of the selected processor: 0 or [`STATUS_PRESENT`](crate::hotplug::STATUS_PRESENT) | – |
//! | [`EVENT`] | takes the next notification: `_UID` in bits 0-15, `Notify` value in bits 16-31, or [`NO_EVENT`](crate::hotplug::NO_EVENT) | – |
//! | [`EJECT`] | – | any value ejects the selected processor; it runs no further instruction when the write returns |
//! | [`OST_SOURCE`] | – | `_OST` argument 0 for the selected processor |
//! | [`OST_STATUS`] | – | `_OST` argument 1; completes the report begun with [`OST_SOURCE`] |

/// Offset of the selector.
pub const PROCESSOR: u16 = 0x00;
/// Offset of the selected processor's `_STA` value.
pub const STATUS: u16 = 0x04;
/// Offset of the notification queue's head.
pub const EVENT: u16 = 0x08;
/// Offset of the eject command.
pub const EJECT: u16 = 0x0c;
/// Offset of the `_OST` source event.
pub const OST_SOURCE: u16 = 0x10;
/// Offset of the `_OST` status code.
pub const OST_STATUS: u16 = 0x14;
/// Size of the block in bytes.
pub const SIZE: u16 = 0x18;
