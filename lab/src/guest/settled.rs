//! Waiting until the guest's memory layout has settled.

use std::time::{Duration, Instant};

use dimmer_agent::protocol::Action;

use super::{Guest, GuestError};
use crate::layout::{Layout, difference};

/// How long at least to leave a guest alone that says it is busy.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How many times the duration of a report to leave it alone, so that watching a small guest does
/// not take the CPU that it needs to get on.
const SHARE: u32 = 5;

impl Guest {
    /// The memory layout once two reports in a row agree and neither knows of anything under way.
    ///
    /// That says what the guest was doing, not what it will be told next: whoever changed a memory
    /// device waits for the machine to report the end of that change first.
    ///
    /// # Errors
    /// [`GuestError::NotSettled`] after `deadline`, with what stood in the way.
    pub fn settled(&mut self, deadline: Duration) -> Result<Layout, GuestError> {
        let end = Instant::now() + deadline;
        // The last two reports, the older one first.
        let (mut older, mut previous): (Option<Layout>, Option<Layout>) = (None, None);
        loop {
            let asked = Instant::now();
            let left = end.saturating_duration_since(asked);
            let layout = match self.ask_within::<Layout>(Action::Layout, left) {
                Ok(layout) => layout,
                Err(GuestError::Timeout { .. }) => return Err(not_settled(deadline, older, previous)),
                Err(error) => return Err(error),
            };
            let busy = !layout.pending.is_empty();
            if !busy && previous.as_ref() == Some(&layout) {
                return Ok(layout);
            }
            if Instant::now() >= end {
                return Err(not_settled(deadline, previous, Some(layout)));
            }
            older = previous.replace(layout);
            if busy {
                let pause = LOOK_AGAIN.max(asked.elapsed() * SHARE);
                std::thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
            }
        }
    }
}

/// What stood in the way, from the last two reports.
fn not_settled(waited: Duration, previous: Option<Layout>, last: Option<Layout>) -> GuestError {
    let reasons = match (previous, last) {
        (Some(previous), Some(last)) => {
            let mut reasons = last.pending.clone();
            reasons.extend(difference(&previous, &last));
            reasons
        }
        (Some(only), None) | (None, Some(only)) if !only.pending.is_empty() => only.pending,
        (Some(_), _) | (_, Some(_)) => vec!["only one report came in that time".to_owned()],
        (None, None) => vec!["no report came in that time".to_owned()],
    };
    GuestError::NotSettled { waited, reasons }
}
