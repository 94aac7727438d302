//! ACPI tables and AML of the Dimmer machine: a [`Platform`](platform::Platform) in, bytes out. No I/O.

pub mod ged;
pub mod hotplug;
pub mod platform;
pub mod power;
