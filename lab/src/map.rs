//! The map of a guest's memory on a terminal: every block, with devices, memory groups and events, live.
//!
//! | module | what it is |
//! |---|---|
//! | [`seen`] | what machine and guest show at one moment |
//! | [`look`] | what a cell shows of its block |
//! | [`partly`] | the blocks that are plugged in part |
//! | [`sheet`] | the blocks in lines, by node and device |
//! | [`outlook`] | where the next memory would go, by the oracle |
//! | [`words`] | all that in the words of people |
//! | [`model`] | the same, as the oracle has it |
//! | [`view`] | what is on the screen: what was seen, the block that is chosen, what is being typed |
//! | [`keys`] | what a key does |
//! | [`draw`] | a view in, a picture out |
//! | [`deed`] | what a user may have the machine or the guest do |
//! | [`act`] | doing that, and saying what came of it |
//! | [`watch`] | looking at machine and guest again and again |
//!
//! Only [`act`] and [`watch`] talk to anybody; all else is pure.

pub mod act;
pub mod deed;
pub mod draw;
pub mod keys;
pub mod look;
pub mod model;
pub mod outlook;
pub mod partly;
pub mod seen;
pub mod sheet;
pub mod view;
pub mod watch;
pub mod words;

/// Views for tests.
#[cfg(test)]
pub(crate) mod sample;
