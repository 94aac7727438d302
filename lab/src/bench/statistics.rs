//! The arithmetic of a comparison: medians, spread, and how sure a ratio is.
//!
//! Two programs are compared round by round, since what else a host does changes from one round to the next and meets both.
//! The ratio is the median of the rounds' ratios, and its interval is a bootstrap's: rounds are drawn again and again from
//! those that there are, with the same seed each time, and 95 % of the medians that come of it lie in the interval.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Rounds below which no winner is named. Of five the true median lies between the least and the most 15 times of 16, of
/// fewer less often, and no drawing of rounds makes up for that.
pub const ROUNDS_FOR_A_WINNER: usize = 5;
/// How often rounds are drawn.
const DRAWS: usize = 4000;
/// How many of the medians lie below the interval, and how many above it: of each 1,000.
const TAIL: usize = 25;
const SEED: u64 = 13;

/// What several rounds gave for one program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
    /// How many there are.
    pub rounds: usize,
}

/// How one program's values compare with another's in the same rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Median of the ratios of each round: first program by second.
    pub ratio: f64,
    /// Where the interval begins.
    pub low: f64,
    /// Where the interval ends.
    pub high: f64,
    /// In how many rounds both were measured.
    pub rounds: usize,
}

impl Ratio {
    /// Whether the first program's values are smaller (`Less`) or larger (`Greater`), where enough rounds say so.
    #[must_use]
    pub fn verdict(&self) -> Option<std::cmp::Ordering> {
        let enough = self.rounds >= ROUNDS_FOR_A_WINNER;
        match enough {
            true if self.high < 1.0 => Some(std::cmp::Ordering::Less),
            true if self.low > 1.0 => Some(std::cmp::Ordering::Greater),
            _ => None,
        }
    }
}

/// The median of these, which are sorted on the way; none of nothing.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// The value below which so many of a thousand lie; none of nothing.
pub fn quantile(values: &mut [f64], of_a_thousand: usize) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let place = (values.len() * of_a_thousand / 1000).min(values.len().checked_sub(1)?);
    values.get(place).copied()
}

/// What these rounds say of one program; none of nothing.
#[must_use]
pub fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    let median = median(&mut sorted)?;
    Some(Summary { median, least: sorted[0], most: sorted[sorted.len() - 1], rounds: sorted.len() })
}

/// How pairs of values of the same rounds compare. A pair with a value that is not above zero has no ratio and is left out;
/// none when no pair is left.
#[must_use]
pub fn ratio(pairs: &[(f64, f64)]) -> Option<Ratio> {
    let has_ratio = |(ours, theirs): &&(f64, f64)| *ours > 0.0 && *theirs > 0.0;
    let mut ratios: Vec<f64> = pairs.iter().filter(has_ratio).map(|(ours, theirs)| ours / theirs).collect();
    let ratio = median(&mut ratios)?;
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut drawn = vec![0.0; ratios.len()];
    let mut medians: Vec<f64> = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        drawn.iter_mut().for_each(|value| *value = ratios[random.random_range(0..ratios.len())]);
        medians.extend(median(&mut drawn));
    }
    let (low, high) = (quantile(&mut medians, TAIL)?, quantile(&mut medians, 1000 - TAIL)?);
    Some(Ratio { ratio, low, high, rounds: ratios.len() })
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers_of_rounds() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&mut []), None);
        let all = summary(&[5.0, 1.0, 3.0]).unwrap();
        assert_eq!(all, Summary { median: 3.0, least: 1.0, most: 5.0, rounds: 3 });
        assert_eq!(summary(&[]), None);
    }

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let mut values: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 500), Some(50.0));
        assert_eq!(quantile(&mut values, 990), Some(99.0));
        assert_eq!(quantile(&mut values, 1000), Some(99.0));
        assert_eq!(quantile(&mut [], 500), None);
    }

    #[test]
    fn what_meets_both_programs_of_a_round_does_not_change_the_ratio() {
        let host = [1.0, 7.0, 2.0, 30.0, 4.0, 11.0];
        let pairs = host.map(|slow| (2.0 * slow, 4.0 * slow));
        let all = ratio(&pairs).unwrap();
        assert_eq!((all.ratio, all.low, all.high, all.rounds), (0.5, 0.5, 0.5, 6));
        assert_eq!(all.verdict(), Some(Ordering::Less));
    }

    #[test]
    fn a_winner_needs_an_interval_without_one_and_enough_rounds() {
        let noisy = [(1.0, 2.0), (3.0, 2.0), (1.0, 1.5), (2.0, 1.0), (1.0, 1.1)];
        let all = ratio(&noisy).unwrap();
        assert!(all.low < 1.0 && all.high > 1.0 && all.low < all.ratio && all.ratio < all.high, "{all:?}");
        assert_eq!(all.verdict(), None);
        let clear = [(3.0, 2.0); 5];
        assert_eq!(ratio(&clear).unwrap().verdict(), Some(Ordering::Greater));
        assert_eq!(ratio(&clear[1..]).unwrap().verdict(), None, "four rounds are too few");
    }

    #[test]
    fn the_same_rounds_always_have_the_same_interval() {
        let pairs: Vec<(f64, f64)> = (1..=10).map(|round| (f64::from(round % 4 + 1), 2.0)).collect();
        assert_eq!(ratio(&pairs), ratio(&pairs));
        assert!(ratio(&pairs).unwrap().low < ratio(&pairs).unwrap().high);
    }

    #[test]
    fn a_value_of_zero_has_no_ratio() {
        assert_eq!(ratio(&[(0.0, 1.0), (1.0, 0.0)]), None);
        assert_eq!(ratio(&[(0.0, 1.0), (3.0, 1.0)]).unwrap().rounds, 1);
    }
}
