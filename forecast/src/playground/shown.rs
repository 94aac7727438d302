//! What was seen of a machine, as the page draws it: blocks in runs, and everything else in words.

use dimmer_oracle::zone::Zone;
use dimmer_plan::memory::{Kind, MemoryStatus};
use dimmer_plan::units::Bytes;
use serde::Serialize;

use crate::map::look::{LEGEND, Look};
use crate::map::outlook::{Next, outlook};
use crate::map::seen::Seen;
use crate::map::sheet::{Sheet, Strip};
use crate::map::words;

/// The DIMMs that the outlook is about, in bytes.
const SIZES: [u64; 5] = [128 << 20, 1 << 30, 4 << 30, 16 << 30, 64 << 30];

/// All of a machine that the page draws.
#[derive(Debug, Clone, Serialize)]
pub struct Shown {
    /// The guest's kernel and the settings that decide on zones.
    settings: String,
    /// Bytes of a memory block.
    block_size: u64,
    nodes: Vec<Node>,
    devices: Vec<Device>,
    groups: Vec<[String; 6]>,
    /// Why there are no groups, where there are none.
    no_groups: Option<String>,
    outlooks: Vec<Outlook>,
    /// Why the layout may still change by itself.
    pending: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
struct Node {
    title: String,
    strips: Vec<Shreds>,
}

/// The blocks of a device in one node.
#[derive(Debug, Clone, Serialize)]
struct Shreds {
    name: String,
    runs: Vec<Run>,
}

/// Neighbouring blocks that look the same: first and last, letter, and class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Run(u64, u64, char, String);

#[derive(Debug, Clone, Serialize)]
struct Device {
    id: String,
    kind: &'static str,
    node: u32,
    size: u64,
    requested: u64,
    plugged: u64,
    state: String,
}

#[derive(Debug, Clone, Serialize)]
struct Outlook {
    /// The DIMM that it is about.
    size: String,
    next: Vec<Come>,
    unknown: Option<String>,
}

/// Memory that could come.
#[derive(Debug, Clone, Serialize)]
struct Come {
    what: String,
    comes_offline: bool,
    zone: &'static str,
    class: &'static str,
    why: String,
    sums: Option<Sums>,
}

/// The sums of the ratio, in bytes and in words.
#[derive(Debug, Clone, Serialize)]
struct Sums {
    movable: u64,
    limit: u64,
    text: String,
}

impl Shown {
    /// As the page has it.
    pub fn of(seen: &Seen) -> Self {
        let groups: Vec<_> = words::groups(seen).into_iter().map(|(_, cells)| cells).collect();
        let node = |(title, strips): (String, &[Strip])| Node {
            title,
            strips: strips
                .iter()
                .map(|strip| Shreds { name: strip.name.clone(), runs: runs(strip) })
                .collect(),
        };
        Self {
            settings: words::settings(&seen.layout),
            block_size: seen.layout.block_size,
            nodes: Sheet::new(seen).nodes().map(node).collect(),
            devices: seen.devices.iter().map(device).collect(),
            no_groups: groups.is_empty().then(|| words::no_groups(&seen.layout)),
            groups,
            outlooks: SIZES.iter().map(|size| ahead(seen, *size)).collect(),
            pending: seen.layout.pending.clone(),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned())
    }
}

fn runs(strip: &Strip) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut before = None;
    for (index, look) in &strip.blocks {
        match runs.last_mut() {
            Some(Run(_, last, ..)) if *last + 1 == *index && before == Some(*look) => *last = *index,
            _ => runs.push(Run(*index, *index, look.letter(), class(*look))),
        }
        before = Some(*look);
    }
    runs
}

/// What a style sheet calls it.
fn class(look: Look) -> String {
    match look {
        Look::Online(zone) => zone_class(zone).to_owned(),
        Look::Partly(zone) => format!("{} partly", zone_class(zone)),
        Look::Offline(zone) => format!("{} offline", zone_class(zone)),
        Look::Going => "going".to_owned(),
        Look::Poisoned => "poisoned".to_owned(),
        Look::Missing => "missing".to_owned(),
        Look::Absent => "absent".to_owned(),
    }
}

const fn zone_class(zone: Option<Zone>) -> &'static str {
    match zone {
        Some(Zone::Movable) => "movable",
        Some(Zone::Normal) => "normal",
        Some(Zone::Dma | Zone::Dma32) => "dma",
        None => "several",
    }
}

/// The letters: each with its class and its meaning.
pub fn legend() -> Vec<(char, String, &'static str)> {
    LEGEND.iter().map(|(look, meaning)| (look.letter(), class(*look), *meaning)).collect()
}

fn device(device: &MemoryStatus) -> Device {
    let [id, _, _, _, state] = words::device(device);
    Device {
        id,
        kind: if device.kind == Kind::Dimm { "dimm" } else { "virtio-mem" },
        node: device.node,
        size: device.ranges.iter().map(|range| range.size).fold(0, u64::saturating_add),
        requested: device.requested_size,
        plugged: device.plugged_size,
        state,
    }
}

fn ahead(seen: &Seen, size: u64) -> Outlook {
    let (next, unknown) = match outlook(seen, size) {
        Ok(next) => (next.iter().map(come).collect(), None),
        Err(why) => (Vec::new(), Some(format!("Not known: {why}."))),
    };
    Outlook { size: Bytes(size).to_string(), next, unknown }
}

fn come(next: &Next) -> Come {
    let why = next.decision.to_string();
    let sums = next.sums().map(|(movable, limit)| Sums {
        movable,
        limit,
        text: format!("{} movable with it, at most {}", words::gib(movable), words::gib(limit)),
    });
    Come {
        what: next.what.clone(),
        comes_offline: next.comes_offline,
        zone: next.decision.zone.name(),
        class: zone_class(Some(next.decision.zone)),
        why: why.split_once(": ").map_or(why.as_str(), |(_, why)| why).to_owned(),
        sums,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::sample;

    #[test]
    fn blocks_are_runs_by_node_and_device() {
        let shown = Shown::of(&sample::seen());
        let runs = |node: usize, strip: usize| &shown.nodes[node].strips[strip].runs;
        assert_eq!(shown.nodes[0].strips[0].name, crate::map::sheet::BOOT);
        assert_eq!(runs(0, 0)[1], Run(1, 15, 'D', "dma".to_owned()));
        let vmem = [
            Run(64, 69, 'M', "movable".to_owned()),
            Run(70, 70, '%', "movable partly".to_owned()),
            Run(71, 71, 'g', "going".to_owned()),
            Run(72, 127, '·', "absent".to_owned()),
        ];
        assert_eq!(runs(0, 2), &vmem);
        assert_eq!(runs(1, 0)[1], Run(62, 63, '!', "missing".to_owned()));
    }

    #[test]
    fn everything_else_is_there_in_words() {
        let shown = Shown::of(&sample::seen());
        assert_eq!(shown.devices.len(), 3);
        assert_eq!((shown.devices[2].kind, shown.devices[2].size), ("virtio-mem", 8 << 30));
        assert_eq!(shown.groups[0][1], "d0");
        assert_eq!(shown.outlooks.len(), SIZES.len());
        let bare = Shown::of(&Seen::default());
        assert!(bare.no_groups.is_some() && bare.outlooks[0].unknown.is_some());
        assert!(bare.to_json().starts_with("{\"settings\""), "{}", bare.to_json());
    }

    #[test]
    fn every_look_of_the_legend_has_a_class_of_its_own() {
        let legend = legend();
        let classes: std::collections::BTreeSet<_> = legend.iter().map(|(_, class, _)| class).collect();
        assert_eq!(classes.len(), legend.len());
    }
}
