//! `--memory size=4G[,low=2G][,backing=anon|memfd][,prealloc=on|off][,thp=on|off]`

use std::str::FromStr;

use super::keys::{KeyError, Keys, size, switch};
use crate::spec::{Backing, MemorySpec};
use crate::units::GIB;

/// Boot RAM without `--memory`.
const DEFAULT_SIZE: u64 = GIB;
/// Most RAM below 4 GiB without `low`.
const DEFAULT_LOW: u64 = 2 * GIB;

/// The value of `--memory`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryArg(pub MemorySpec);

impl Default for MemoryArg {
    fn default() -> Self {
        Self(MemorySpec {
            size: DEFAULT_SIZE,
            low: DEFAULT_LOW,
            backing: Backing::Anon,
            prealloc: false,
            thp: true,
        })
    }
}

impl FromStr for MemoryArg {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(text, &["size", "low", "backing", "prealloc", "thp"], &[])?;
        let Self(default) = Self::default();
        Ok(Self(MemorySpec {
            size: keys.required("size", size, "bytes of boot RAM, such as size=4G")?,
            low: keys.optional("low", size)?.unwrap_or(default.low),
            backing: keys.optional("backing", backing)?.unwrap_or(default.backing),
            prealloc: keys.optional("prealloc", switch)?.unwrap_or(default.prealloc),
            thp: keys.optional("thp", switch)?.unwrap_or(default.thp),
        }))
    }
}

fn backing(value: &str) -> Result<Backing, String> {
    match value {
        "anon" => Ok(Backing::Anon),
        "memfd" => Ok(Backing::Memfd),
        _ => Err("must be anon or memfd".to_owned()),
    }
}
