//! Dimmer's laboratory: unmodified guests, what their kernels show of memory, and where to run them.

use std::error::Error;

pub mod demo;
pub mod devices;
pub mod expect;
pub mod guest;
pub mod host;
pub mod layout;
pub mod picture;
pub mod promised;
pub mod rest;
pub mod vm;

/// The error and its causes, each printed once, joined by `: `.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
