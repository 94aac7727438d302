//! A machine with boot memory, DIMMs on two nodes and a virtio-mem device; one block of each kind.

use std::collections::BTreeSet;

use dimmer_plan::memory::MemoryStatus;
use serde_json::json;

use super::seen::Seen;
use crate::layout::{BlockState, GroupKind, Zone, sample};

const BLOCK: u64 = 128 << 20;

/// A device of `kind` over so many blocks from a first one on.
pub fn device(id: &str, kind: &str, (first, count): (u64, u64), plugged: u64) -> MemoryStatus {
    let is_dimm = kind == "dimm";
    serde_json::from_value(json!({
        "id": id,
        "kind": kind,
        "node": 0,
        "ranges": [{"start": first * BLOCK, "size": count * BLOCK}],
        "slot": is_dimm.then_some(0),
        "block_size": if is_dimm { count * BLOCK } else { 2 << 20 },
        "usable_size": count * BLOCK,
        "requested_size": plugged,
        "plugged_size": plugged,
        "state": if plugged > 0 { "plugged" } else { "idle" },
        "last": {"outcome": "done", "reason": null},
        "waits_for": null,
    }))
    .expect("a device's status as the API has it")
}

/// The machine.
pub fn seen() -> Seen {
    use BlockState::{GoingOffline, Online};
    let dimm = |first, last, id, zone| sample::in_group(sample::blocks(first, last, Online, &[zone]), id);
    let mut other_node = dimm(56, 61, 1, "Normal");
    other_node.iter_mut().for_each(|block| block.nodes = vec![1]);
    let mut layout = sample::layout([
        sample::blocks(0, 0, Online, &["none"]),
        sample::blocks(1, 15, Online, &["DMA32"]),
        sample::blocks(32, 47, Online, &["Normal"]),
        dimm(48, 55, 0, "Movable"),
        other_node,
        dimm(64, 70, 2, "Movable"),
        sample::in_group(sample::blocks(71, 71, GoingOffline, &["Movable", "Normal"]), 2),
    ]);
    for group in
        layout.blocks.iter_mut().filter_map(|block| block.group.as_mut()).filter(|group| group.id == 2)
    {
        (group.kind, group.unit_pages) = (GroupKind::Dynamic, Some(BLOCK / 4096));
    }
    layout.mem_total_kb = Some(8 << 20);
    layout.auto_online_blocks = Some("online".into());
    layout.auto_movable_numa_aware = Some(true);
    Seen {
        layout,
        devices: vec![
            device("d0", "dimm", (48, 8), 8 * BLOCK),
            device("d1", "dimm", (56, 8), 8 * BLOCK),
            device("vmem0", "virtio-mem", (64, 64), 7 * BLOCK + (2 << 20)),
        ],
        events: Vec::new(),
        poisoned: BTreeSet::new(),
        partly: [(70, 2 << 20)].into(),
    }
}

/// Its zones, with what of them is boot memory.
pub fn zones() -> Vec<Zone> {
    let zone = |name: &str, start_pfn, spanned, present, early| Zone {
        node: 0,
        name: name.to_owned(),
        start_pfn,
        spanned,
        present,
        managed: present,
        present_early: Some(early),
    };
    vec![
        zone("DMA32", 4096, 0x7f000, 520_192, 520_192),
        zone("Normal", 1 << 20, 1 << 19, 1 << 19, 1 << 19),
        zone("Movable", 48 << 15, 24 << 15, 16 << 15, 0),
    ]
}
