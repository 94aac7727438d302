//! The SRAT: which node each processor and each range of memory belongs to (ACPI 6.5, section
//! 5.2.16).
//!
//! It lists the windows for memory devices as hot-pluggable, which E820 never mentions: so a guest
//! knows their node, and that memory can come there, before there is any.
//!
//! Linux takes a node for possible when an enabled entry names its proximity domain, and refuses to put
//! memory into any other; it numbers nodes in the order in which entries name them, processors' entries
//! before those of memory (`acpi_numa_init` in drivers/acpi/numa/srat.c, the same in 6.1 and 6.12). So
//! processors are listed by node, and a node without processors has an entry for one that the machine has
//! not: then every node is possible and has the number that the user gave it, also one without memory. A
//! Generic Initiator entry would make such a node possible, too, but Linux sets it online at boot.

use acpi_tables::Aml;
use acpi_tables::srat::MemoryAffinity;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{Immutable, IntoBytes};

use crate::madt::xapic_id;
use crate::platform::{Cpu, MemoryRange, Platform};
use crate::table::table;

/// Revision since which proximity domains have 32 bits and not 8.
const REVISION: u8 = 3;
/// Number of APIC ids that fit into eight bits and are not broadcast.
const XAPIC_IDS: u32 = 255;
/// Where an empty range is.
const NOWHERE: u64 = 1 << 32;
/// The one flag of a processor's entry.
const ENABLED: u32 = 1;

/// The SRAT.
pub(crate) fn srat(platform: &Platform) -> Vec<u8> {
    // Two reserved fields; the first has the value 1.
    let mut body = 1u32.to_le_bytes().to_vec();
    body.extend(0u64.to_le_bytes());
    let nobody = Cpu { uid: 0, apic_id: unused_apic_id(&platform.cpus), node: 0, present: false };
    let mut cpus = platform.cpus.clone();
    cpus.extend(nodes_without_cpus(platform).map(|node| Cpu { node, ..nobody }));
    cpus.sort_by_key(|cpu| cpu.node);
    for cpu in &cpus {
        processor(cpu, &mut body);
    }
    for range in &platform.memory {
        memory(range).to_aml_bytes(&mut body);
    }
    for node in described_without_memory(platform) {
        MemoryAffinity::new(node, NOWHERE, 0).enabled().hotpluggable().to_aml_bytes(&mut body);
    }
    table(*b"SRAT", REVISION, &body)
}

/// Nodes whose memory the HMAT describes, and which have none before a DIMM comes: Linux rejects all of an HMAT that describes memory
/// of which the SRAT has no entry (`hmat_parse_proximity_domain` in drivers/acpi/numa/hmat.c). Theirs is empty.
fn described_without_memory(platform: &Platform) -> impl Iterator<Item = u32> {
    let nodes = platform.performance.iter().map(|memory| memory.node);
    nodes.filter(|node| !platform.memory.iter().any(|range| range.node == *node))
}

/// Nodes that no processor is in.
fn nodes_without_cpus(platform: &Platform) -> impl Iterator<Item = u32> {
    let nodes = (0..).zip(&platform.distances).map(|(node, _)| node);
    nodes.filter(|node| !platform.cpus.iter().any(|cpu| cpu.node == *node))
}

/// The highest xAPIC id that no processor has.
fn unused_apic_id(cpus: &[Cpu]) -> u32 {
    let is_unused = |id: &u32| !cpus.iter().any(|cpu| cpu.apic_id == *id);
    (0..XAPIC_IDS).rev().find(is_unused).unwrap_or(XAPIC_IDS)
}

fn processor(cpu: &Cpu, body: &mut Vec<u8>) {
    match xapic_id(cpu) {
        Some(id) => body.extend_from_slice(LocalApicAffinity::new(id, cpu.node).as_bytes()),
        None => body.extend_from_slice(LocalX2ApicAffinity::new(cpu).as_bytes()),
    }
}

fn memory(range: &MemoryRange) -> MemoryAffinity {
    let entry = MemoryAffinity::new(range.node, range.start, range.size).enabled();
    if range.hot_pluggable { entry.hotpluggable() } else { entry }
}

/// Processor Local APIC/SAPIC Affinity structure (ACPI 6.5, table 5.56).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LocalApicAffinity {
    kind: u8,
    length: u8,
    node_low: u8,
    apic_id: u8,
    flags: U32,
    sapic_eid: u8,
    node_high: [u8; 3],
    clock_domain: U32,
}

impl LocalApicAffinity {
    fn new(apic_id: u8, node: u32) -> Self {
        let [node_low, node_high @ ..] = node.to_le_bytes();
        Self {
            kind: 0,
            length: 16,
            node_low,
            apic_id,
            flags: ENABLED.into(),
            sapic_eid: 0,
            node_high,
            clock_domain: 0.into(),
        }
    }
}

/// Processor Local x2APIC Affinity structure (ACPI 6.5, table 5.58).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LocalX2ApicAffinity {
    kind: u8,
    length: u8,
    reserved: U16,
    node: U32,
    apic_id: U32,
    flags: U32,
    clock_domain: U32,
    reserved_end: U32,
}

impl LocalX2ApicAffinity {
    fn new(cpu: &Cpu) -> Self {
        Self {
            kind: 2,
            length: 24,
            reserved: 0.into(),
            node: cpu.node.into(),
            apic_id: cpu.apic_id.into(),
            flags: ENABLED.into(),
            clock_domain: 0.into(),
            reserved_end: 0.into(),
        }
    }
}

const _: () = assert!(size_of::<LocalApicAffinity>() == 16);
const _: () = assert!(size_of::<LocalX2ApicAffinity>() == 24);
