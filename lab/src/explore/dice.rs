//! Randomness that is the same for the same seed and run, on every machine.

use std::ops::RangeInclusive;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The random numbers of one run.
#[derive(Debug, Clone)]
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// Those of run `run` of `seed`; each run has a stream of its own.
    pub fn new(seed: u64, run: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(run);
        Self(rng)
    }

    /// A number of the range, both ends included.
    pub fn number(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// Yes, in `percent` of all cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.number(1..=100) <= percent
    }

    /// One of them, each as likely as the others; `None` when there are none.
    pub fn one_of<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let last = all.len().checked_sub(1)? as u64;
        usize::try_from(self.number(0..=last)).ok().and_then(|index| all.get(index)).cloned()
    }

    /// One of them, as likely as the weight beside it says.
    ///
    /// # Panics
    /// When there are none.
    pub fn weighted<T: Copy>(&mut self, all: &[(u64, T)]) -> T {
        let sum: u64 = all.iter().map(|(weight, _)| weight).sum();
        let mut left = self.number(1..=sum);
        for (weight, item) in all {
            if left <= *weight {
                return *item;
            }
            left -= weight;
        }
        unreachable!("the weights are as much as their sum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_its_own_numbers_and_always_the_same() {
        let numbers = |seed, run| {
            let mut dice = Dice::new(seed, run);
            (0..8).map(|_| dice.number(0..=1 << 40)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, 2), numbers(1, 2));
        assert_ne!(numbers(1, 2), numbers(1, 3));
        assert_ne!(numbers(1, 2), numbers(2, 2));
    }

    #[test]
    fn weights_count() {
        let mut dice = Dice::new(0, 0);
        let ones = (0..1000).filter(|_| dice.weighted(&[(9, 1), (1, 2)]) == 1).count();
        assert!((850..950).contains(&ones), "{ones}");
        assert_eq!(dice.one_of::<u8>(&[]), None);
    }
}
