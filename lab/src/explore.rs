//! The explorer: random machines and histories on a guest and on the oracle, in search of a block that
//! is not where the oracle says.
//!
//! ```text
//!   seed, run ──► dice ──► machine ──► history      (a path of a tree: pure, the model runs along)
//!                                         │
//!      guests or models, kept where  ──► kept ──► found      (carried out beside the oracle)
//!      histories part                     │ a difference
//!                                      shrink ──► explore-SEED-RUN-KERNEL.toml
//!                                         │
//!                                      record, coverage, report      (a line for each run, the sum of all, the rules that were met; a page)
//! ```
//!
//! A run depends on its seed and number alone, not on what other runs did or how many there are at once.

pub mod campaign;
pub mod coverage;
pub mod dice;
mod edges;
mod exact;
pub mod found;
pub mod history;
mod interest;
pub mod kept;
mod machine;
pub mod record;
pub mod report;
pub mod shrink;
mod steps;
#[cfg(test)]
mod tests;
pub mod timed;
pub mod worker;
