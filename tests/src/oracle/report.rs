//! A model as the guest: the layout that a guest with this memory would report.

use dimmer_agent::report::{Block, BlockState, Layout, Zone as ReportedZone};

use super::linux::Linux;
use super::memory::Memory;
use super::zone::Zone;

impl Linux {
    /// What the agent of a guest with this memory reports, as far as the model knows it: release, block
    /// size, blocks with state, zones and nodes, and the zones of all nodes.
    pub fn report(&self) -> Layout {
        let memory = &self.memory;
        let blocks = memory.blocks().keys().map(|index| block(memory, *index)).collect();
        let zones = memory.nodes().flat_map(|(node, _)| Zone::ALL.map(|zone| reported(memory, node, zone)));
        Layout {
            kernel: self.release.to_string(),
            block_size: memory.block_size(),
            blocks,
            zones: zones.collect(),
            ..Layout::default()
        }
    }
}

fn block(memory: &Memory, index: u64) -> Block {
    let block = &memory.blocks()[&index];
    Block {
        index,
        state: if block.is_online() { BlockState::Online } else { BlockState::Offline },
        zones: memory.valid_zones(index).into_iter().map(str::to_owned).collect(),
        nodes: block.nodes(),
        removable: Some(true),
        group: None,
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
    }
}
