//! Fuzz targets: what a guest, a client or a file may say, made of random bytes.
//!
//! Each target has an oracle of its own: beside the code under test there is a model, a second reading, or a rule that must hold
//! after every step. A violation panics. The engine (libFuzzer) looks for inputs that reach new code; what it kept is in
//! `corpus/`, and `cargo test` runs that in seconds.

pub mod guest;
pub mod host;
mod targets;

pub use targets::{TARGETS, Target};
