//! The layout report: what the guest's kernel shows of its memory, as plain data.
//!
//! Field names are those of the JSON that `dimmer-lab layout --json` prints. The agent only turns
//! the kernel's text into numbers and words; judging them is left to the reader.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Everything the guest's kernel shows of its memory blocks and zones at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The kernel's release, as `uname -r`.
    pub kernel: String,
    /// Bytes of a memory block.
    pub block_size: u64,
    /// What happens to blocks added from now on: `offline`, `online`, `online_kernel`,
    /// `online_movable`.
    pub auto_online_blocks: Option<String>,
    /// How `online` chooses a zone: `contig-zones` or `auto-movable`; none before Linux 5.15.
    pub online_policy: Option<String>,
    /// Most movable memory for auto-movable, in percent of kernel memory.
    pub auto_movable_ratio: Option<u32>,
    /// Whether auto-movable also looks at each node by itself.
    pub auto_movable_numa_aware: Option<bool>,
    /// The memory blocks, ascending.
    pub blocks: Vec<Block>,
    /// The zones of all nodes, in the kernel's order.
    pub zones: Vec<Zone>,
    /// `MemTotal` of /proc/meminfo, in KiB.
    pub mem_total_kb: Option<u64>,
    /// `HardwareCorrupted` of /proc/meminfo, in KiB; none without memory failure handling.
    pub hardware_corrupted_kb: Option<u64>,
    /// Why no block shows its group; absent when those that have one do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_unknown: Option<String>,
    /// Why the layout may still change by itself, one reason each; empty when nothing is known to
    /// be under way.
    pub pending: Vec<String>,
}

/// One memory block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Physical address divided by the block size.
    pub index: u64,
    /// What it is doing.
    pub state: BlockState,
    /// `valid_zones` word by word: the zone of an online block (`none` when it has no single one),
    /// or the zones an offline block could go to, the one that plain `online` takes first.
    pub zones: Vec<String>,
    /// The nodes it is linked to, ascending.
    pub nodes: Vec<u32>,
    /// The kernel's `removable`.
    pub removable: Option<bool>,
    /// Its memory group; none for boot memory, and where groups are not known.
    pub group: Option<Group>,
}

/// The state of a memory block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum BlockState {
    /// In use.
    Online,
    /// Known to the kernel, but unused.
    Offline,
    /// The kernel is emptying it.
    GoingOffline,
    /// A word that the kernel did not use so far.
    Other(String),
}

/// A memory group (Linux 5.15): blocks that belong to one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its number.
    pub id: u32,
    /// Whose memory it is.
    pub kind: GroupKind,
    /// Its node; none in reports of older agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u32>,
    /// Pages that are online in a kernel zone.
    pub present_kernel: u64,
    /// Pages that are online in the movable zone.
    pub present_movable: u64,
    /// Of a static group: pages of the whole device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_pages: Option<u64>,
    /// Of a dynamic group: pages of a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_pages: Option<u64>,
}

/// The kinds of memory group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// Plugged and unplugged as a whole: an ACPI memory device.
    Static,
    /// Grows and shrinks in units: virtio-mem.
    Dynamic,
}

/// One zone of one node, from /proc/zoneinfo; an empty zone is all zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The node.
    pub node: u32,
    /// `DMA`, `DMA32`, `Normal`, `Movable`, …
    pub name: String,
    /// First page frame of its span.
    pub start_pfn: u64,
    /// Pages between its first and last, holes included.
    pub spanned: u64,
    /// Pages that exist.
    pub present: u64,
    /// Pages that the page allocator has.
    pub managed: u64,
    /// Those of the pages that exist which are boot memory (`present_early_pages`); absent where only the kernel's own
    /// structures would tell, and nobody asked or they cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present_early: Option<u64>,
}

impl From<&str> for BlockState {
    fn from(word: &str) -> Self {
        match word {
            "online" => Self::Online,
            "offline" => Self::Offline,
            "going-offline" => Self::GoingOffline,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl From<String> for BlockState {
    fn from(word: String) -> Self {
        word.as_str().into()
    }
}

impl From<BlockState> for String {
    fn from(state: BlockState) -> Self {
        state.to_string()
    }
}

impl fmt::Display for BlockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::GoingOffline => "going-offline",
            Self::Other(word) => word,
        })
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
        })
    }
}

/// The status of a command that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_published_names_and_nulls() {
        let layout = Layout {
            kernel: "5.10.0".into(),
            block_size: 128 << 20,
            blocks: vec![Block {
                index: 48,
                state: BlockState::GoingOffline,
                zones: vec!["Movable".into()],
                nodes: vec![0],
                removable: Some(true),
                group: None,
            }],
            zones: vec![Zone { name: "Movable".into(), ..Zone::default() }],
            ..Layout::default()
        };
        let expected = serde_json::json!({
            "kernel": "5.10.0", "block_size": 134217728, "auto_online_blocks": null, "online_policy": null,
            "auto_movable_ratio": null, "auto_movable_numa_aware": null,
            "blocks": [{"index": 48, "state": "going-offline", "zones": ["Movable"], "nodes": [0],
                        "removable": true, "group": null}],
            "zones": [{"node": 0, "name": "Movable", "start_pfn": 0, "spanned": 0, "present": 0, "managed": 0}],
            "mem_total_kb": null, "hardware_corrupted_kb": null, "pending": [],
        });
        assert_eq!(serde_json::to_value(&layout).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Layout>(expected).unwrap(), layout);
    }

    #[test]
    fn a_group_names_its_kind_in_lower_case() {
        let group = Group {
            id: 0,
            kind: GroupKind::Static,
            node: Some(1),
            present_kernel: 0,
            present_movable: 1 << 20,
            max_pages: Some(1 << 20),
            unit_pages: None,
        };
        let expected = serde_json::json!(
            {"id": 0, "kind": "static", "node": 1, "present_kernel": 0, "present_movable": 1048576, "max_pages": 1048576});
        assert_eq!(serde_json::to_value(&group).unwrap(), expected);
    }

    #[test]
    fn an_unknown_state_survives_the_wire() {
        let state: BlockState = serde_json::from_str("\"sleeping\"").unwrap();
        assert_eq!(state, BlockState::Other("sleeping".into()));
        assert_eq!(serde_json::to_string(&state).unwrap(), "\"sleeping\"");
    }
}
