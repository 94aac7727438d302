//! `--memory size=4G[,low=2G][,high=62G][,backing=anon|memfd|hugetlb|file][,page=2M|1G][,path=PATH]
//! [,prealloc=on|off][,thp=on|off][,reserve=on|off]`

use std::str::FromStr;

use super::keys::{KeyError, Keys, size, switch, text};
use crate::layout::HIGH_RAM_START;
use crate::spec::{Backing, MemorySpec};
use crate::units::{GIB, MIB};

/// Boot RAM without `--memory`.
const DEFAULT_SIZE: u64 = GIB;
/// Most RAM below 4 GiB without `low`.
const DEFAULT_LOW: u64 = 2 * GIB;
/// Huge pages without `page`.
const DEFAULT_PAGE: u64 = 2 * MIB;

const KEYS: [&str; 9] = ["size", "low", "high", "backing", "page", "path", "prealloc", "thp", "reserve"];

/// The value of `--memory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryArg(pub MemorySpec);

impl Default for MemoryArg {
    fn default() -> Self {
        Self(MemorySpec {
            size: DEFAULT_SIZE,
            low: DEFAULT_LOW,
            high: HIGH_RAM_START,
            backing: Backing::Anon,
            prealloc: false,
            thp: true,
            reserve: false,
        })
    }
}

impl FromStr for MemoryArg {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(text, &KEYS, &[])?;
        let Self(default) = Self::default();
        Ok(Self(MemorySpec {
            size: keys.required("size", size, "bytes of boot RAM, such as size=4G")?,
            low: keys.optional("low", size)?.unwrap_or(default.low),
            high: keys.optional("high", size)?.unwrap_or(default.high),
            backing: backing(&keys)?,
            prealloc: keys.optional("prealloc", switch)?.unwrap_or(default.prealloc),
            thp: keys.optional("thp", switch)?.unwrap_or(default.thp),
            reserve: keys.optional("reserve", switch)?.unwrap_or(default.reserve),
        }))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anon,
    Memfd,
    Hugetlb,
    File,
}

fn kind(value: &str) -> Result<Kind, String> {
    match value {
        "anon" => Ok(Kind::Anon),
        "memfd" => Ok(Kind::Memfd),
        "hugetlb" => Ok(Kind::Hugetlb),
        "file" => Ok(Kind::File),
        _ => Err("must be anon, memfd, hugetlb or file".to_owned()),
    }
}

/// `backing` with the key that belongs to it; the other one must not be there.
fn backing(keys: &Keys<'_>) -> Result<Backing, KeyError> {
    let kind = keys.optional("backing", kind)?.unwrap_or(Kind::Anon);
    if kind != Kind::Hugetlb {
        keys.absent("page", "goes with backing=hugetlb, and with nothing else")?;
    }
    if kind != Kind::File {
        keys.absent("path", "goes with backing=file, and with nothing else")?;
    }
    Ok(match kind {
        Kind::Anon => Backing::Anon,
        Kind::Memfd => Backing::Memfd,
        Kind::Hugetlb => Backing::Hugetlb(keys.optional("page", size)?.unwrap_or(DEFAULT_PAGE)),
        Kind::File => Backing::File(
            keys.required("path", text, "a file, or a directory for an unnamed file, with backing=file")?
                .into(),
        ),
    })
}
