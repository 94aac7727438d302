//! What the ACPI tables are to say about a machine.

use dimmer_acpi::platform::{
    Cpu, IoDevice, MemoryPerformance, MemoryRange, MemorySlots, Places, Platform, VirtioMmio,
};
use dimmer_guest_firmware::GENERATION_ID_START;

use crate::layout::{self, FirmwareRange, Layout};
use crate::spec::{MachineSpec, NodeSpec, PerformanceSpec, WindowSpec};
use crate::topology::{Place, Topology};

/// Distance from a node to itself and, unless said otherwise, to another (ACPI 6.5, section 5.2.17).
const HERE: u8 = 10;
const ELSEWHERE: u8 = 20;

/// Describes the machine; `transports` is the number of its virtio-mmio devices that are always there, and `there` says which vCPUs it has.
pub fn describe(
    spec: &MachineSpec,
    layout: &Layout,
    transports: usize,
    there: impl Fn(u32) -> bool,
) -> Platform {
    Platform {
        cpus: cpus(&Topology::of(spec), there),
        processor_port: (spec.max_cpus > spec.cpus).then_some(layout::PROCESSOR_PORT),
        memory: memory(spec, layout),
        persistent: layout.nvdimms().map(there_at_boot).collect(),
        distances: distances(&spec.numa),
        performance: performance(&spec.numa),
        memory_slots: slots(spec),
        virtio: (0..transports).map(transport).collect(),
        places: places(spec, transports),
        serial: IoDevice { port: layout::SERIAL_PORT, gsi: layout::SERIAL_GSI },
        ged: IoDevice { port: layout::GED_PORT, gsi: layout::GED_GSI },
        power_port: layout::POWER_PORT,
        pvpanic_port: layout::PVPANIC_PORT,
        watchdog_port: spec.watchdog.map(|_| layout::WATCHDOG_PORT),
        generation_id: GENERATION_ID_START,
        io_apic: layout::IO_APIC,
        local_apic: layout::LOCAL_APIC,
    }
}

/// The transport with number `index`.
pub fn transport(index: usize) -> VirtioMmio {
    let number = u32::try_from(index).expect("no more transports than interrupts");
    VirtioMmio {
        address: layout::VIRTIO_START + number * layout::VIRTIO_SIZE,
        size: layout::VIRTIO_SIZE,
        gsi: layout::VIRTIO_GSIS[index],
    }
}

/// In the order of their APIC ids, as the tables want them.
fn cpus(topology: &Topology, there: impl Fn(u32) -> bool) -> Vec<Cpu> {
    let cpu = |(uid, place): (u32, &Place)| Cpu {
        uid,
        apic_id: place.apic_id,
        node: place.node,
        present: there(uid),
    };
    let mut cpus: Vec<_> = (0..).zip(&topology.places).map(cpu).collect();
    cpus.sort_by_key(|cpu| cpu.apic_id);
    cpus
}

/// Boot RAM, soft-reserved ranges and windows. The window for DIMMs is said to be node 0's: any part of it may get any DIMM,
/// and a DIMM's own node comes from its `_PXM`.
fn memory(spec: &MachineSpec, layout: &Layout) -> Vec<MemoryRange> {
    let ram = layout.nodes.iter().map(|piece| MemoryRange {
        start: piece.range.start,
        size: piece.range.size,
        node: piece.node,
        hot_pluggable: false,
    });
    let soft = layout.soft_reserved().map(there_at_boot);
    let windows = spec.windows.iter().zip(&layout.windows).map(|(window, range)| MemoryRange {
        start: range.start,
        size: range.size,
        node: match window {
            WindowSpec::Acpi { .. } => 0,
            WindowSpec::VirtioMem(mem) => mem.node,
        },
        hot_pluggable: true,
    });
    ram.chain(soft).chain(windows).collect()
}

/// A range of the firmware's memory map, of a node.
const fn there_at_boot(piece: &FirmwareRange) -> MemoryRange {
    MemoryRange { start: piece.range.start, size: piece.range.size, node: piece.node, hot_pluggable: false }
}

/// Places for virtio-mem devices, whose transports are behind the `transports` that are always there.
fn places(spec: &MachineSpec, transports: usize) -> Option<Places> {
    let is_place = |window: &&WindowSpec| matches!(window, WindowSpec::VirtioMem(mem) if !mem.present);
    let count = spec.windows.iter().filter(is_place).count();
    let transports = (transports..).take(count).map(transport).collect();
    (count > 0).then_some(Places { port: layout::PLACES_PORT, transports })
}

fn slots(spec: &MachineSpec) -> Option<MemorySlots> {
    spec.windows.iter().find_map(|window| match window {
        WindowSpec::Acpi { slots, .. } => Some(MemorySlots { count: *slots, port: layout::HOTPLUG_PORT }),
        WindowSpec::VirtioMem(_) => None,
    })
}

/// The full matrix. What is given one way only holds both ways.
fn distances(nodes: &[NodeSpec]) -> Vec<Vec<u8>> {
    let given = |from: &NodeSpec, to: &NodeSpec| {
        from.distances.iter().find(|(node, _)| *node == to.id).map(|(_, distance)| *distance)
    };
    let distance = |from: &NodeSpec, to: &NodeSpec| match from.id == to.id {
        true => HERE,
        false => given(from, to).or_else(|| given(to, from)).unwrap_or(ELSEWHERE),
    };
    nodes.iter().map(|from| nodes.iter().map(|to| distance(from, to)).collect()).collect()
}

/// What is said of memory, in the order of the nodes.
fn performance(nodes: &[NodeSpec]) -> Vec<MemoryPerformance> {
    let said = |node: &NodeSpec| {
        let PerformanceSpec { latency, bandwidth } = node.performance?;
        Some(MemoryPerformance { node: node.id, latency, bandwidth })
    };
    nodes.iter().filter_map(said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{FirmwareRangeKind, FirmwareRangeSpec, sample};

    fn node(id: u32, cpus: &[u32], distances: &[(u32, u8)]) -> NodeSpec {
        NodeSpec { distances: distances.to_vec(), ..sample::node(id, cpus, 0) }
    }

    #[test]
    fn soft_reserved_ranges_have_their_node_and_are_there_from_the_beginning() {
        let soft = FirmwareRangeKind::SoftReserved;
        let range = FirmwareRangeSpec { kind: soft, start: Some(8 << 30), size: 1 << 30, node: 1 };
        let spec = MachineSpec { firmware_ranges: vec![range], ..sample::machine() };
        let layout = Layout::plan(&spec, 40).unwrap();
        let last = *memory(&spec, &layout).last().unwrap();
        assert_eq!(last, MemoryRange { start: 8 << 30, size: 1 << 30, node: 1, hot_pluggable: false });
    }

    #[test]
    fn only_what_is_said_of_memory_is_described() {
        let said = Some(PerformanceSpec { latency: 250, bandwidth: 10_000 });
        let nodes = [node(0, &[0], &[]), NodeSpec { performance: said, ..node(1, &[], &[]) }];
        let described = MemoryPerformance { node: 1, latency: 250, bandwidth: 10_000 };
        assert_eq!(performance(&nodes), [described]);
    }

    #[test]
    fn nvdimms_have_their_node_and_are_no_memory_of_it() {
        let range =
            FirmwareRangeSpec { kind: FirmwareRangeKind::Nvdimm, start: None, size: 1 << 30, node: 1 };
        let spec = MachineSpec { firmware_ranges: vec![range], ..sample::machine() };
        let layout = Layout::plan(&spec, 40).unwrap();
        let platform = describe(&spec, &layout, 0, |_| true);
        let expected = MemoryRange { start: 6 << 30, size: 1 << 30, node: 1, hot_pluggable: false };
        assert_eq!(platform.persistent, [expected]);
        assert!(!platform.memory.contains(&expected));
    }

    #[test]
    fn a_distance_given_one_way_holds_both_ways_unless_the_other_differs() {
        let nodes = [node(0, &[0], &[(1, 30)]), node(1, &[1], &[(2, 40)]), node(2, &[], &[(1, 50)])];
        assert_eq!(distances(&nodes), [[10, 30, 20], [30, 10, 40], [20, 50, 10]]);
    }
}
