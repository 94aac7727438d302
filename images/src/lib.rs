//! What Dimmer's guests and the emulated host boot: kernels, fetched from Debian or given by path, and an initramfs with
//! the static agent.
//!
//! | module | what it is |
//! |---|---|
//! | [`kernels`] | the table of kernels that have a name |
//! | [`cache`] | the directory that everything fetched or built is kept in |
//! | [`kernel`], [`fetch`] | finding a kernel, and fetching one |
//! | [`apt`] | Debian packages, without root and without touching the machine's apt |
//! | [`deb`], [`vmlinux`], [`elf`] | unpacking them |
//! | [`modules`] | kernel modules and what they depend on |
//! | [`qemu`] | QEMU of the emulated host |
//! | [`distribution`] | root file systems of distributions |
//! | [`selftests`] | the kernel's own tests, from its source |
//! | [`prune`] | removing what is superseded |
//! | [`initramfs`], [`busybox`] | the cpio archive and the shell in it |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod apt;
pub mod busybox;
pub mod cache;
pub mod deb;
pub mod distribution;
pub mod elf;
pub mod fetch;
pub mod initramfs;
pub mod kernel;
pub mod kernels;
pub mod modules;
mod progress;
mod prune;
pub mod qemu;
pub mod selftests;
pub mod vmlinux;

pub use cache::Cache;
pub use fetch::fetch;
pub use initramfs::{host_initramfs, initramfs};
pub use kernel::{Kernel, list};
pub use prune::{Removed, prune};
pub use qemu::Qemu;

/// The static agent, PID 1 of every guest.
pub const AGENT: &[u8] = include_bytes!(env!("DIMMER_AGENT"));

/// The static PID 1 of the emulated host.
pub const HOST_INIT: &[u8] = include_bytes!(env!("DIMMER_HOST_INIT"));

/// A guest without a kernel that misuses every device: an ELF file with a PVH entry. `images/hostile` says what it takes as a
/// command line.
pub const HOSTILE: &[u8] = include_bytes!(env!("DIMMER_HOSTILE"));
