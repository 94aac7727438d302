//! ACPI memory devices (DIMMs) as they are asked for, and where in their window they go.

pub mod description;
pub mod window;

pub use description::{Dimm, DimmRange, Notify, ShapeError};
pub use window::{GRANULE, Window};
