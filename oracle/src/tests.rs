//! The model against results that were worked out by hand, or seen on real guests.
#![expect(clippy::single_range_in_vec_init, reason = "a device may have one range")]

use std::ops::Range;

use super::boot::BootMemory;
use super::linux::{Ejected, Linux, Settings};
use super::memory::Errno;
use super::policy::{OnlinePolicy, OnlineType, Policy};
use super::release::Release;
use super::virtio_mem::DeviceSpec;

mod chance;
mod dax;
mod dimm;
mod faults;
mod leftovers;
mod nodes;
mod pages;
mod releases;
mod virtio_mem;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The policy auto-movable with the kernel's other defaults.
const AUTO: Policy =
    Policy { policy: OnlinePolicy::AutoMovable, ratio: 301, numa_aware: true, movable_node: false };

fn kernel(usable: &[Range<u64>], policy: Policy) -> Linux {
    let boot = BootMemory { usable: usable.to_vec(), nodes: vec![(0..u64::MAX, 0)] };
    Linux::new(Release::new(6, 12), Settings::default(), boot.boot(policy))
}

/// 4 GiB, half of them above 4 GiB; the first free block is 48.
fn s4(policy: Policy) -> Linux {
    kernel(&[0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB], policy)
}

/// 256 MiB.
fn s256(policy: Policy) -> Linux {
    kernel(&[0..0x9_fc00, MIB..256 * MIB], policy)
}

fn with_ratio(ratio: u32) -> Policy {
    Policy { ratio, ..AUTO }
}

/// Plugs DIMMs of so many blocks one behind the other from block `first` on.
fn plug(linux: &mut Linux, first: u64, sizes: &[u64]) {
    let mut next = first;
    for size in sizes {
        let bytes = next * 128 * MIB..(next + size) * 128 * MIB;
        linux.plug_dimm(&format!("d{next}"), &[bytes], 0);
        next += size;
    }
}

/// The blocks behind `first` as runs of one word each: `48-143 M, 144 N`. Offline blocks show all words.
fn shown(linux: &Linux, first: u64) -> String {
    let mut runs: Vec<(u64, u64, String)> = Vec::new();
    for index in linux.memory.blocks().range(first..).map(|(index, _)| *index) {
        let words = linux.memory.valid_zones(index).join("/").replace("Movable", "M").replace("Normal", "N");
        match runs.last_mut() {
            Some((_, last, same)) if *last + 1 == index && *same == words => *last = index,
            _ => runs.push((index, index, words)),
        }
    }
    let run = |(first, last, words): &(u64, u64, String)| match first == last {
        true => format!("{first} {words}"),
        false => format!("{first}-{last} {words}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}
