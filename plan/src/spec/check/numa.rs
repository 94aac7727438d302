//! Whether NUMA nodes make sense: numbers without gaps, all of boot RAM and every CPU in exactly one
//! node, and distances that the kernel takes (ACPI 6.5, section 5.2.17).

use std::collections::{BTreeMap, BTreeSet};

use super::BadValue;
use crate::spec::{MachineSpec, MemorySpec, NodeSpec};
use crate::units::Bytes;

/// Distances between two different nodes: 10 means the node itself, 255 out of reach.
const DISTANCES: std::ops::RangeInclusive<u8> = 11..=254;

pub(super) fn check(spec: &MachineSpec) -> Result<(), BadValue> {
    if spec.numa.is_empty() {
        return Ok(());
    }
    check_ids(&spec.numa)?;
    check_memory(&spec.numa, &spec.memory)?;
    check_cpus(&spec.numa, spec.max_cpus)?;
    spec.numa.iter().try_for_each(|node| {
        check_host_nodes(node)?;
        check_distances(node, spec.numa.len())
    })
}

/// Which nodes the host has is for the host to say.
fn check_host_nodes(node: &NodeSpec) -> Result<(), BadValue> {
    let mut seen = BTreeSet::new();
    match node.host_nodes.iter().find(|host| !seen.insert(*host)) {
        Some(twice) => Err(BadValue::new("host", twice, "must be given once for a node")),
        None => Ok(()),
    }
}

fn check_ids(nodes: &[NodeSpec]) -> Result<(), BadValue> {
    let mut seen = BTreeSet::new();
    for node in nodes {
        if !seen.insert(node.id) {
            return Err(BadValue::new("id", node.id, "must be given to one node only"));
        }
    }
    let gap = (0u32..).zip(&seen).find(|(expected, id)| expected != *id);
    gap.map_or(Ok(()), |(expected, id)| {
        let rule = format!("node numbers must have no gaps, and there is no node {expected}");
        Err(BadValue::new("id", id, rule))
    })
}

fn check_memory(nodes: &[NodeSpec], memory: &MemorySpec) -> Result<(), BadValue> {
    let page = memory.backing.page_size();
    for node in nodes {
        if !node.memory.is_multiple_of(page) {
            let rule = format!("must be a multiple of {}", Bytes(page));
            return Err(BadValue::new("memory", Bytes(node.memory), rule));
        }
    }
    let sum: u128 = nodes.iter().map(|node| u128::from(node.memory)).sum();
    if sum == u128::from(memory.size) {
        return Ok(());
    }
    let shares: Vec<_> = nodes.iter().map(|node| Bytes(node.memory).to_string()).collect();
    let rule = format!("the nodes' memory must add up to --memory size={}", Bytes(memory.size));
    Err(BadValue::new("memory", shares.join(" + "), rule))
}

fn check_cpus(nodes: &[NodeSpec], cpus: u32) -> Result<(), BadValue> {
    let mut owner = BTreeMap::new();
    for node in nodes {
        for cpu in &node.cpus {
            if *cpu >= cpus {
                let rule = format!("must be 0 to {}, as --cpus allows {cpus}", cpus - 1);
                return Err(BadValue::new("cpus", cpu, rule));
            }
            if let Some(other) = owner.insert(cpu, node.id) {
                let rule = format!("must be in one node only, and is in {other} and {}", node.id);
                return Err(BadValue::new("cpus", cpu, rule));
            }
        }
    }
    let homeless = (0..cpus).find(|cpu| !owner.contains_key(cpu));
    homeless.map_or(Ok(()), |cpu| {
        Err(BadValue::new("cpus", cpu, format!("must be in a node, as all of 0 to {} must", cpus - 1)))
    })
}

fn check_distances(node: &NodeSpec, nodes: usize) -> Result<(), BadValue> {
    let mut seen = BTreeSet::new();
    for (to, distance) in &node.distances {
        let bad = |rule| Err(BadValue::new("distance", format!("{to}@{distance}"), rule));
        if usize::try_from(*to).is_ok_and(|to| to >= nodes) {
            return bad(format!("there is no node {to}; must be 0 to {}", nodes - 1));
        }
        if *to == node.id {
            return bad(format!("must lead to another node; from {to} to itself it is always 10"));
        }
        if !DISTANCES.contains(distance) {
            return bad(format!("must be {} to {}", DISTANCES.start(), DISTANCES.end()));
        }
        if !seen.insert(to) {
            return bad(format!("must be given once for node {to}"));
        }
    }
    Ok(())
}
