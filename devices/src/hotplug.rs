//! What ACPI devices that come and go while the guest runs share, memory devices and processors alike: where one is on its way
//! in or out ([`phase`]), and what the guest reports of it ([`ost`]).

pub(crate) mod ost;
pub(crate) mod phase;

pub use ost::{OstLog, OstReport};
pub use phase::{Phase, Taken};
