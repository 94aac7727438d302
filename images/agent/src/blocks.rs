//! Lists of memory blocks as people write them: `48-79,144`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most blocks a list may name: a 128 TiB guest of 128 MiB blocks.
pub const MAX_BLOCKS: u64 = 1 << 20;

/// Memory blocks by number, in the order given; on the wire the string `48-79,144`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlockList(Vec<RangeInclusive<u64>>);

/// Why a text is not a list of blocks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockListError {
    /// A part is neither a number nor a range.
    #[error("\"{0}\" is neither a block number nor a range of them; a list looks like 48-79,144")]
    Part(String),
    /// A range ends before it starts.
    #[error("The range of blocks {0}-{1} ends before it starts")]
    Backwards(u64, u64),
    /// More blocks than any guest has.
    #[error("The list \"{0}\" names more than {MAX_BLOCKS} blocks")]
    TooMany(String),
}

impl BlockList {
    /// The list that holds the one block `index`.
    pub fn one(index: u64) -> Self {
        Self(vec![index..=index])
    }

    /// The block numbers, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().cloned().flatten()
    }
}

impl From<RangeInclusive<u64>> for BlockList {
    fn from(range: RangeInclusive<u64>) -> Self {
        Self(vec![range])
    }
}

/// Parses `48` or `48-79`.
fn parse_part(part: &str) -> Result<RangeInclusive<u64>, BlockListError> {
    let bad = || BlockListError::Part(part.to_owned());
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().map_err(|_| bad()),
        false => Err(bad()),
    };
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err(BlockListError::Backwards(first, last));
    }
    Ok(first..=last)
}

impl FromStr for BlockList {
    type Err = BlockListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ranges = text.split(',').map(parse_part).collect::<Result<Vec<_>, _>>()?;
        let total = ranges
            .iter()
            .fold(0u64, |sum, range| sum.saturating_add((range.end() - range.start()).saturating_add(1)));
        match total <= MAX_BLOCKS {
            true => Ok(Self(ranges)),
            false => Err(BlockListError::TooMany(text.to_owned())),
        }
    }
}

impl fmt::Display for BlockList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}-{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for BlockList {
    type Error = BlockListError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<BlockList> for String {
    fn from(list: BlockList) -> Self {
        list.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_blocks_keep_their_order() {
        let list: BlockList = "144,48-50".parse().unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), [144, 48, 49, 50]);
        assert_eq!(list.to_string(), "144,48-50");
    }

    #[test]
    fn what_is_not_a_list_is_named() {
        for part in ["", "x", "-5", "5-", "+5", "1--2", " 4"] {
            let error = part.parse::<BlockList>().unwrap_err();
            assert_eq!(error, BlockListError::Part(part.to_owned()), "{part:?}");
        }
        assert_eq!("9-3".parse::<BlockList>().unwrap_err(), BlockListError::Backwards(9, 3));
    }

    #[test]
    fn a_list_longer_than_any_guest_is_refused() {
        for text in ["0-18446744073709551615", "0-1048576", "0-1048575,7"] {
            assert_eq!(text.parse::<BlockList>().unwrap_err(), BlockListError::TooMany(text.to_owned()));
        }
        assert_eq!("0-1048575".parse::<BlockList>().unwrap().iter().count(), 1 << 20);
    }
}
