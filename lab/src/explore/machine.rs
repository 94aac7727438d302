//! Random machines: boot memory, nodes, windows for memory devices, and the guest's settings.

use dimmer_oracle::release::Release;

use super::dice::Dice;
use super::edges;
use crate::scenario::{Guest, Machine, MemmapOnMemory, OnlineWord, PolicyWord, Scenario, Size};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// From here on memory blocks are larger.
const LARGE: u64 = 64 * GIB;
/// Before this release Debian's cloud flavours take no page for broken.
const BREAKS: Release = Release::new(6, 12);
/// Slots for ACPI memory devices.
pub const SLOTS: usize = 16;

/// A scenario without steps.
pub fn scenario(dice: &mut Dice, release: Release) -> Scenario {
    let mut guest = guest(dice, release);
    let mut ram =
        MIB * dice.weighted(&[(1, 256), (1, 384), (1, 512), (1, 576), (1, 768), (1, 1024), (1, 2048)]);
    if dice.chance(35) {
        ram = edges::ram(dice, &guest, release).unwrap_or(ram);
    }
    share_boot_memory(dice, ram, &mut guest);
    let nodes = if dice.chance(35) { dice.number(2..=3) } else { 1 };
    let machine = Machine {
        memory: memory(dice, ram),
        numa: numa(dice, ram, nodes),
        memory_hotplug: windows(dice, nodes),
        firmware_range: soft_reserved(dice, nodes),
        ..Machine::default()
    };
    Scenario { shows: String::new(), kernels: Vec::new(), machine, guest, steps: Vec::new() }
}

fn guest(dice: &mut Dice, release: Release) -> Guest {
    let auto_movable = dice.chance(80);
    Guest {
        online_policy: Some(if auto_movable { PolicyWord::AutoMovable } else { PolicyWord::ContigZones }),
        auto_movable_ratio: ratio(dice),
        auto_movable_numa_aware: dice.chance(60),
        auto_online_blocks: Some(online_word(dice)),
        memmap_on_memory: if dice.chance(10) { MemmapOnMemory::On } else { MemmapOnMemory::Off },
        movable_node: dice.chance(8),
        machine_checks: dice.chance(25) && release >= BREAKS,
        kaslr: dice.chance(8),
        ..Guest::default()
    }
}

/// At times some boot memory is movable, if there is enough for the kernel to keep its books in the rest.
fn share_boot_memory(dice: &mut Dice, ram: u64, guest: &mut Guest) {
    if ram < GIB || !dice.chance(40) {
        return;
    }
    let kernel = dice.chance(50);
    let text = if kernel {
        dice.weighted(&[(2, "50%"), (1, "75%"), (1, "768M"), (1, "700M")])
    } else {
        dice.weighted(&[(2, "25%"), (1, "128M"), (1, "256M"), (1, "300M")])
    };
    let share = if kernel { &mut guest.kernelcore } else { &mut guest.movablecore };
    *share = Some(text.parse().expect("these are amounts"));
}

/// A ratio in percent.
pub fn ratio(dice: &mut Dice) -> u32 {
    dice.weighted(&[(6, 301), (3, 300), (6, 100), (3, 200), (2, 50), (2, 400), (2, 150), (1, 1000), (1, 0)])
}

/// What happens to blocks that come.
pub fn online_word(dice: &mut Dice) -> OnlineWord {
    dice.weighted(&[
        (14, OnlineWord::Online),
        (4, OnlineWord::Offline),
        (1, OnlineWord::OnlineKernel),
        (2, OnlineWord::OnlineMovable),
    ])
}

/// `--memory`: in one piece or two, and at times with an end so high that blocks are larger.
fn memory(dice: &mut Dice, ram: u64) -> String {
    let size = Size(ram);
    let low = Size((ram / 2).next_multiple_of(128 * MIB).max(64 * MIB));
    match dice.number(1..=10) {
        1 | 2 if ram.is_multiple_of(128 * MIB) && ram > low.0 => {
            let end = LARGE + MIB * dice.weighted(&[(2, 0), (1, 256), (1, 512), (1, 1024)]);
            format!("size={size},low={low},high={}", Size(end - (ram - low.0)))
        }
        3..=7 => format!("size={size},low={low}"),
        _ => format!("size={size},low=2G"),
    }
}

/// Each `--numa`: the second node has some of the RAM, by blocks or not, and the third none; or the second
/// has none.
fn numa(dice: &mut Dice, ram: u64, nodes: u64) -> Vec<String> {
    if nodes == 1 {
        return Vec::new();
    }
    let share = ram / 4 * dice.number(0..=2);
    let share = if dice.chance(70) { share / (128 * MIB) * 128 * MIB } else { share / 4096 * 4096 };
    let memory = [ram - share, share, 0];
    (0..nodes)
        .zip(memory)
        .map(|(id, memory)| {
            let cpus = if id == 0 { ",cpus=0" } else { "" };
            let memory = if memory > 0 { format!(",memory={}", Size(memory)) } else { String::new() };
            format!("id={id}{cpus}{memory}")
        })
        .collect()
}

/// Each `--firmware-range`: at times soft-reserved memory, which fills blocks or not.
fn soft_reserved(dice: &mut Dice, nodes: u64) -> Vec<String> {
    let count = dice.weighted(&[(7, 0), (2, 1), (1, 2)]);
    let range = |_| {
        let size = Size(MIB * dice.weighted(&[(3, 256), (3, 512), (2, 1024), (1, 320), (1, 576), (1, 64)]));
        let node = dice.number(0..=nodes - 1);
        format!("kind=soft-reserved,size={size},node={node}")
    };
    (0..count).map(range).collect()
}

/// Each `--memory-hotplug`: DIMMs, virtio-mem devices, or both.
fn windows(dice: &mut Dice, nodes: u64) -> Vec<String> {
    let (dimms, devices) =
        dice.weighted(&[(4, (true, 0)), (4, (true, 1)), (2, (true, 2)), (4, (false, 1)), (3, (false, 2))]);
    let mut all = Vec::new();
    if dimms {
        all.push(format!("method=acpi,slots={SLOTS},size=64G"));
    }
    for number in 0..devices {
        let block =
            dice.weighted(&[(8, 2), (2, 4), (2, 32), (1, 64), (3, 128), (3, 256), (2, 512), (1, 1024)]) * MIB;
        let size = dice.number(8..=64) * 128 * MIB;
        let size = Size(size.next_multiple_of(block.max(128 * MIB)));
        let node = dice.number(0..=nodes - 1);
        all.push(format!("method=virtio-mem,size={size},id=vmem{number},block={},node={node}", Size(block)));
    }
    if dice.chance(20) {
        let size = Size(dice.number(4..=16) * 256 * MIB);
        let node = dice.number(0..=nodes - 1);
        all.push(format!("method=virtio-mem,size={size},id=place0,slot=1G,node={node},present=off"));
    }
    if dice.chance(20) {
        all.reverse();
    }
    all
}
