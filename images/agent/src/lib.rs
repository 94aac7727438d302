//! Dimmer's guest agent: PID 1 of the initramfs, and the reporter of what the guest's kernel did.
//!
//! | module | what it is |
//! |---|---|
//! | [`protocol`], [`report`], [`blocks`] | the types that the agent and its client share |
//! | [`tree`], [`zoneinfo`], [`pending`] | reading the kernel's files, below any root |
//! | [`hotplug`], [`exec`], [`kernel_log`], [`modules`] | carrying out requests |
//! | [`physical`], [`pin`], [`lock`], [`kexec`], [`mapping`] | likewise, what tests do to memory and the kernel |
//! | [`port`], [`server`] | lines over the virtio-console port |
//! | [`vsock`] | a program that talks to the host over a virtual socket |
//! | [`init`], [`pid1`], [`oom`] | being PID 1, and surviving when memory is short |
//! | [`frames`] | the emulated host's wire format, for its own PID 1 |

pub mod blocks;
pub mod errno;
pub mod exec;
pub mod frames;
pub mod groups;
pub mod hotplug;
pub mod init;
pub mod kernel_log;
pub mod kexec;
pub mod lock;
pub mod mapping;
pub mod modules;
pub mod oom;
pub mod pending;
pub mod physical;
pub mod pid1;
pub mod pin;
pub mod port;
pub mod protocol;
pub mod server;
pub mod tree;
pub mod vsock;
pub mod zoneinfo;

pub use dimmer_report as report;
