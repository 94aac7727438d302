//! The Dimmer virtual machine monitor: owns /dev/kvm, guest RAM, the vCPU threads, the event loop
//! and the sockets for those who control the machine.

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod access;
pub mod api;
pub mod audit;
pub mod chain;
pub mod cli;
pub mod complaint;
pub mod control;
pub mod ctl;
pub mod defect;
pub mod events;
mod forked;
pub mod host;
mod inherited;
mod json;
mod kept;
pub mod log;
pub mod machine;
pub mod printable;
pub mod program;
pub mod qmp;
pub mod sandbox;
mod schema;
pub mod snapshot;
pub mod socket;
pub mod socket_server;
mod sparse;
pub mod topology;
pub mod version;

pub use dimmer_plan::{layout, spec, units};
