//! Pages of each zone that are boot memory, which no file shows: `present_early_pages` of `struct zone`, in the array
//! `node_zones` of each node's `struct pglist_data`.

use std::io;

use serde::{Deserialize, Serialize};

use super::kcore::Kcore;
use super::shapes::ZoneShape;
use crate::blocks::BlockList;

/// The nodes that are online, as a list such as `0-1`.
const ONLINE: &str = "/sys/devices/system/node/online";
/// No zone's name is longer.
const NAME: usize = 16;

/// Boot memory of one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyPages {
    /// The node.
    pub node: u32,
    /// The zone's name.
    pub zone: String,
    /// Its pages.
    pub pages: u64,
}

/// The zones of all nodes that are online. `node_data` is the address of the kernel's array of pointers to nodes.
pub(super) fn early(kcore: &Kcore, shape: &ZoneShape, node_data: u64) -> io::Result<Vec<EarlyPages>> {
    let text = std::fs::read_to_string(ONLINE)?;
    let nodes: BlockList = text.trim().parse().map_err(io::Error::other)?;
    let mut all = Vec::new();
    for node in nodes.iter() {
        let zones = kcore.u64(node_data + node * 8)? + shape.zones;
        for number in 0..shape.count {
            let zone = zones + number * shape.size;
            all.push(EarlyPages {
                node: u32::try_from(node).map_err(io::Error::other)?,
                zone: name(kcore, kcore.u64(zone + shape.name)?)?,
                pages: kcore.u64(zone + shape.early)?,
            });
        }
    }
    Ok(all)
}

/// The text that ends with a zero at `address`.
fn name(kcore: &Kcore, address: u64) -> io::Result<String> {
    let mut bytes = [0; NAME];
    kcore.read(address, &mut bytes)?;
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}
