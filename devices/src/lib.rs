//! Device models of the Dimmer machine: everything with registers or queues.
//!
//! No KVM and no threads here. Host memory is reached through
//! [`memory::HostMemory`] alone, guest memory through the `vm-memory` map that a caller passes in.

pub mod alarm;
pub mod bus;
pub mod dimm;
pub mod fault;
pub mod ged;
pub mod hotplug;
pub mod i8042;
pub mod irq;
pub mod memory;
pub mod memory_map;
pub mod pci;
pub mod places;
pub mod power;
pub mod processors;
pub mod pvpanic;
mod register;
pub mod serial;
pub mod state;
#[cfg(test)]
mod testing;
pub mod virtio;
pub mod virtio_mem;
mod warning;
pub mod watchdog;
pub mod written;

pub use dimmer_plan::{placement, units};
