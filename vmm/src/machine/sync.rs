//! The locks of the gate and of the hold: the standard library's. `tests/models.rs` has others in their place, which try all orders.

pub use std::sync::atomic::{AtomicUsize, Ordering};
pub use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
