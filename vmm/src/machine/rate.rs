//! How much a device carries in a second, at most.
//!
//! What has been carried takes its time, as many seconds as it is of what a second may have, and nothing more begins before
//! that is over. So a request is never cut, and however large it is, the mean is kept. A device that has carried less may catch up on
//! [`BURST`].

use std::time::{Duration, Instant};

use crate::spec::RateSpec;

/// How much time that was not used can be used later.
const BURST: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub struct Rate {
    limit: RateSpec,
    /// When what has been carried has taken its time.
    over: Option<Instant>,
}

impl Rate {
    /// Nothing has been carried yet.
    pub const fn new(limit: RateSpec) -> Self {
        Self { limit, over: None }
    }

    /// How long it is until more may begin; zero if it may now.
    pub fn wait(&self, now: Instant) -> Duration {
        self.over.map_or(Duration::ZERO, |over| over.saturating_duration_since(now))
    }

    /// An operation of so many bytes begins.
    pub fn carry(&mut self, now: Instant, bytes: u64) {
        let RateSpec { bytes: bytes_a_second, operations } = self.limit;
        let takes =
            |amount: u64, limit: Option<u64>| limit.map_or(0.0, |limit| amount as f64 / limit.max(1) as f64);
        let seconds = takes(bytes, bytes_a_second).max(takes(1, operations));
        if seconds > 0.0 {
            let earliest = now.checked_sub(BURST).unwrap_or(now);
            let begun = self.over.map_or(earliest, |over| over.max(earliest));
            // No operation takes longer than a day: a limit is at least a byte a second, and a request a few MiB.
            self.over = Some(begun + Duration::from_secs_f64(seconds.min(86_400.0)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rate(bytes: Option<u64>, operations: Option<u64>) -> Rate {
        Rate::new(RateSpec { bytes, operations })
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let (mut rate, now) = (rate(None, None), Instant::now());
        rate.carry(now, u64::MAX);
        assert_eq!(rate.wait(now), Duration::ZERO);
    }

    #[test]
    fn what_was_carried_takes_its_time() {
        let (mut rate, now) = (rate(Some(1000), Some(100)), Instant::now());
        rate.carry(now, 500);
        assert_eq!(rate.wait(now), 400 * MS, "500 ms, 100 of which were saved");
        assert_eq!(rate.wait(now + 300 * MS), 100 * MS);
        // Operations count where they take longer than their bytes do.
        rate.carry(now + 400 * MS, 1);
        assert_eq!(rate.wait(now + 400 * MS), 10 * MS);
    }

    #[test]
    fn the_mean_is_kept_however_it_is_cut() {
        for size in [1_u64, 7, 100, 3000] {
            let (mut rate, begun) = (rate(Some(1000), None), Instant::now());
            let (mut now, mut carried) = (begun, 0);
            while carried < 9000 {
                now += rate.wait(now);
                rate.carry(now, size);
                carried += size;
            }
            let seconds = (now + rate.wait(now) - begun).as_secs_f64();
            let expected = carried as f64 / 1000.0 - BURST.as_secs_f64();
            assert!((seconds - expected).abs() < 0.01, "{size}: {seconds}, {expected}");
        }
    }

    #[test]
    fn what_was_not_used_is_not_saved_for_long() {
        let (mut rate, now) = (rate(Some(1000), None), Instant::now());
        rate.carry(now, 100);
        let later = now + Duration::from_secs(3600);
        assert_eq!(rate.wait(later), Duration::ZERO);
        rate.carry(later, 200);
        assert_eq!(rate.wait(later), 100 * MS);
    }
}
