//! Sizes and zones at one moment.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::layout::BlockState;
use crate::map::seen::Seen;

/// Devices of which a sample has the size.
const DEVICES: usize = 64;

/// Memory at one moment, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// 1 for the first one, without gaps.
    pub number: u64,
    /// Milliseconds since 1970; a step in a playground.
    pub at: u64,
    /// What each device has plugged, of the first so many.
    pub devices: BTreeMap<String, u64>,
    /// Blocks that are online, by zone, and those that are not.
    pub zones: BTreeMap<String, u64>,
}

impl Sample {
    /// What `seen` has.
    pub fn of(seen: &Seen, number: u64, at: u64) -> Self {
        let mut zones: BTreeMap<String, u64> = BTreeMap::new();
        for block in &seen.layout.blocks {
            let zone = match block.state {
                BlockState::Offline => "offline",
                _ => block.zones.first().map_or("none", String::as_str),
            };
            *zones.entry(zone.to_owned()).or_default() += seen.layout.block_size;
        }
        let devices = seen.devices.iter().take(DEVICES);
        let devices = devices.map(|device| (device.id.clone(), device.plugged_size)).collect();
        Self { number, at, devices, zones }
    }
}
