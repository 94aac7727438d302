//! `--fault device=vmem0,on=plug,do=busy[,nth=2][,times=3][,ms=500][,size=1G]`

use std::str::FromStr;

use crate::fault::Fault;

use super::keys::{KeyError, Keys, number, size, text, word};

const KEYS: [&str; 7] = ["device", "on", "nth", "times", "do", "ms", "size"];

/// The value of one `--fault`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultArg(pub Fault);

impl FromStr for FaultArg {
    type Err = KeyError;

    fn from_str(argument: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(argument, &KEYS, &[])?;
        Ok(Self(Fault {
            device: keys.required("device", text, "the memory device's name, such as device=vmem0")?,
            on: keys.required("on", word, "what the fault waits for, such as on=plug")?,
            nth: keys.optional("nth", count)?.unwrap_or(1),
            times: keys.optional("times", count)?.unwrap_or(1),
            action: keys.required("do", word, "what goes wrong, such as do=busy")?,
            milliseconds: keys.optional("ms", count)?,
            size: keys.optional("size", size)?,
        }))
    }
}

fn count(value: &str) -> Result<u64, String> {
    number(value, 0..=u64::MAX)
}
