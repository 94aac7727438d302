//! The Dimmer virtual machine monitor: owns /dev/kvm, guest RAM, the vCPU threads, the event loop
//! and the REST socket.

pub mod control;
pub mod events;
pub mod spec;
