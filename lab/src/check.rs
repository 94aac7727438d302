//! Checking scenarios on real guests: which guest runs which of them, several at a time, and what is said of it.
//!
//! | module | what it is |
//! |---|---|
//! | [`shard`] | the share of the work that this process does |
//! | [`plan`] | batches: scenarios that one guest runs, one after the other |
//! | [`judge`] | one scenario on one [`subject`], held against the oracle and against its author |
//! | [`model`] | a scenario's expectations, held against the oracle alone |
//! | [`guest`] | the guest of a batch, and how it is brought back to what it was after its boot |
//! | [`run`] | batches on several guests at a time |
//! | [`away`] | the same in emulated hosts |
//! | [`entry`] | what became of one scenario on one kernel |
//! | [`frame`] | what a guest showed after one step; [`witness`] notes it |
//! | [`report`] | all of it for people, as JSON, as JUnit's XML, as TAP, and as a page of HTML |
//!
//! No result depends on what ran before: a scenario that does not end as expected on a guest that has run others is run
//! once more on a fresh one, and only that counts.

pub mod away;
mod difference;
pub mod entry;
pub mod frame;
pub mod guest;
pub mod judge;
pub mod model;
pub mod plan;
pub mod report;
pub mod run;
pub mod shard;
pub mod subject;
pub mod witness;

pub use difference::{By, Difference};
pub use entry::{Entry, Outcome};
pub use frame::{Frame, Run, expected};
pub use guest::Seat;
pub use judge::check;
pub use plan::{Batch, Plan};
pub use report::{Format, Report};
pub use shard::Shard;
