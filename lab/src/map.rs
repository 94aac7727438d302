//! The map of a guest's memory on a terminal: every block, with devices, memory groups and events, live.
//!
//! | module | what it is |
//! |---|---|
//! | [`view`] | what is on the screen: what was seen, the block that is chosen, what is being typed |
//! | [`keys`] | what a key does |
//! | [`draw`] | a view in, a picture out |
//! | [`deed`] | what a user may have the machine or the guest do |
//! | [`act`] | doing that, and saying what came of it |
//! | [`events`] | what the machine told |
//! | [`watch`] | looking at machine and guest again and again |
//!
//! Only [`act`] and [`watch`] talk to anybody; all else is pure. What a map shows, whoever draws it, is in
//! [`dimmer_forecast::map`].

pub mod act;
pub mod deed;
pub mod draw;
pub mod events;
pub mod keys;
pub mod view;
pub mod watch;

#[cfg(test)]
pub(crate) use dimmer_forecast::map::sample;
pub use dimmer_forecast::map::{look, model, outlook, partly, seen, sheet, words};
