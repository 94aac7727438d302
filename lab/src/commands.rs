//! The subcommands of `dimmer-lab`. Each is a clap `Args` struct with `run() -> commands::Result`.

use std::error::Error;
use std::process::ExitCode;

pub mod bench;
pub mod check;
pub mod completions;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod explore;
pub mod guest;
pub mod host;
pub mod images;
pub mod layout;
pub mod man;
pub mod map;
pub mod playground;
pub mod predict;
mod question;
pub mod reference;
pub mod run;
pub mod scenario;
pub mod selftest;
pub mod serve;
pub mod soak;

/// Exit status of what ended early because nobody reads what it prints any more.
pub const UNREAD: u8 = 2;

/// The exit status to end with, or an error that `main` prints before it ends with status 2.
pub type Result = std::result::Result<ExitCode, Box<dyn Error>>;
