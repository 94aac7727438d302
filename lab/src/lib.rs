//! Dimmer's laboratory: unmodified guests, what their kernels show of memory, and where to run them.
//!
//! For tests of other projects: [`vm::TestVm`] is a machine under test, [`vm::Setup`] what it is to be started with,
//! [`expect`] holds a layout as a person writes it against what the guest shows.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Machines are this very program, run as `dimmer`: `main` begins so, in a test without the standard harness.
//! if dimmer_lab::vm::as_dimmer().is_some() {
//!     return Ok(());
//! }
//! let kernels = dimmer_images::fetch(&dimmer_images::Cache::open()?, &["6.12"], false)?;
//! let window = "--memory-hotplug method=acpi,slots=1,size=1G";
//! let mut vm = dimmer_lab::vm::Setup::new(&kernels[0]).arguments(window).boot()?;
//! vm.rest.add_dimm("d0", 1 << 30)?;
//! let layout = vm.settled()?;
//! assert_eq!(dimmer_lab::expect::differences("0 none, 1-7 DMA32, 32-39 Movable", &layout)?, [""; 0]);
//! # Ok(())
//! # }
//! ```

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod bench;
pub mod check;
mod commands;
pub mod demo;
pub mod distribution;
pub mod explore;
pub mod guest;
pub mod host;
pub mod kselftest;
pub mod map;
pub mod output;
pub mod page;
pub mod picture;
pub mod program;
pub mod promised;
pub mod real;
mod reference;
pub mod rest;
pub mod selftest;
pub mod serve;
pub mod soak;
pub mod vm;

pub use dimmer::chain::chain;
pub use dimmer_forecast::{devices, expect, layout, library, predict, scenario, verdict};
