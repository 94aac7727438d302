//! `--numa id=0[,cpus=0-1][,memory=2G][,distance=1@20]...`
//!
//! `cpus` is a list of numbers and ranges; as commas separate keys, colons separate its items:
//! `cpus=0-1:4`. A node may have no CPUs or no boot RAM. `distance=NODE@DISTANCE` may stand several times.

use std::str::FromStr;

use super::keys::{KeyError, Keys, node, number, size};
use crate::spec::NodeSpec;

/// The largest CPU number that is read; the machine's own limit is checked with the whole machine.
const LAST_CPU: u32 = 4095;

/// The value of one `--numa`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaArg(pub NodeSpec);

impl FromStr for NumaArg {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(text, &["id", "cpus", "memory", "distance"], &["distance"])?;
        Ok(Self(NodeSpec {
            id: keys.required("id", node, "the node's number, such as id=0")?,
            cpus: keys.optional("cpus", cpus)?.unwrap_or_default(),
            memory: keys.optional("memory", size)?.unwrap_or(0),
            distances: keys.all("distance", distance)?,
        }))
    }
}

fn cpus(value: &str) -> Result<Vec<u32>, String> {
    let rule = || "must be numbers and ascending ranges joined by colons, such as 0-1:4".to_owned();
    let mut cpus = Vec::new();
    for item in value.split(':') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let read = |text| number(text, 0..=LAST_CPU).map_err(|_| rule());
        let (first, last) = (read(first)?, read(last)?);
        if first > last {
            return Err(rule());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

fn distance(value: &str) -> Result<(u32, u8), String> {
    let rule = || "must be NODE@DISTANCE with a distance of at most 255, such as 1@20".to_owned();
    let (to, distance) = value.split_once('@').ok_or_else(rule)?;
    Ok((node(to).map_err(|_| rule())?, number(distance, 0..=u8::MAX).map_err(|_| rule())?))
}
