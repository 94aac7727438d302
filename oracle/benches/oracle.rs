//! How long the oracle takes: 8,192 blocks and 200 steps are to be predicted in under 50 ms.
//!
//! `cargo bench -p dimmer-oracle`. Each step ends with what `dimmer-lab predict` shows of all blocks.

use dimmer_oracle::boot::{BootMemory, Core};
use dimmer_oracle::linux::{Linux, Settings};
use dimmer_oracle::policy::{OnlinePolicy, OnlineType, Policy};
use dimmer_oracle::release::Release;
use dimmer_oracle::virtio_mem::DeviceSpec;
use dimmer_oracle::words;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const BLOCK: u64 = 128 * MIB;
const STEPS: u64 = 200;
/// Where DIMMs are, behind the virtio-mem device's terabyte.
const DIMMS: u64 = 2048 * GIB;

fn main() {
    divan::main();
}

/// 4 GiB of RAM and a virtio-mem device of 1 TiB, all of it plugged: 8,192 blocks beside those of boot memory.
fn grown() -> Linux {
    let nodes = vec![(0..u64::MAX, 0)];
    let boot = BootMemory { usable: vec![0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB], nodes };
    let policy = Policy { policy: OnlinePolicy::AutoMovable, ..Policy::default() };
    let settings = Settings::default();
    let release = Release::new(6, 12);
    let memory = boot.boot_with(release, policy, Core::default());
    let mut linux = Linux::new(release, settings, memory);
    let region = 6 * GIB..1030 * GIB;
    linux.probe_virtio_mem("v", DeviceSpec { region, block_size: 2 * MIB, node: 0 });
    linux.resize_virtio_mem("v", 1024 * GIB, 1024 * GIB);
    linux
}

/// Boot, growth to 8,192 blocks, and 199 steps of all kinds.
#[divan::bench]
fn steps_of_all_kinds() -> usize {
    let mut linux = grown();
    let mut shown = words::runs(&linux.memory).len();
    for step in 1..STEPS {
        match step % 8 {
            0 => linux.resize_virtio_mem("v", 1024 * GIB, 1024 * GIB),
            1 => linux.resize_virtio_mem("v", 1020 * GIB + 100 * MIB, 1024 * GIB),
            2 => plug(&mut linux, step),
            3 => (48..56).for_each(|index| linux.offline(index).expect("nobody holds it")),
            4 => linux.memory.policy.ratio = u32::try_from(300 + step).expect("a small number"),
            5 => (48..56).for_each(|index| drop(linux.online(index, OnlineType::Policy))),
            6 => drop(linux.eject_dimm(&format!("d{}", step - 4))),
            _ => linux.resize_virtio_mem("v", 1016 * GIB, 1024 * GIB),
        }
        shown += words::runs(&linux.memory).len();
    }
    shown
}

fn plug(linux: &mut Linux, step: u64) {
    let bytes = DIMMS..DIMMS + 32 * BLOCK;
    linux.plug_dimm(&format!("d{step}"), std::slice::from_ref(&bytes), 0);
}

/// A device that swings by 1,000 blocks 200 times, the most that a history can ask for.
#[divan::bench]
fn steps_of_a_thousand_blocks() -> u64 {
    let mut linux = grown();
    for step in 0..STEPS {
        let size = if step % 2 == 0 { 1024 * GIB - 1000 * BLOCK } else { 1024 * GIB };
        linux.resize_virtio_mem("v", size, 1024 * GIB);
    }
    linux.virtio_mem["v"].plugged()
}
