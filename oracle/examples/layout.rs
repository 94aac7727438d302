//! A guest with 4 GiB of RAM gets six DIMMs of 4 GiB, then one of them is taken out again: which blocks are where, and why.
//!
//! `cargo run -p dimmer-oracle --example layout`

use dimmer_oracle::boot::{BootMemory, Core};
use dimmer_oracle::linux::{Linux, Settings};
use dimmer_oracle::policy::{OnlinePolicy, Policy};
use dimmer_oracle::release::Release;
use dimmer_oracle::words;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn main() {
    // What the firmware says is RAM, and the one node that it belongs to.
    let usable = vec![0..0x9_fc00, MIB..2 * GIB, 4 * GIB..6 * GIB];
    let boot = BootMemory { usable, nodes: vec![(0..u64::MAX, 0)] };
    // memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=301 memhp_default_state=online
    let policy = Policy { policy: OnlinePolicy::AutoMovable, ratio: 301, ..Policy::default() };
    let settings = Settings::default();

    let release = Release::new(6, 12);
    let memory = boot.boot_with(release, policy, Core::default());
    let mut linux = Linux::new(release, settings, memory);
    for number in 0..6 {
        let start = 6 * GIB + number * 4 * GIB;
        linux.plug_dimm(&format!("dimm{number}"), std::slice::from_ref(&(start..start + 4 * GIB)), 0);
    }
    print("with six DIMMs", &linux);

    let ejected = linux.eject_dimm("dimm5");
    print(&format!("dimm5 is ejected: {ejected:?}"), &linux);
}

fn print(when: &str, linux: &Linux) {
    println!("{when}:");
    for (first, last, words) in words::runs(&linux.memory) {
        let words = words.to_string();
        println!("  {first:>4}-{last:<4} {words:<10} {}", words::why(&linux.memory, first));
    }
}
