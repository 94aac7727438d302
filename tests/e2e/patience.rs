//! Waiting for what a guest, its driver or the host does in its own time: looked at again and again, never
//! for a fixed time, and an error when it does not come.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How long anything may take. The emulated host is slow.
const PATIENCE: Duration = Duration::from_secs(240);

/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looks until it gives something; `what` is what the error names.
pub fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() >= end {
            return Err(format!("{what}: not within {} s", PATIENCE.as_secs()).into());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> Result<bool, Box<dyn Error>>) -> Outcome {
    wait_for(what, || Ok(condition()?.then_some(())))
}
