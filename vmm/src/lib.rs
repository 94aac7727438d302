//! The Dimmer virtual machine monitor: owns /dev/kvm, guest RAM, the vCPU threads, the event loop
//! and the REST socket.

pub mod api;
pub mod audit;
pub mod chain;
pub mod cli;
pub mod control;
pub mod ctl;
pub mod defect;
pub mod events;
mod forked;
pub mod host;
pub mod layout;
pub mod machine;
pub mod printable;
pub mod program;
mod schema;
pub mod snapshot;
pub mod socket;
mod sparse;
pub mod spec;
pub mod topology;

pub use dimmer_devices::units;
