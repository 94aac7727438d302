//! Machines that make no sense, and what is said of them.

use super::check_id;
use crate::spec::{
    Backing, DimmSpec, MachineSpec, MemorySpec, NodeSpec, SerialSpec, VirtioMemSpec, WindowSpec,
};
use crate::units::{GIB, KIB, MIB};

/// A valid machine with one of everything.
fn machine() -> MachineSpec {
    MachineSpec {
        kernel: "bzImage".into(),
        initramfs: None,
        cmdline: String::new(),
        cpus: 2,
        memory: MemorySpec {
            size: 4 * GIB,
            low: 2 * GIB,
            backing: Backing::Anon,
            prealloc: false,
            thp: true,
        },
        numa: vec![node(0, &[0], 3 * GIB, &[(1, 20)]), node(1, &[1], GIB, &[(0, 21)])],
        windows: vec![WindowSpec::Acpi { slots: 16, size: 64 * GIB }, virtio_mem(|_| {})],
        api_socket: None,
        agent_socket: None,
        serial: SerialSpec::Null,
    }
}

fn node(id: u32, cpus: &[u32], memory: u64, distances: &[(u32, u8)]) -> NodeSpec {
    NodeSpec { id, cpus: cpus.to_vec(), memory, distances: distances.to_vec() }
}

fn virtio_mem(change: impl FnOnce(&mut VirtioMemSpec)) -> WindowSpec {
    let mut device =
        VirtioMemSpec { id: "vmem0".to_owned(), size: GIB, block_size: 2 * MIB, node: 0, requested: 0 };
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
    for cpus in [0, 255, u32::MAX] {
        let line = complaint(|spec| spec.cpus = cpus);
        assert_eq!(line, format!("--cpus {cpus}: must be 1 to 254"));
    }
}

#[test]
fn boot_ram_is_whole_pages_and_enough() {
    let rule = "must be a multiple of 4 KiB, at least 64 MiB";
    for (size, shown) in [(0, "0 bytes"), (4 * GIB + 1, "4294967297 bytes"), (60 * MIB, "60 MiB")] {
        let line = complaint(|spec| spec.memory.size = size);
        assert_eq!(line, format!("--memory: size={shown}: {rule}"));
    }
    let line = complaint(|spec| spec.memory.size = u64::MAX - 4095);
    assert_eq!(line, "--memory: size=18014398509481980 KiB: must be at most 4096 TiB");
}

#[test]
fn low_ram_leaves_room_for_registers() {
    let rule = "must be a multiple of 4 KiB, from 64 MiB to 3 GiB";
    let table = [
        (0, "0 bytes"),
        (4 * GIB, "4 GiB"),
        (3 * GIB + 4 * KIB, "3145732 KiB"),
        (GIB + 1, "1073741825 bytes"),
    ];
    for (low, shown) in table {
        let line = complaint(|spec| spec.memory.low = low);
        assert_eq!(line, format!("--memory: low={shown}: {rule}"));
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
    assert_eq!(line, "--numa: cpus=2: must be 0 to 1, as --cpus is 2");
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
fn there_is_one_acpi_window_with_slots_and_whole_memory_blocks() {
    let line = complaint(|spec| spec.windows.push(WindowSpec::Acpi { slots: 1, size: GIB }));
    assert_eq!(line, "--memory-hotplug: method=acpi: must be given once at most");
    for slots in [0, 1025] {
        let line = complaint(|spec| spec.windows[0] = WindowSpec::Acpi { slots, size: GIB });
        assert_eq!(line, format!("--memory-hotplug: slots={slots}: must be 1 to 1024"));
    }
    for (size, shown) in [(0, "0 bytes"), (64 * MIB, "64 MiB"), (GIB + 1, "1073741825 bytes")] {
        let line = complaint(|spec| spec.windows[0] = WindowSpec::Acpi { slots: 1, size });
        assert_eq!(line, format!("--memory-hotplug: size={shown}: must be a multiple of 128 MiB, and not 0"));
    }
}

#[test]
fn windows_fit_into_the_largest_address_space() {
    let size = !(GIB - 1);
    let line = complaint(|spec| spec.windows[0] = WindowSpec::Acpi { slots: 1, size });
    let rule = "boot RAM and all windows together must fit into 4096 TiB";
    assert_eq!(line, format!("--memory-hotplug: size=17179869183 GiB: {rule}"));
    let line = complaint(|spec| {
        spec.windows[0] = WindowSpec::Acpi { slots: 1, size: 1 << 51 };
        spec.windows[1] = virtio_mem(|device| device.size = 1 << 51);
    });
    assert_eq!(line, format!("--memory-hotplug: size=2048 TiB: {rule}"));
}

#[test]
fn virtio_mem_devices_are_whole_blocks_in_a_node_that_is_there() {
    type Change = fn(&mut VirtioMemSpec);
    let table: [(Change, &str); 9] = [
        (|device| device.size = 0, "size=0 bytes: must be a multiple of 128 MiB, and not 0"),
        (|device| device.size = 130 * MIB, "size=130 MiB: must be a multiple of 128 MiB, and not 0"),
        (|device| device.block_size = 3 * MIB, "block=3 MiB: must be a power of two from 2 MiB to 1 GiB"),
        (|device| device.block_size = MIB, "block=1 MiB: must be a power of two from 2 MiB to 1 GiB"),
        (|device| device.block_size = 2 * GIB, "block=2 GiB: must be a power of two from 2 MiB to 1 GiB"),
        (
            |device| (device.size, device.block_size) = (384 * MIB, 256 * MIB),
            "size=384 MiB: must be a multiple of 256 MiB, and not 0",
        ),
        (
            |device| device.requested = 2 * GIB,
            "requested=2 GiB: must be a multiple of the block size (2 MiB), at most the device's size (1 GiB)",
        ),
        (
            |device| device.requested = MIB,
            "requested=1 MiB: must be a multiple of the block size (2 MiB), at most the device's size (1 GiB)",
        ),
        (|device| device.node = 2, "node=2: must be 0 to 1"),
    ];
    for (change, what) in table {
        let line = complaint(|spec| spec.windows[1] = virtio_mem(change));
        assert_eq!(line, format!("--memory-hotplug: {what}"));
    }
    let line = complaint(|spec| {
        spec.numa.clear();
        spec.windows[1] = virtio_mem(|device| device.node = 1);
    });
    assert_eq!(line, "--memory-hotplug: node=1: there is only node 0");
}

#[test]
fn devices_have_ids_of_their_own_and_are_not_too_many() {
    let line = complaint(|spec| spec.windows.push(virtio_mem(|_| {})));
    assert_eq!(line, "--memory-hotplug: id=vmem0: must be given to one device only");
    let line = complaint(|spec| spec.windows[1] = virtio_mem(|device| device.id = "a/b".to_owned()));
    assert!(line.starts_with("--memory-hotplug: id=\"a/b\": must be 1 to 64 letters"), "{line}");
    let line = complaint(|spec| {
        let device = |number| virtio_mem(|device| device.id = format!("v{number}"));
        spec.windows = (0..17).map(device).collect();
    });
    assert_eq!(line, "--memory-hotplug: method=virtio-mem: must be given 16 times at most, not 17");
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
fn dimms_are_whole_memory_blocks() {
    let dimm = |size| DimmSpec { id: "d0".to_owned(), size, node: 0 };
    assert_eq!(dimm(128 * MIB).check(), Ok(()));
    for size in [0, 1, 64 * MIB, GIB + 4096, u64::MAX] {
        let bad = dimm(size).check().expect_err("an invalid size");
        assert_eq!(bad.key, "size");
        assert!(bad.to_string().ends_with("must be a multiple of 128 MiB, and not 0"), "{bad}");
    }
}
