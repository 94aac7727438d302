//! The host's NUMA nodes, for guest nodes that are bound to some of them.

use std::fs;
use std::io;
use std::path::Path;

use crate::spec::NodeSpec;

/// Where Linux lists its nodes; a kernel without NUMA has no such folder.
const NODES: &str = "/sys/devices/system/node";

/// Memory of a guest node cannot be bound as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HostNodeProblem {
    /// The host does not say which nodes have memory.
    #[error("--numa: host={host}: cannot see this host's nodes in {NODES}/has_memory: {error}")]
    Unknown {
        /// The first node asked for.
        host: u32,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// There is no such node, or it has no memory.
    #[error("--numa: host={host}: this host has memory in node(s) {known} only")]
    Missing {
        /// The node asked for.
        host: u32,
        /// The nodes that have memory, as the host lists them.
        known: String,
    },
}

/// Checks that this host has memory in every node that a node of the machine is bound to.
///
/// # Errors
/// [`HostNodeProblem`] names the first node that cannot be used.
pub fn check_nodes(nodes: &[NodeSpec]) -> Result<(), HostNodeProblem> {
    check_nodes_in(Path::new(NODES), nodes)
}

fn check_nodes_in(folder: &Path, nodes: &[NodeSpec]) -> Result<(), HostNodeProblem> {
    let wanted: Vec<u32> = nodes.iter().flat_map(|node| node.host_nodes.iter().copied()).collect();
    let Some(first) = wanted.first() else { return Ok(()) };
    let known = fs::read_to_string(folder.join("has_memory"))
        .map_err(|error| HostNodeProblem::Unknown { host: *first, error })?;
    match wanted.iter().find(|host| !lists(known.trim(), **host)) {
        None => Ok(()),
        Some(host) => Err(HostNodeProblem::Missing { host: *host, known: known.trim().to_owned() }),
    }
}

/// Whether `number` is in a list such as `0-1,4`.
fn lists(list: &str, number: u32) -> bool {
    list.split(',').any(|item| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::sample;

    fn bound_to(hosts: &[u32]) -> Vec<NodeSpec> {
        vec![NodeSpec { host_nodes: hosts.to_vec(), ..sample::node(0, &[0], 0) }]
    }

    #[test]
    fn only_nodes_with_memory_can_be_bound_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("has_memory"), "0-1,4\n").unwrap();
        for host in [0, 1, 4] {
            assert!(check_nodes_in(folder.path(), &bound_to(&[0, host])).is_ok(), "{host}");
        }
        for host in [2, 3, 5] {
            let error = check_nodes_in(folder.path(), &bound_to(&[0, host])).unwrap_err().to_string();
            assert_eq!(error, format!("--numa: host={host}: this host has memory in node(s) 0-1,4 only"));
        }
    }

    #[test]
    fn a_host_without_numa_is_asked_only_when_a_node_is_bound() {
        let folder = Path::new("/nonexistent");
        assert!(check_nodes_in(folder, &bound_to(&[])).is_ok());
        let error = check_nodes_in(folder, &bound_to(&[1])).unwrap_err().to_string();
        assert!(error.starts_with("--numa: host=1: cannot see this host's nodes"), "{error}");
    }
}
