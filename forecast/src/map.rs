//! What a map of memory shows: every block, with devices and memory groups, as a machine and its guest show them, or as the oracle
//! has them.
//!
//! | module | what it is |
//! |---|---|
//! | [`seen`] | what machine and guest show at one moment |
//! | [`look`] | what a cell shows of its block |
//! | [`partly`] | the blocks that are plugged in part |
//! | [`sheet`] | the blocks in lines, by node and device |
//! | [`outlook`] | where the next memory would go, by the oracle |
//! | [`words`] | all that in the words of people |
//! | [`sample`] | a machine with a block of each kind, for tests |
//! | [`model`] | the same, as the oracle has it |

pub mod look;
pub mod model;
pub mod outlook;
pub mod partly;
pub mod sample;
pub mod seen;
pub mod sheet;
pub mod words;
