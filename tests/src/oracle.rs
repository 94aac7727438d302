//! The oracle: an executable model of what Linux does with memory blocks, zones and memory groups.
//!
//! It is pure. It knows the machine as it was specified and the history of steps; it never looks at
//! a guest.
//!
//! ```text
//!   boot ──► memory (blocks, zones, groups) ◄── policy (which zone, and why)
//!                ▲
//!             linux: adds and removes blocks for
//!                ├── ACPI memory devices (linux::dimm)
//!                └── virtio-mem devices  (virtio_mem)
//! ```

pub mod boot;
pub mod chance;
pub mod faults;
pub mod group;
pub mod linux;
pub mod memory;
pub mod mistake;
pub mod poison;
pub mod policy;
pub mod release;
pub mod report;
#[cfg(test)]
mod tests;
pub mod verdict;
pub mod virtio_mem;
pub mod zone;
