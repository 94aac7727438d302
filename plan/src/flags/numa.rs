//! `--numa id=0[,cpus=0-1][,memory=2G][,host=0][,distance=1@20]...`
//!
//! `cpus` and `host` are lists of numbers and ranges; as commas separate keys, colons separate their items:
//! `cpus=0-1:4`. A node may have no CPUs or no boot RAM. `distance=NODE@DISTANCE` may stand several times.

use std::str::FromStr;

use super::keys::{KeyError, Keys, node, number, numbers, size};
use crate::spec::NodeSpec;

/// The value of one `--numa`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaArg(pub NodeSpec);

impl FromStr for NumaArg {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let keys = Keys::parse(text, &["id", "cpus", "memory", "host", "distance"], &["distance"])?;
        Ok(Self(NodeSpec {
            id: keys.required("id", node, "the node's number, such as id=0")?,
            cpus: keys.optional("cpus", numbers)?.unwrap_or_default(),
            memory: keys.optional("memory", size)?.unwrap_or(0),
            distances: keys.all("distance", distance)?,
            host_nodes: keys.optional("host", numbers)?.unwrap_or_default(),
        }))
    }
}

fn distance(value: &str) -> Result<(u32, u8), String> {
    let rule = || "must be NODE@DISTANCE with a distance of at most 255, such as 1@20".to_owned();
    let (to, distance) = value.split_once('@').ok_or_else(rule)?;
    Ok((node(to).map_err(|_| rule())?, number(distance, 0..=u8::MAX).map_err(|_| rule())?))
}
