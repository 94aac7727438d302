//! What the oracle says of a scenario: step by step, why, and whether it can be tried at all.

mod explain;
pub mod forecast;
mod model;
mod releases;
#[cfg(test)]
mod tests;
mod validate;

pub use explain::{Explanation, changes, explain};
pub use model::{Prediction, Seen};
pub use releases::{release, usual};
pub use validate::validate;
