//! Which nodes of the host guest memory is bound to: those that its own node is to lie on.

use std::collections::BTreeMap;
use std::sync::Mutex;

use dimmer_devices::bus::lock;
use dimmer_devices::memory::GuestRange;

use crate::layout::Layout;
use crate::spec::{MachineSpec, WindowSpec};

/// See the module.
#[derive(Debug, Default)]
pub struct Bindings {
    /// Each guest node's host nodes, when there are any.
    nodes: BTreeMap<u32, Vec<u32>>,
    /// Ranges that belong to a guest node, whoever has memory there.
    ranges: Vec<(GuestRange, u32)>,
    /// The guest nodes of owners that have no range of their own.
    owners: Mutex<BTreeMap<String, u32>>,
}

impl Bindings {
    /// What the specification says of boot RAM, ranges of the firmware's with a node, and virtio-mem devices; DIMMs come later.
    pub fn new(spec: &MachineSpec, layout: &Layout) -> Self {
        let bound = spec.numa.iter().filter(|node| !node.host_nodes.is_empty());
        let nodes = bound.map(|node| (node.id, node.host_nodes.clone())).collect();
        let boot = layout.nodes.iter().map(|piece| (piece.range, piece.node));
        let windows = spec.windows.iter().zip(&layout.windows).filter_map(|(window, range)| match window {
            WindowSpec::VirtioMem(mem) => Some((*range, mem.node)),
            WindowSpec::Acpi { .. } => None,
        });
        let placed = layout.soft_reserved().chain(layout.nvdimms());
        let placed = placed.map(|piece| (piece.range, piece.node));
        Self { nodes, ranges: boot.chain(placed).chain(windows).collect(), owners: Mutex::default() }
    }

    /// From now on what `owner` gets belongs to `node`.
    pub fn set(&self, owner: &str, node: u32) {
        if !self.nodes.is_empty() {
            lock(&self.owners).insert(owner.to_owned(), node);
        }
    }

    /// The parts of `range` that are bound when `owner` gets it, with the host's nodes.
    pub fn of(&self, owner: &str, range: GuestRange) -> Vec<(GuestRange, Vec<u32>)> {
        if self.nodes.is_empty() {
            return Vec::new();
        }
        let bind = |(part, node): (GuestRange, u32)| Some((part, self.nodes.get(&node)?.clone()));
        if let Some(node) = lock(&self.owners).get(owner) {
            return bind((range, *node)).into_iter().collect();
        }
        let parts = self.ranges.iter().filter_map(|(other, node)| {
            let (start, end) = (range.start.max(other.start), range.end().min(other.end()));
            (start < end).then(|| (GuestRange::new(start, end - start), *node))
        });
        parts.filter_map(bind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings() -> Bindings {
        let nodes = [(1, vec![0, 2]), (2, vec![3])].into();
        let ranges = vec![(GuestRange::new(0, 0x1000), 0), (GuestRange::new(0x1000, 0x1000), 1)];
        Bindings { nodes, ranges, owners: Mutex::default() }
    }

    #[test]
    fn a_range_is_cut_at_the_borders_of_nodes() {
        let bound = bindings().of("boot", GuestRange::new(0, 0x2000));
        assert_eq!(bound, [(GuestRange::new(0x1000, 0x1000), vec![0, 2])]);
        assert_eq!(bindings().of("boot", GuestRange::new(0x8000, 0x1000)), []);
    }

    #[test]
    fn an_owner_with_a_node_takes_it_everywhere() {
        let bindings = bindings();
        bindings.set("d0", 2);
        let range = GuestRange::new(0x1800, 0x1000);
        assert_eq!(bindings.of("d0", range), [(range, vec![3])]);
        bindings.set("d0", 0);
        assert_eq!(bindings.of("d0", range), []);
    }
}
