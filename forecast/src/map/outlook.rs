//! Where the next memory would go: the oracle, asked about memory as the guest shows it now.
//!
//! The oracle predicts from a machine and a history. Here there is no history: its memory is put together from the guest's
//! zones and groups, as far as they decide on the next block.

use std::collections::BTreeMap;
use std::ops::Range;

use dimmer_oracle::group::GroupKind;
use dimmer_oracle::memory::{GroupId, Memory, Part};
use dimmer_oracle::policy::{Candidate, Check, Decision, OnlinePolicy, OnlineType, Policy, Why};
use dimmer_oracle::zone::{PAGE, Zone};
use dimmer_plan::memory::{Kind, MemoryStatus};
use dimmer_plan::units::{Bytes, GIB};

use super::look::named;
use super::seen::Seen;
use crate::layout::{BlockState, GroupKind as ShownKind, Layout};

/// The largest number that is taken for one of blocks, pages or units: what a guest says need not make sense.
const MOST: u64 = 1 << 48;
/// The smallest memory block of x86-64 (`SECTION_SIZE_BITS`), in bytes.
const SMALLEST_BLOCK: u64 = 128 << 20;

/// Memory that could come, and where it would go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// What would come.
    pub what: String,
    /// Whether it would stay offline until somebody puts it online; the decision is then about plain `online`.
    pub comes_offline: bool,
    /// Where it would go, and why.
    pub decision: Decision,
}

impl Next {
    /// The sums of the ratio, in bytes: movable memory were this movable, and the most that there may be.
    pub fn sums(&self) -> Option<(u64, u64)> {
        match &self.decision.why {
            Why::Checked(check) => Some(in_bytes(check)),
            _ => None,
        }
    }
}

fn in_bytes(check: &Check) -> (u64, u64) {
    (check.wanted().saturating_mul(PAGE), check.limit().saturating_mul(PAGE))
}

/// Where a DIMM of `size` bytes would go on each node, and the next block of each virtio-mem device.
///
/// # Errors
/// What of the guest's memory is not known that would decide.
pub fn outlook(seen: &Seen, size: u64) -> Result<Vec<Next>, String> {
    let (mut memory, groups) = memory(&seen.layout)?;
    let how = match seen.layout.auto_online_blocks.as_deref() {
        Some("online_kernel") => OnlineType::Kernel,
        Some("online_movable") => OnlineType::Movable,
        _ => OnlineType::Policy,
    };
    let comes_offline = seen.layout.auto_online_blocks.as_deref() == Some("offline");
    let mut all = Vec::new();
    let nodes: Vec<u32> = memory.nodes().map(|(node, _)| node).collect();
    let first = first_free(seen, size);
    for node in nodes {
        let mut memory = memory.clone();
        let group = memory.register(GroupKind::Static { max_pages: size / PAGE }, node);
        let candidate = Candidate { frames: memory.frames(first), node, group: Some(group) };
        let what = format!("a DIMM of {} on node {node}, at block {first}", Bytes(size));
        all.push(Next { what, comes_offline, decision: memory.zone_for(&candidate, how) });
    }
    for device in seen.devices.iter().filter(|device| device.kind == Kind::VirtioMem) {
        let Some(index) = next_block(seen, device) else { continue };
        let group = own_group(seen, device, &groups).unwrap_or_else(|| {
            let unit_pages = device.block_size.max(seen.layout.block_size) / PAGE;
            memory.register(GroupKind::Dynamic { unit_pages }, device.node)
        });
        let node = memory.group(group).node;
        let candidate = Candidate { frames: memory.frames(index), node, group: Some(group) };
        let what = format!("the next block of {}, {index}", device.id);
        all.push(Next { what, comes_offline, decision: memory.zone_for(&candidate, how) });
    }
    Ok(all)
}

/// Where plain `online` would put block `index` of the guest, or one more like it, and why.
///
/// # Errors
/// As [`outlook`], and where the guest has no such block.
pub fn would_go(seen: &Seen, index: u64) -> Result<Decision, String> {
    let (memory, groups) = memory(&seen.layout)?;
    let block = seen.block(index).filter(|_| index < MOST / memory.block_pages());
    let block = block.ok_or("the guest has no such block")?;
    let group = block.group.as_ref().and_then(|group| groups.get(&group.id).copied());
    let node = block.nodes.first().copied().unwrap_or_default();
    let candidate = Candidate { frames: memory.frames(index), node, group };
    Ok(memory.zone_for(&candidate, OnlineType::Policy))
}

/// The guest's memory as the oracle has it, with its number of each of the guest's groups.
fn memory(layout: &Layout) -> Result<(Memory, BTreeMap<u32, GroupId>), String> {
    if layout.block_size < SMALLEST_BLOCK || layout.block_size > MOST {
        return Err("the guest does not say how large its memory blocks are".to_owned());
    }
    let policy = policy(layout);
    let mut memory = Memory::new(layout.block_size, policy);
    let groups = put_groups(&mut memory, layout);
    for shown in &layout.zones {
        let Some(zone) = named(&shown.name) else { continue };
        let needs_early = policy.policy == OnlinePolicy::AutoMovable && zone != Zone::Movable;
        let early = match shown.present_early {
            Some(early) => early,
            None if needs_early && shown.present > 0 => {
                let why = layout.groups_unknown.as_deref().unwrap_or("the guest does not tell");
                return Err(format!("how much of it is boot memory is not known: {why}"));
            }
            None => 0,
        };
        // Of Movable all counts, and its groups have brought theirs; of the other zones only boot memory does.
        let there = memory.zone(shown.node, zone).present;
        let more = if zone == Zone::Movable { shown.present.saturating_sub(there) } else { early };
        memory.boot(Part { frames: 0..0, node: shown.node, zone }, more.min(MOST));
        let start = shown.start_pfn.min(MOST);
        memory.set_span(shown.node, zone, start..start + shown.spanned.min(MOST));
    }
    Ok((memory, groups))
}

fn policy(layout: &Layout) -> Policy {
    let auto = layout.online_policy.as_deref() == Some("auto-movable");
    let usual = Policy::default();
    Policy {
        policy: if auto { OnlinePolicy::AutoMovable } else { OnlinePolicy::ContigZones },
        ratio: layout.auto_movable_ratio.unwrap_or(usual.ratio),
        numa_aware: layout.auto_movable_numa_aware.unwrap_or(usual.numa_aware),
        ..usual
    }
}

/// Registers the guest's groups and puts their blocks in.
fn put_groups(memory: &mut Memory, layout: &Layout) -> BTreeMap<u32, GroupId> {
    let mut groups: BTreeMap<u32, GroupId> = BTreeMap::new();
    let most = MOST / memory.block_pages();
    for block in layout.blocks.iter().filter(|block| block.index < most) {
        let Some(group) = &block.group else { continue };
        let node = block.nodes.first().copied().unwrap_or_default();
        let id = *groups.entry(group.id).or_insert_with(|| {
            let pages = |pages: Option<u64>| pages.filter(|pages| (1..MOST).contains(pages));
            let kind = match group.kind {
                ShownKind::Static => {
                    GroupKind::Static { max_pages: pages(group.max_pages).unwrap_or_default() }
                }
                ShownKind::Dynamic => {
                    let unit_pages = pages(group.unit_pages).unwrap_or(layout.block_size / PAGE);
                    GroupKind::Dynamic { unit_pages }
                }
            };
            memory.register(kind, group.node.unwrap_or(node))
        });
        if memory.add(block.index, node, Some(id), 0).is_ok() && block.state != BlockState::Offline {
            let movable = block.zones.first().is_some_and(|zone| zone == Zone::Movable.name());
            let how = if movable { OnlineType::Movable } else { OnlineType::Kernel };
            // A block that was just added is offline, which is all that it takes.
            drop(memory.online(block.index, how));
        }
    }
    groups
}

/// The group of a virtio-mem device that has blocks.
fn own_group(seen: &Seen, device: &MemoryStatus, groups: &BTreeMap<u32, GroupId>) -> Option<GroupId> {
    let blocks = blocks(seen, device);
    let mut own = seen.layout.blocks.iter().filter(|block| blocks.contains(&block.index));
    own.find_map(|block| groups.get(&block.group.as_ref()?.id).copied())
}

/// The blocks of a virtio-mem device's region.
fn blocks(seen: &Seen, device: &MemoryStatus) -> Range<u64> {
    let size = seen.layout.block_size;
    device
        .ranges
        .first()
        .map_or(0..0, |region| region.start.div_ceil(size)..region.start.saturating_add(region.size) / size)
}

/// The lowest block of a device's region that the guest does not have.
fn next_block(seen: &Seen, device: &MemoryStatus) -> Option<u64> {
    blocks(seen, device).find(|index| seen.block(*index).is_none())
}

/// The block at which a DIMM would begin: behind the first DIMM, or else behind boot memory, where no device has addresses.
fn first_free(seen: &Seen, size: u64) -> u64 {
    let block_size = seen.layout.block_size;
    let dimms = seen.devices.iter().filter(|device| device.kind == Kind::Dimm);
    let boot = seen.layout.blocks.iter().filter(|block| seen.device(block.index).is_none());
    let behind_boot =
        boot.map(|block| block.index.saturating_add(1).saturating_mul(block_size)).max().unwrap_or_default();
    let first_dimm = dimms.flat_map(|dimm| &dimm.ranges).map(|range| range.start).min();
    let alignment = if size < GIB { block_size } else { GIB.max(block_size) };
    let mut start = first_dimm.unwrap_or(behind_boot.max(4 * GIB)).next_multiple_of(alignment);
    let ranges = || seen.devices.iter().flat_map(|device| &device.ranges);
    let meets = |start: u64| {
        let meets = |range: &&dimmer_plan::memory::GuestRange| {
            range.start < start.saturating_add(size) && start < range.start.saturating_add(range.size)
        };
        ranges().find(meets).map(|range| range.start.saturating_add(range.size))
    };
    while let Some(end) = meets(start) {
        start = end.checked_next_multiple_of(alignment).unwrap_or(u64::MAX);
        if start > MOST {
            break;
        }
    }
    start.min(MOST) / block_size
}

#[cfg(test)]
mod tests;
