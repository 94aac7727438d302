//! Dimmer's laboratory: unmodified guests, what their kernels show of memory, and where to run them.

pub mod check;
pub mod demo;
pub mod devices;
pub mod expect;
pub mod explore;
pub mod guest;
pub mod host;
pub mod layout;
pub mod library;
pub mod picture;
pub mod predict;
pub mod promised;
pub mod real;
pub mod rest;
pub mod scenario;
pub mod soak;
pub mod verdict;
pub mod vm;

pub use dimmer::chain::chain;
