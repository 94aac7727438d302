//! The HMAT: how fast processors reach the memory of a node (ACPI 6.5, section 5.2.28).
//!
//! Each node whose memory is described has one initiator: itself when it has processors, or else the nearest that has. What
//! other processors find is not said. Linux takes reads and writes for alike then, as the table says it of both at once.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use crate::platform::{MemoryPerformance, Platform};
use crate::table::table;

/// Revision since which latencies are in picoseconds and bandwidths in MB/s.
const REVISION: u8 = 2;
/// "Initiator proximity domain valid", the one flag of a node's attributes.
const INITIATOR_VALID: u16 = 1;
/// Data types of a matrix: for reads and writes alike.
const ACCESS_LATENCY: u8 = 0;
const ACCESS_BANDWIDTH: u8 = 3;
/// An entry that says nothing. 0xffff means that memory is out of reach.
const UNKNOWN: u16 = 0;
/// Highest value of an entry.
pub const MOST: u32 = 0xfffe;
/// Picoseconds of an entry for latency.
const NANOSECOND: u64 = 1000;
/// MB/s of an entry for bandwidth, each tried until the highest fits.
pub const BANDWIDTH_UNITS: [u32; 3] = [1, 10, 100];

/// The HMAT.
pub(crate) fn hmat(platform: &Platform) -> Vec<u8> {
    let targets: Vec<Target> = platform.performance.iter().map(|node| Target::new(platform, *node)).collect();
    let mut body = vec![0; 4];
    for target in &targets {
        body.extend_from_slice(Attributes::new(target).as_bytes());
    }
    let unit = bandwidth_unit(&targets);
    let latency = |target: &Target| entry(target.memory.latency);
    let bandwidth = |target: &Target| entry(target.memory.bandwidth.div_ceil(unit));
    matrix(&targets, ACCESS_LATENCY, NANOSECOND, latency, &mut body);
    matrix(&targets, ACCESS_BANDWIDTH, unit.into(), bandwidth, &mut body);
    table(*b"HMAT", REVISION, &body)
}

/// A node's memory, and the node of the processors that it is described for.
struct Target {
    memory: MemoryPerformance,
    initiator: u32,
}

impl Target {
    fn new(platform: &Platform, memory: MemoryPerformance) -> Self {
        let distance = |from: u32| {
            let row = usize::try_from(from).ok().and_then(|from| platform.distances.get(from));
            row.zip(usize::try_from(memory.node).ok()).and_then(|(row, to)| row.get(to)).copied()
        };
        let nodes = platform.cpus.iter().filter(|cpu| cpu.present).map(|cpu| cpu.node);
        let nearest = nodes.min_by_key(|node| (*node != memory.node, distance(*node), *node));
        Self { memory, initiator: nearest.unwrap_or(memory.node) }
    }
}

/// The least unit in which all bandwidths fit; they are rounded up to multiples of it.
fn bandwidth_unit(targets: &[Target]) -> u32 {
    let fits = |unit: &u32| targets.iter().all(|target| target.memory.bandwidth.div_ceil(*unit) <= MOST);
    let [.., largest] = BANDWIDTH_UNITS;
    BANDWIDTH_UNITS.into_iter().find(fits).unwrap_or(largest)
}

fn entry(value: u32) -> u16 {
    u16::try_from(value.min(MOST)).expect("no more than 16 bits")
}

/// System Locality Latency and Bandwidth Information structure: a row of targets for each initiator.
fn matrix(targets: &[Target], data: u8, unit: u64, value: impl Fn(&Target) -> u16, body: &mut Vec<u8>) {
    let mut initiators: Vec<u32> = targets.iter().map(|target| target.initiator).collect();
    initiators.sort_unstable();
    initiators.dedup();
    let mut tail = Vec::new();
    for node in initiators.iter().copied().chain(targets.iter().map(|target| target.memory.node)) {
        tail.extend(node.to_le_bytes());
    }
    for initiator in &initiators {
        for target in targets {
            let entry = if target.initiator == *initiator { value(target) } else { UNKNOWN };
            tail.extend(entry.to_le_bytes());
        }
    }
    let count = |nodes: usize| u32::try_from(nodes).expect("no more nodes than 32 bits number");
    let head = Matrix {
        kind: 1.into(),
        reserved: 0.into(),
        length: count(size_of::<Matrix>() + tail.len()).into(),
        flags: 0,
        data,
        least_transfer: 0,
        reserved_data: 0,
        initiators: count(initiators.len()).into(),
        targets: count(targets.len()).into(),
        reserved_targets: 0.into(),
        unit: unit.into(),
    };
    body.extend_from_slice(head.as_bytes());
    body.extend(tail);
}

/// Memory Proximity Domain Attributes structure (ACPI 6.5, section 5.2.28.3).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Attributes {
    kind: U16,
    reserved: U16,
    length: U32,
    flags: U16,
    reserved_flags: U16,
    initiator: U32,
    memory: U32,
    reserved_end: [U32; 5],
}

impl Attributes {
    fn new(target: &Target) -> Self {
        Self {
            kind: 0.into(),
            reserved: 0.into(),
            length: 40.into(),
            flags: INITIATOR_VALID.into(),
            reserved_flags: 0.into(),
            initiator: target.initiator.into(),
            memory: target.memory.node.into(),
            reserved_end: [0.into(); 5],
        }
    }
}

/// What is in front of a matrix (ACPI 6.5, section 5.2.28.4).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Matrix {
    kind: U16,
    reserved: U16,
    length: U32,
    flags: u8,
    data: u8,
    least_transfer: u8,
    reserved_data: u8,
    initiators: U32,
    targets: U32,
    reserved_targets: U32,
    unit: U64,
}

const _: () = assert!(size_of::<Attributes>() == 40);
const _: () = assert!(size_of::<Matrix>() == 32);
