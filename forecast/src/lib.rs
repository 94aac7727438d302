//! What would Linux do? Scenarios in, what the oracle says of every step out, and how that is held against what a guest shows.
//!
//! It is pure: nothing here talks to a machine, and it builds for wasm, where a page has it without any host. Files are read
//! in two places alone: [`scenario::Scenario::read`] and [`library`].
//!
//! | module | what it is |
//! |---|---|
//! | [`scenario`] | a machine, a guest's policy and steps, as TOML |
//! | [`library`] | the scenarios that come with the program, and those in files |
//! | [`predict`] | what the oracle says of a scenario, step by step, and why |
//! | [`layout`], [`devices`] | a guest's memory as it shows it, in words, and whose it is |
//! | [`expect`] | a layout as a person writes it |
//! | [`verdict`] | the oracle held against what a guest shows |
//! | [`map`] | what a map of memory shows, whoever draws it |
//! | [`tables`] | a JSON schema as a page of tables |
//! | [`playground`] | a scenario's text in, all that a page draws of it out |

#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod devices;
pub mod expect;
pub mod layout;
pub mod library;
pub mod map;
pub mod playground;
pub mod predict;
pub mod scenario;
pub mod tables;
pub mod verdict;
