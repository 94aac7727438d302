//! A set of blocks as a bitmap, with questions and changes about whole ranges.

use std::ops::Range;

const BITS: usize = u64::BITS as usize;

/// A set of block numbers below a fixed bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blocks {
    words: Vec<u64>,
    length: usize,
    count: usize,
}

impl Blocks {
    /// The empty set of numbers below `length`.
    pub(super) fn new(length: usize) -> Self {
        Self { words: vec![0; length.div_ceil(BITS)], length, count: 0 }
    }

    /// How many numbers are in the set.
    pub(super) const fn count(&self) -> usize {
        self.count
    }

    /// Whether a number of `range` is in the set.
    pub(super) fn any(&self, range: Range<usize>) -> bool {
        self.parts(range).any(|(word, mask)| self.words[word] & mask != 0)
    }

    /// Whether every number of `range` is in the set.
    pub(super) fn all(&self, range: Range<usize>) -> bool {
        self.parts(range).all(|(word, mask)| self.words[word] & mask == mask)
    }

    /// Puts `range` into the set.
    pub(super) fn insert(&mut self, range: Range<usize>) {
        for (word, mask) in self.parts(range) {
            self.count += (mask & !self.words[word]).count_ones() as usize;
            self.words[word] |= mask;
        }
    }

    /// Takes `range` out of the set.
    pub(super) fn remove(&mut self, range: Range<usize>) {
        for (word, mask) in self.parts(range) {
            self.count -= (mask & self.words[word]).count_ones() as usize;
            self.words[word] &= !mask;
        }
    }

    /// Takes everything out of the set.
    pub(super) fn clear(&mut self) {
        self.words.fill(0);
        self.count = 0;
    }

    /// The runs of numbers in the set, ascending, as long as they can be.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            let start = self.find(next, true)?;
            let end = self.find(start, false).unwrap_or(self.length);
            next = end;
            Some(start..end)
        })
    }

    /// The first number from `from` on that is in the set, or that is not.
    fn find(&self, from: usize, inside: bool) -> Option<usize> {
        let wanted = |word: usize| if inside { self.words[word] } else { !self.words[word] };
        let mut mask = u64::MAX << (from % BITS);
        for word in from / BITS..self.words.len() {
            let found = wanted(word) & mask;
            if found != 0 {
                let number = word * BITS + found.trailing_zeros() as usize;
                return (number < self.length).then_some(number);
            }
            mask = u64::MAX;
        }
        None
    }

    /// The words that `range` lies in, each with a mask of its part.
    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (usize, u64)> + use<> {
        debug_assert!(range.start <= range.end && range.end <= self.length, "{range:?} of {}", self.length);
        let words = if range.is_empty() { 0..0 } else { range.start / BITS..range.end.div_ceil(BITS) };
        words.map(move |word| {
            let first = range.start.saturating_sub(word * BITS);
            let behind = (range.end - word * BITS).min(BITS);
            (word, u64::MAX << first & u64::MAX >> (BITS - behind))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const LENGTH: usize = 200;

    proptest! {
        #[test]
        fn it_behaves_like_a_set_of_numbers(
            steps in prop::collection::vec((any::<bool>(), 0..=LENGTH, 0..=LENGTH), 0..40),
            question in (0..=LENGTH, 0..=LENGTH),
        ) {
            let mut blocks = Blocks::new(LENGTH);
            let mut model = BTreeSet::new();
            for (insert, a, b) in steps {
                let range = a.min(b)..a.max(b);
                if insert {
                    blocks.insert(range.clone());
                    model.extend(range);
                } else {
                    blocks.remove(range.clone());
                    model.retain(|block| !range.contains(block));
                }
                prop_assert_eq!(blocks.count(), model.len());
            }
            let range = question.0.min(question.1)..question.0.max(question.1);
            prop_assert_eq!(blocks.any(range.clone()), range.clone().any(|block| model.contains(&block)));
            prop_assert_eq!(blocks.all(range.clone()), range.clone().all(|block| model.contains(&block)));
            let runs: Vec<_> = blocks.runs().collect();
            prop_assert!(runs.is_sorted_by(|a, b| a.end < b.start), "{runs:?} touch");
            prop_assert!(runs.iter().all(|run| !run.is_empty()));
            prop_assert!(runs.into_iter().flatten().eq(model));
        }
    }

    #[test]
    fn a_tebibyte_of_small_blocks_can_be_filled_and_cleared() {
        let length = (1 << 40) / (2 << 20);
        let mut blocks = Blocks::new(length);
        blocks.insert(0..length);
        assert!(blocks.all(0..length));
        assert_eq!(blocks.count(), length);
        blocks.remove(length - 1..length);
        assert!(!blocks.all(0..length) && !blocks.any(length - 1..length));
        assert!(blocks.runs().eq(std::iter::once(0..length - 1)));
        blocks.clear();
        assert_eq!((blocks.count(), blocks.any(0..length)), (0, false));
    }
}
