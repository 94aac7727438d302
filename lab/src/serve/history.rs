//! How sizes and zones came to be what they are: samples, one whenever something changes, and no more than a bounded number.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use dimmer_forecast::playground::Sample;

use crate::map::seen::Seen;

/// Samples that are kept.
const KEPT: usize = 600;

/// The latest samples, oldest first.
#[derive(Debug, Clone, Default)]
pub struct History(VecDeque<Sample>);

impl History {
    /// Takes in what was seen now, if it is anything new.
    pub fn add(&mut self, seen: &Seen) {
        let last = self.0.back();
        let sample = Sample::of(seen, last.map_or(1, |last| last.number + 1), now());
        if last.is_some_and(|last| (&last.devices, &last.zones) == (&sample.devices, &sample.zones)) {
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// Those behind number `after`.
    pub fn after(&self, after: u64) -> Vec<&Sample> {
        self.0.iter().filter(|sample| sample.number > after).collect()
    }
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample;

    #[test]
    fn only_what_is_new_is_kept_and_no_more_than_there_is_room_for() {
        let mut history = History::default();
        let mut seen = sample::seen();
        history.add(&seen);
        history.add(&seen);
        assert_eq!(history.after(0).len(), 1);
        let zones = &history.after(0)[0].zones;
        assert_eq!(zones["Normal"], 22 * seen.layout.block_size);
        for number in 0..2 * KEPT as u64 {
            seen.devices[0].plugged_size = number;
            history.add(&seen);
        }
        assert_eq!(history.after(0).len(), KEPT);
        let last = history.after(0).last().map(|sample| sample.number);
        assert_eq!(history.after(last.unwrap() - 3).len(), 3);
    }
}
