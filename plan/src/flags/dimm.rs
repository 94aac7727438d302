//! `--dimm id=d0,size=4G[,node=0][,ranges=1G+3G][,order=descending][,unaligned=on][,start=ADDRESS][,align=2G]`, and lists
//! of ranges.
//!
//! A list joins ranges by `+`; `SIZE~GAP` is a range with bytes of address space behind it that stay free:
//! `1G~512M+3G`. Commas separate keys.

use std::str::FromStr;

use crate::dimm::{Dimm, DimmRange};

use super::keys::{KeyError, Keys, node, size, switch, text};
use crate::units::Bytes;

const KEYS: [&str; 8] = ["id", "size", "ranges", "order", "node", "unaligned", "start", "align"];

/// The value of one `--dimm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimmArg(pub Dimm);

impl FromStr for DimmArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(argument, &KEYS, &[])?;
        Ok(Self(Dimm {
            id: keys.required("id", text, "the device's name, such as id=d0")?,
            ranges: size_or_ranges(&keys)?,
            descending: keys.optional("order", order)?.unwrap_or(false),
            node: keys.optional("node", node)?.unwrap_or(0),
            unaligned: keys.optional("unaligned", switch)?.unwrap_or(false),
            placement: keys.placement()?,
        }))
    }
}

/// A list of ranges as a flag's whole value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangesArg(pub Vec<DimmRange>);

impl FromStr for RangesArg {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        ranges(value).map(Self)
    }
}

/// `size`, `ranges`, or both when they are about the same number of bytes.
fn size_or_ranges(keys: &Keys<'_>) -> Result<Vec<DimmRange>, KeyError> {
    let Some(ranges) = keys.optional("ranges", ranges)? else {
        let rule = "bytes of the device, such as size=4G; or ranges=1G+3G";
        return Ok(vec![DimmRange { size: keys.required("size", size, rule)?, gap: 0 }]);
    };
    let sum = ranges.iter().fold(0u64, |sum, range| sum.saturating_add(range.size));
    match keys.optional("size", size)? {
        Some(size) if size != sum => Err(KeyError::Value {
            key: "size",
            value: Bytes(size).to_string(),
            rule: format!("must be what the ranges add up to ({}), or be left out", Bytes(sum)),
        }),
        _ => Ok(ranges),
    }
}

/// Reads a list of ranges.
fn ranges(value: &str) -> Result<Vec<DimmRange>, String> {
    let range = |item: &str| {
        let (bytes, gap) = item.split_once('~').unwrap_or((item, "0"));
        let read = |text: &str| size(text).map_err(|rule| format!("{text:?}: {rule}"));
        Ok(DimmRange { size: read(bytes)?, gap: read(gap)? })
    };
    value.split('+').map(range).collect()
}

/// Whether the order is a descending one.
fn order(value: &str) -> Result<bool, String> {
    match value {
        "ascending" => Ok(false),
        "descending" => Ok(true),
        _ => Err("must be ascending or descending".to_owned()),
    }
}
