//! Which processor is where: one package for each NUMA node, one core for each vCPU.
//!
//! Linux complains of nodes that share a package or its caches (`topology_sane`), so a node's
//! processors get APIC ids with the node's number in the upper bits (Intel SDM volume 3, section
//! 10.9.1: the package id is what is left of the APIC id above the core bits).

use crate::spec::MachineSpec;

/// One vCPU's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Local APIC id, also the number under which KVM knows the vCPU.
    pub apic_id: u32,
    /// Its node.
    pub node: u32,
}

/// The places of all vCPUs, those that can come later included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// By vCPU number.
    pub places: Vec<Place>,
    /// Bits of an APIC id that count the cores of a package.
    pub core_bits: u32,
    /// Cores of a package; the largest one's.
    pub cores: u32,
}

impl Topology {
    /// The places of the vCPUs of `spec`. Packages are numbered as vCPUs first need them, so vCPU 0
    /// always has APIC id 0, which is KVM's boot processor.
    pub fn of(spec: &MachineSpec) -> Self {
        let node_of = |cpu| spec.numa.iter().find(|node| node.cpus.contains(&cpu)).map_or(0, |node| node.id);
        let nodes: Vec<u32> = (0..spec.max_cpus).map(node_of).collect();
        let largest = nodes.iter().map(|node| nodes.iter().filter(|other| *other == node).count()).max();
        let cores = u32::try_from(largest.unwrap_or(1)).expect("no more cores than vCPUs");
        let core_bits = u32::BITS - (cores - 1).leading_zeros();
        let mut packages: Vec<(u32, u32)> = Vec::new();
        let place =
            |node: &u32| Place { apic_id: next_apic_id(&mut packages, *node, core_bits), node: *node };
        Self { places: nodes.iter().map(place).collect(), core_bits, cores }
    }
}

/// The next free APIC id in the package of `node`; `packages` has each one's node and the number of
/// its cores so far.
fn next_apic_id(packages: &mut Vec<(u32, u32)>, node: u32, core_bits: u32) -> u32 {
    let index = packages.iter().position(|(other, _)| *other == node).unwrap_or_else(|| {
        packages.push((node, 0));
        packages.len() - 1
    });
    let core = packages[index].1;
    packages[index].1 += 1;
    let package = u32::try_from(index).expect("no more packages than vCPUs");
    (package << core_bits) | core
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::sample;

    fn spec(cpus: u32, nodes: &[&[u32]]) -> MachineSpec {
        let node = |(id, cpus): (u32, &&[u32])| sample::node(id, cpus, 0);
        MachineSpec { cpus, max_cpus: cpus, numa: (0..).zip(nodes).map(node).collect(), ..sample::machine() }
    }

    fn ids(spec: &MachineSpec) -> Vec<(u32, u32)> {
        Topology::of(spec).places.iter().map(|place| (place.apic_id, place.node)).collect()
    }

    #[test]
    fn without_nodes_all_are_in_one_package() {
        assert_eq!(ids(&spec(3, &[])), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(Topology::of(&spec(3, &[])).core_bits, 2);
        assert_eq!(Topology::of(&spec(1, &[])).core_bits, 0);
    }

    #[test]
    fn each_node_is_a_package() {
        let two = spec(5, &[&[0, 2, 3], &[1, 4]]);
        assert_eq!(ids(&two), [(0, 0), (4, 1), (1, 0), (2, 0), (5, 1)]);
        assert_eq!(Topology::of(&two).cores, 3);
    }

    #[test]
    fn the_first_processor_is_the_boot_processor_wherever_it_is() {
        assert_eq!(ids(&spec(2, &[&[], &[0, 1]])), [(0, 1), (1, 1)]);
        assert_eq!(ids(&spec(2, &[&[1], &[0]])), [(0, 1), (1, 0)]);
    }
}
