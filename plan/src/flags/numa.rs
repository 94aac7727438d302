//! `--numa id=0[,cpus=0-1][,memory=2G][,host=0][,distance=1@20][,latency=100,bandwidth=20000]...`
//!
//! `cpus` and `host` are lists of numbers and ranges; as commas separate keys, colons separate their items:
//! `cpus=0-1:4`. A node may have no CPUs or no boot RAM. `distance=NODE@DISTANCE` may stand several times.

use std::str::FromStr;

use dimmer_acpi::hmat;

use super::keys::{KeyError, Keys, node, number, numbers, size};
use crate::spec::{NodeSpec, PerformanceSpec};

/// Most nanoseconds and MB/s that the HMAT has room for.
const MOST_LATENCY: u32 = hmat::MOST;
const MOST_BANDWIDTH: u32 = hmat::MOST * hmat::BANDWIDTH_UNITS[2];

/// The value of one `--numa`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaArg(pub NodeSpec);

impl FromStr for NumaArg {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let valid = ["id", "cpus", "memory", "host", "distance", "latency", "bandwidth"];
        let keys = Keys::parse(text, &valid, &["distance"])?;
        Ok(Self(NodeSpec {
            id: keys.required("id", node, "the node's number, such as id=0")?,
            cpus: keys.optional("cpus", numbers)?.unwrap_or_default(),
            memory: keys.optional("memory", size)?.unwrap_or(0),
            distances: keys.all("distance", distance)?,
            host_nodes: keys.optional("host", numbers)?.unwrap_or_default(),
            performance: performance(&keys)?,
        }))
    }
}

/// `latency` and `bandwidth`, which go together: Linux makes nothing of one alone.
fn performance(keys: &Keys<'_>) -> Result<Option<PerformanceSpec>, KeyError> {
    let latency = keys.optional("latency", |value| number(value, 1..=MOST_LATENCY))?;
    let bandwidth = keys.optional("bandwidth", |value| number(value, 1..=MOST_BANDWIDTH))?;
    let missing = |key| KeyError::Missing { key, rule: "latency and bandwidth go together".to_owned() };
    match (latency, bandwidth) {
        (None, None) => Ok(None),
        (Some(latency), Some(bandwidth)) => Ok(Some(PerformanceSpec { latency, bandwidth })),
        (None, Some(_)) => Err(missing("latency")),
        (Some(_), None) => Err(missing("bandwidth")),
    }
}

fn distance(value: &str) -> Result<(u32, u8), String> {
    let rule = || "must be NODE@DISTANCE with a distance of at most 255, such as 1@20".to_owned();
    let (to, distance) = value.split_once('@').ok_or_else(rule)?;
    Ok((node(to).map_err(|_| rule())?, number(distance, 0..=u8::MAX).map_err(|_| rule())?))
}
