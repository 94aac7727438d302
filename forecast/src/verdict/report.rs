//! A model as the guest: the layout that a guest with this memory would report.

use dimmer_report::{
    Block, BlockState, Group as ReportedGroup, GroupKind as ReportedKind, Layout, Zone as ReportedZone,
};

use dimmer_oracle::group::{Group, GroupKind};
use dimmer_oracle::linux::Linux;
use dimmer_oracle::memory::{GroupId, Memory};
use dimmer_oracle::policy::{OnlinePolicy, OnlineType};
use dimmer_oracle::zone::{PAGE, Zone};

/// Pages that the page allocator has right after the boot; any number will do.
const AT_BOOT: i64 = 100_000;

/// What the agent of a guest with this memory reports, as far as the model knows it: release, block
/// size, blocks with state, zones, nodes and group, the zones of all nodes, and the memory in all.
pub fn of(linux: &Linux) -> Layout {
    let memory = &linux.memory;
    let blocks = memory.blocks().keys().map(|index| block(memory, *index)).collect();
    let zones = memory.nodes().flat_map(|(node, _)| Zone::ALL.map(|zone| reported(memory, node, zone)));
    Layout {
        kernel: linux.release.to_string(),
        block_size: memory.block_size(),
        blocks,
        zones: zones.collect(),
        mem_total_kb: u64::try_from(AT_BOOT + linux.managed_since_boot())
            .ok()
            .map(|pages| pages * PAGE / 1024),
        hardware_corrupted_kb: Some(linux.corrupted_kb()),
        ..Layout::default()
    }
}

fn block(memory: &Memory, index: u64) -> Block {
    let block = &memory.blocks()[&index];
    Block {
        index,
        state: match block.is_online() {
            true if block.going_offline => BlockState::GoingOffline,
            true => BlockState::Online,
            false => BlockState::Offline,
        },
        zones: memory.valid_zones(index).into_iter().map(str::to_owned).collect(),
        nodes: block.nodes(),
        removable: Some(true),
        group: block.group.map(|id| group(id, memory.group(id))),
    }
}

fn group(id: GroupId, group: &Group) -> ReportedGroup {
    let (kind, max_pages, unit_pages) = match group.kind {
        GroupKind::Static { max_pages } => (ReportedKind::Static, Some(max_pages), None),
        GroupKind::Dynamic { unit_pages } => (ReportedKind::Dynamic, None, Some(unit_pages)),
    };
    ReportedGroup {
        id: id.0,
        kind,
        node: Some(group.node),
        present_kernel: group.present_kernel,
        present_movable: group.present_movable,
        max_pages,
        unit_pages,
    }
}

fn reported(memory: &Memory, node: u32, zone: Zone) -> ReportedZone {
    let state = memory.zone(node, zone);
    ReportedZone {
        node,
        name: zone.name().to_owned(),
        start_pfn: state.span.start,
        spanned: state.span.end - state.span.start,
        present: state.present,
        managed: state.present,
        present_early: Some(state.early),
    }
}

/// `auto_online_blocks` in the kernel's word.
pub const fn online_word(how: Option<OnlineType>) -> &'static str {
    match how {
        None => "offline",
        Some(OnlineType::Policy) => "online",
        Some(OnlineType::Kernel) => "online_kernel",
        Some(OnlineType::Movable) => "online_movable",
    }
}

/// `online_policy` in the kernel's word.
pub const fn policy_word(policy: OnlinePolicy) -> &'static str {
    match policy {
        OnlinePolicy::AutoMovable => "auto-movable",
        OnlinePolicy::ContigZones => "contig-zones",
    }
}
