//! Machines that make no sense, and what is said of them.

mod devices;
mod memory;

use super::check_id;
use crate::spec::sample;
use crate::spec::{MachineSpec, NodeSpec, VirtioMemSpec, WindowSpec};
use crate::units::{GIB, MIB};

/// A valid machine with two nodes, DIMM slots and a virtio-mem device.
fn machine() -> MachineSpec {
    MachineSpec {
        cpus: 2,
        max_cpus: 2,
        numa: vec![node(0, &[0], 3 * GIB, &[(1, 20)]), node(1, &[1], GIB, &[(0, 21)])],
        windows: vec![sample::acpi(64 * GIB), virtio_mem(|_| {})],
        ..sample::machine()
    }
}

fn node(id: u32, cpus: &[u32], memory: u64, distances: &[(u32, u8)]) -> NodeSpec {
    NodeSpec { distances: distances.to_vec(), ..sample::node(id, cpus, memory) }
}

fn virtio_mem(change: impl FnOnce(&mut VirtioMemSpec)) -> WindowSpec {
    let mut device = sample::virtio_mem(GIB, 2 * MIB);
    change(&mut device);
    WindowSpec::VirtioMem(device)
}

/// What is said of the machine after `change`.
fn complaint(change: impl FnOnce(&mut MachineSpec)) -> String {
    let mut spec = machine();
    change(&mut spec);
    spec.check().expect_err("an invalid machine").to_string()
}

#[test]
fn a_machine_with_everything_is_valid() {
    assert_eq!(machine().check(), Ok(()));
}

#[test]
fn cpus_are_1_to_254() {
    for max in [1, 255] {
        let line = complaint(|spec| spec.max_cpus = max);
        assert_eq!(line, format!("--cpus: max={max}: must be 2 to 254"));
    }
    for cpus in [0, 255, u32::MAX] {
        let line = complaint(|spec| spec.cpus = cpus);
        assert_eq!(line, format!("--cpus {cpus}: must be 1 to 254"));
    }
}

#[test]
fn node_numbers_are_unique_and_without_gaps() {
    let line = complaint(|spec| spec.numa[1].id = 0);
    assert_eq!(line, "--numa: id=0: must be given to one node only");
    let line = complaint(|spec| spec.numa[1].id = 2);
    assert_eq!(line, "--numa: id=2: node numbers must have no gaps, and there is no node 1");
}

#[test]
fn nodes_share_out_exactly_the_boot_ram() {
    let line = complaint(|spec| spec.numa[1].memory = 2 * GIB);
    assert_eq!(line, "--numa: memory=3 GiB + 2 GiB: the nodes' memory must add up to --memory size=4 GiB");
    let line = complaint(|spec| spec.numa[1].memory = GIB + 1);
    assert_eq!(line, "--numa: memory=1073741825 bytes: must be a multiple of 4 KiB");
    let line = complaint(|spec| spec.numa.iter_mut().for_each(|node| node.memory = 1 << 63));
    assert!(line.contains("8388608 TiB + 8388608 TiB: the nodes' memory must add up to"), "{line}");
}

#[test]
fn every_cpu_is_in_one_node() {
    let line = complaint(|spec| spec.numa[1].cpus = vec![0, 1]);
    assert_eq!(line, "--numa: cpus=0: must be in one node only, and is in 0 and 1");
    let line = complaint(|spec| spec.numa[1].cpus.clear());
    assert_eq!(line, "--numa: cpus=1: must be in a node, as all of 0 to 1 must");
    let line = complaint(|spec| spec.numa[1].cpus.push(2));
    assert_eq!(line, "--numa: cpus=2: must be 0 to 1, as --cpus allows 2");
}

#[test]
fn distances_lead_to_other_nodes() {
    let table = [
        ((0, 20), "distance=0@20: must lead to another node; from 0 to itself it is always 10"),
        ((2, 20), "distance=2@20: there is no node 2; must be 0 to 1"),
        ((1, 10), "distance=1@10: must be 11 to 254"),
        ((1, 255), "distance=1@255: must be 11 to 254"),
    ];
    for (distance, what) in table {
        let line = complaint(|spec| spec.numa[0].distances = vec![distance]);
        assert_eq!(line, format!("--numa: {what}"));
    }
    let line = complaint(|spec| spec.numa[0].distances = vec![(1, 20), (1, 30)]);
    assert_eq!(line, "--numa: distance=1@30: must be given once for node 1");
}

#[test]
fn ids_fit_into_a_path() {
    for id in ["d0", "DIMM-1", "a.b_c", &"x".repeat(64)] {
        assert_eq!(check_id(id), Ok(()), "{id:?}");
    }
    for id in ["", " ", "a b", "a/b", "..", ".", "ä", "a\n", "a%20", &"x".repeat(65)] {
        assert!(check_id(id).is_err(), "{id:?}");
    }
}

#[test]
fn a_node_is_bound_to_each_of_the_hosts_once() {
    let line = complaint(|spec| spec.numa[1].host_nodes = vec![0, 1, 0]);
    assert_eq!(line, "--numa: host=0: must be given once for a node");
}

#[test]
fn nodes_may_be_without_cpus_without_memory_and_without_both() {
    let mut spec = machine();
    spec.numa[0].cpus = vec![0, 1];
    spec.numa[1].cpus.clear();
    spec.numa.extend([node(2, &[], 0, &[]), node(3, &[], 0, &[(0, 30)])]);
    assert_eq!(spec.check(), Ok(()));
    spec.numa[0].memory = 4 * GIB;
    spec.numa[1].memory = 0;
    assert_eq!(spec.check(), Ok(()));
}

#[test]
fn faults_are_possible_where_they_are_put() {
    use crate::fault::{ActionName, Fault, Point};
    let device = "vmem0".to_owned();
    let fault = Fault {
        device,
        on: Point::Map,
        nth: 1,
        times: 1,
        action: ActionName::Busy,
        milliseconds: None,
        size: None,
    };
    let line = complaint(|spec| spec.faults = vec![fault]);
    let rule = "do: busy is not possible on map; there it is one of: fail, skip";
    assert_eq!(line, format!("--fault device=vmem0: {rule}"));
}
