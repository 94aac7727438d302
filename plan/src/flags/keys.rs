//! `key=value,key=value`: the form of all flags with more than one setting.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};

use crate::placement::Placement;

use crate::spec::RateSpec;
use crate::units::Bytes;

/// What is wrong with a flag's `key=value,…`; clap puts the flag's name and the whole text in front.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A piece between commas has no `=`.
    #[error("{piece:?} is not KEY=VALUE (valid keys: {valid})")]
    NotAPair {
        /// The piece.
        piece: String,
        /// The keys there are.
        valid: String,
    },
    /// There is no such key.
    #[error("unknown key {key:?} (valid: {valid})")]
    Unknown {
        /// The key.
        key: String,
        /// The keys there are.
        valid: String,
    },
    /// A key that has one value was given two.
    #[error("key {key:?} is given twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A key that must be there is not.
    #[error("key {key:?} is missing ({rule})")]
    Missing {
        /// The key.
        key: &'static str,
        /// What its value must be.
        rule: String,
    },
    /// A value is wrong.
    #[error("{key}={value}: {rule}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What would be valid.
        rule: String,
    },
}

/// How a value is read; the error is the rule that it breaks.
type Read<T> = fn(&str) -> Result<T, String>;

/// The pairs of one flag.
#[derive(Debug)]
pub struct Keys<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Keys<'a> {
    /// Splits `text`, in which only the keys `valid` may stand, each once unless it is in `repeated`.
    pub fn parse(text: &'a str, valid: &[&str], repeated: &[&str]) -> Result<Self, KeyError> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        for piece in text.split(',') {
            let not_a_pair = || KeyError::NotAPair { piece: piece.to_owned(), valid: valid.join(", ") };
            let (key, value) = piece.split_once('=').ok_or_else(not_a_pair)?;
            if !valid.contains(&key) {
                return Err(KeyError::Unknown { key: key.to_owned(), valid: valid.join(", ") });
            }
            if !repeated.contains(&key) && pairs.iter().any(|(other, _)| *other == key) {
                return Err(KeyError::Twice { key: key.to_owned() });
            }
            pairs.push((key, value));
        }
        Ok(Self { pairs })
    }

    /// All values of `key`, in the order given.
    pub fn all<T>(&self, key: &'static str, read: Read<T>) -> Result<Vec<T>, KeyError> {
        let values = self.pairs.iter().filter(|(other, _)| *other == key);
        let wrong = |value: &str, rule| KeyError::Value { key, value: value.to_owned(), rule };
        values.map(|(_, value)| read(value).map_err(|rule| wrong(value, rule))).collect()
    }

    /// The value of `key`, if it is there.
    pub fn optional<T>(&self, key: &'static str, read: Read<T>) -> Result<Option<T>, KeyError> {
        Ok(self.all(key, read)?.pop())
    }

    /// Makes sure that `key` is not there; `rule` says when it may be.
    pub fn absent(&self, key: &'static str, rule: &str) -> Result<(), KeyError> {
        match self.pairs.iter().find(|(other, _)| *other == key) {
            None => Ok(()),
            Some((_, value)) => {
                Err(KeyError::Value { key, value: (*value).to_owned(), rule: rule.to_owned() })
            }
        }
    }

    /// The values of `start` and `align`.
    pub fn placement(&self) -> Result<Placement, KeyError> {
        Ok(Placement { start: self.optional("start", address)?, align: self.optional("align", size)? })
    }

    /// The values of `bps`, bytes a second, and of `operations`, which is how many of them there are in a second.
    pub fn rate(&self, operations: &'static str) -> Result<RateSpec, KeyError> {
        let positive = |value: &str| match size(value) {
            Ok(0) => Err("must be at least 1".to_owned()),
            read => read,
        };
        Ok(RateSpec {
            bytes: self.optional("bps", positive)?,
            operations: self.optional(operations, |value| number(value, 1..=u64::MAX))?,
        })
    }

    /// The value of `key`, which must be there.
    pub fn required<T>(&self, key: &'static str, read: Read<T>, rule: &str) -> Result<T, KeyError> {
        self.optional(key, read)?.ok_or_else(|| KeyError::Missing { key, rule: rule.to_owned() })
    }
}

/// Reads a number of bytes.
pub fn size(value: &str) -> Result<u64, String> {
    value.parse::<Bytes>().map(|bytes| bytes.0).map_err(|error| error.to_string())
}

/// Reads a number that must lie in `range`.
pub fn number<T: FromStr + PartialOrd + Display>(value: &str, range: RangeInclusive<T>) -> Result<T, String> {
    let rule = || format!("must be a whole number from {} to {}", range.start(), range.end());
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value.parse().ok().filter(|number| digits && range.contains(number)).ok_or_else(rule)
}

/// Reads the number of a node.
pub fn node(value: &str) -> Result<u32, String> {
    number(value, 0..=u32::MAX)
}

/// Reads a guest-physical address: decimal, hexadecimal behind `0x`, or a number of bytes with a suffix.
///
/// # Errors
/// What it is to be.
pub fn address(value: &str) -> Result<u64, String> {
    let rule = || "must be an address, such as 0x180000000 or 6G".to_owned();
    match value.strip_prefix("0x") {
        // `from_str_radix` would take a sign, too.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).map_err(|_| rule())
        }
        Some(_) => Err(rule()),
        None => size(value).map_err(|_| rule()),
    }
}

/// Reads one of the words that the API has for this, too.
pub fn word<T: DeserializeOwned>(value: &str) -> Result<T, String> {
    let reader: StrDeserializer<'_, WordError> = value.into_deserializer();
    T::deserialize(reader).map_err(|error| error.to_string())
}

/// Reads numbers and ascending ranges joined by colons: commas separate keys.
pub fn numbers(value: &str) -> Result<Vec<u32>, String> {
    /// The largest number that is read; the machine's and the host's own limits are far lower.
    const LAST: u32 = 4095;
    let rule = || "must be numbers and ascending ranges joined by colons, such as 0-1:4".to_owned();
    let mut numbers = Vec::new();
    for item in value.split(':') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let read = |text| number(text, 0..=LAST).map_err(|_| rule());
        let (first, last) = (read(first)?, read(last)?);
        if first > last {
            return Err(rule());
        }
        numbers.extend(first..=last);
    }
    Ok(numbers)
}

/// Reads `on` or `off`.
pub fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}

/// Reads a path.
pub fn path(value: &str) -> Result<PathBuf, String> {
    if value.is_empty() { Err("must be a path".to_owned()) } else { Ok(value.into()) }
}

/// Reads a name.
pub fn text(value: &str) -> Result<String, String> {
    Ok(value.to_owned())
}
