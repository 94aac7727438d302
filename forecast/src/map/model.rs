//! What machine and guest would show, as the oracle has them: the same picture as of a real guest, without one.

use std::collections::BTreeMap;

use dimmer_oracle::group::GroupKind;
use dimmer_oracle::linux::Linux;
use dimmer_oracle::memory::GroupId;
use dimmer_oracle::virtio_mem::{Request, VirtioMem};
use dimmer_oracle::zone::Zone;
use dimmer_plan::memory::RequestRecord;
use dimmer_plan::memory::{GuestRange, Kind, MemoryStatus, State};

use super::partly::partly;
use super::seen::Seen;
use crate::layout::{Block, BlockState, Group, GroupKind as ShownKind, Layout, Zone as ShownZone};
use crate::predict::Prediction;
use crate::scenario::Requests;
use crate::verdict::report;

/// What the drivers of virtio-mem devices asked for since the guest booted, by device.
#[derive(Debug, Default)]
pub struct Asked(BTreeMap<String, Vec<RequestRecord>>);

impl Asked {
    /// Forgets all, as a boot does.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes in what was asked for in a step, all of which the oracle takes for granted.
    pub fn add(&mut self, requests: &Requests) {
        for (id, requests) in requests {
            let all = self.0.entry(id.clone()).or_default();
            all.extend(requests.iter().map(record));
            // A device that has nothing any more is as one that was asked for nothing, and answers get no longer with each turn.
            if plugged(all) == 0 {
                all.clear();
            }
        }
    }
}

/// Bytes that these requests leave plugged, of a driver that asks for what makes sense.
fn plugged(requests: &[RequestRecord]) -> u64 {
    requests.iter().fold(0, |plugged: u64, record| match (record.request.as_str(), record.range) {
        ("plug", Some(range)) => plugged.saturating_add(range.size),
        ("unplug", Some(range)) => plugged.saturating_sub(range.size),
        _ => 0,
    })
}

fn record(request: &Request) -> RequestRecord {
    let (word, range) = match request {
        Request::Plug(range) => ("plug", Some(range)),
        Request::Unplug(range) => ("unplug", Some(range)),
        Request::UnplugAll => ("unplug-all", None),
    };
    let range = range.map(|range| GuestRange::new(range.start, range.end - range.start));
    RequestRecord { number: 0, request: word.to_owned(), range, response: "ack".to_owned() }
}

/// What machine and guest would show.
pub fn seen(model: &Prediction, asked: &Asked) -> Seen {
    let layout = layout(&model.linux);
    let dimms = model.dimm_ranges().map(|(id, node, ranges)| {
        let ranges: Vec<_> =
            ranges.iter().map(|range| GuestRange::new(range.start, range.end - range.start)).collect();
        let size = ranges.iter().map(|range| range.size).sum();
        status(id, Kind::Dimm, node, (ranges, size), (size, size))
    });
    let virtio_mem = model.linux.virtio_mem.iter().map(|(id, device)| virtio_mem(id, device));
    let devices: Vec<MemoryStatus> = dimms.chain(virtio_mem).collect();
    let none = Vec::new();
    let regions = devices.iter().filter(|device| device.kind == Kind::VirtioMem);
    let partly = regions
        .flat_map(|device| partly(device, asked.0.get(&device.id).unwrap_or(&none), layout.block_size))
        .collect();
    let poisoned = model.poisoned().collect();
    Seen { layout, devices, events: Vec::new(), poisoned, partly }
}

fn virtio_mem(id: &str, device: &VirtioMem) -> MemoryStatus {
    let region = &device.spec.region;
    let ranges = vec![GuestRange::new(region.start, region.end - region.start)];
    let sizes = (device.requested, device.plugged());
    status(id, Kind::VirtioMem, device.spec.node, (ranges, device.spec.block_size), sizes)
}

fn status(
    id: &str,
    kind: Kind,
    node: u32,
    (ranges, block_size): (Vec<GuestRange>, u64),
    (requested_size, plugged_size): (u64, u64),
) -> MemoryStatus {
    MemoryStatus {
        id: id.to_owned(),
        kind,
        node,
        usable_size: ranges.iter().map(|range| range.size).sum(),
        ranges,
        slot: None,
        block_size,
        requested_size,
        plugged_size,
        state: if plugged_size > 0 { State::Plugged } else { State::Idle },
        last: None,
        waits_for: None,
    }
}

/// The guest's memory.
fn layout(linux: &Linux) -> Layout {
    let memory = &linux.memory;
    let groups: BTreeMap<GroupId, Group> =
        memory.groups().map(|(id, group)| (id, shown_group(id, group))).collect();
    let block =
        |(index, block, shown): (u64, &dimmer_oracle::memory::Block, dimmer_oracle::memory::Shown)| Block {
            index,
            state: match (shown.online, shown.going_offline) {
                (true, _) => BlockState::Online,
                (false, true) => BlockState::GoingOffline,
                (false, false) => BlockState::Offline,
            },
            zones: shown.words().map(str::to_owned).collect(),
            nodes: block.nodes(),
            removable: None,
            group: block.group.and_then(|id| groups.get(&id).cloned()),
        };
    let policy = memory.policy;
    Layout {
        kernel: linux.release.to_string(),
        block_size: memory.block_size(),
        auto_online_blocks: Some(report::online_word(linux.settings.auto_online).to_owned()),
        online_policy: linux.release.has_groups().then(|| report::policy_word(policy.policy).to_owned()),
        auto_movable_ratio: Some(policy.ratio),
        auto_movable_numa_aware: Some(policy.numa_aware),
        blocks: memory.all_shown().map(block).collect(),
        zones: zones(linux),
        ..Layout::default()
    }
}

fn zones(linux: &Linux) -> Vec<ShownZone> {
    let zone = |(node, zone): (u32, Zone)| {
        let state = linux.memory.zone(node, zone);
        ShownZone {
            node,
            name: zone.name().to_owned(),
            start_pfn: state.span.start,
            spanned: state.span.end - state.span.start,
            present: state.present,
            managed: state.present,
            present_early: Some(state.early),
        }
    };
    let nodes = linux.memory.nodes().flat_map(|(node, _)| Zone::ALL.map(|zone| (node, zone)));
    nodes.map(zone).collect()
}

fn shown_group(id: GroupId, group: &dimmer_oracle::group::Group) -> Group {
    let (kind, max_pages, unit_pages) = match group.kind {
        GroupKind::Static { max_pages } => (ShownKind::Static, Some(max_pages), None),
        GroupKind::Dynamic { unit_pages } => (ShownKind::Dynamic, None, Some(unit_pages)),
    };
    let (present_kernel, present_movable) = (group.present_kernel, group.present_movable);
    Group { id: id.0, kind, node: Some(group.node), present_kernel, present_movable, max_pages, unit_pages }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_had_and_has_no_more_is_forgotten() {
        let mut asked = Asked::default();
        let mut add = |requests: &[Request]| {
            asked.add(&[("vmem0".to_owned(), requests.to_vec())].into());
            asked.0["vmem0"].len()
        };
        assert_eq!(add(&[Request::Plug(0..8), Request::Plug(8..16)]), 2);
        assert_eq!(add(&[Request::Unplug(8..16)]), 3);
        assert_eq!(add(&[Request::Unplug(0..8)]), 0);
        assert_eq!(add(&[Request::Plug(0..8), Request::UnplugAll]), 0);
        assert_eq!(add(&[Request::Plug(0..8)]), 1);
    }
}
