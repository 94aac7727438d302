//! The registers of places for virtio-mmio devices that come and go: the one definition that the AML (`dsdt/places.rs`) and the
//! device model (`devices`, `places.rs`) share.
//!
//! I/O space, a byte for each place, which can only be read: 0 when no device is there, or else which of the place's devices
//! it is, 1 to [`TURNS`].
//!
//! A place has so many devices in the namespace, of which one at most is present, because Linux binds a driver to each of them
//! only once by itself: the platform device that it makes of one stays when the device goes, and keeps it from making another
//! (`acpi_create_platform_device` in drivers/acpi/acpi_platform.c, 6.1 and 6.12).

/// Most places.
pub const MAX_PLACES: usize = 16;
/// How often a device can come to one place until the guest boots again.
pub const TURNS: u8 = 8;
