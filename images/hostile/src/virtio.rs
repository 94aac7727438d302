//! Virtio devices (virtio 1.2, section 4.2.2 for their registers).

use crate::access::{from, to};
use crate::chance::Chance;
use crate::memory::{Places, REGISTERS};

/// Register blocks are a page each; behind the last device there are none.
const BLOCKS: u64 = 20;
const DEVICE_ID: u64 = 0x08;
const FEATURES: u64 = 0x10;
const FEATURES_SELECT: u64 = 0x14;
const DRIVER_FEATURES: u64 = 0x20;
const DRIVER_FEATURES_SELECT: u64 = 0x24;
const QUEUE_SELECT: u64 = 0x30;
const QUEUE_SIZE: u64 = 0x38;
const QUEUE_READY: u64 = 0x44;
const NOTIFY: u64 = 0x50;
const ACKNOWLEDGE: u64 = 0x64;
const STATUS: u64 = 0x70;
const DESCRIPTORS: u64 = 0x80;
const AVAILABLE: u64 = 0x90;
const USED: u64 = 0xa0;
const CONFIG: u64 = 0x100;
/// The number of the virtio-mem device.
const MEM: u64 = 24;

fn any_device(chance: &mut Chance) -> u64 {
    REGISTERS + chance.below(BLOCKS) * 0x1000
}

fn set(register: u64, value: u64) {
    to(register, value, 4);
}

fn set_long(register: u64, value: u64) {
    set(register, value & 0xffff_ffff);
    set(register + 4, value >> 32);
}

/// Reads and writes registers of any device, at any offset, in every width.
pub fn storm(chance: &mut Chance) {
    for _ in 0..50 {
        let place = any_device(chance) + chance.below(0x200);
        let (place, width) =
            (if chance.below(2) == 0 { place & !3 } else { place }, chance.of(&[1, 2, 4, 4, 4, 8]));
        // An access does not go across two pages.
        let place = place & !(width - 1) | place & (width - 1) & 0x1;
        if chance.below(2) == 0 {
            from(place, width);
        } else {
            to(place, chance.any() >> chance.below(64), width);
        }
    }
}

/// Goes through the steps of a driver with one device, each more or less as it should be, and uses its queues.
pub fn session(chance: &mut Chance, places: &Places) {
    let device = any_device(chance);
    if from(device + DEVICE_ID, 4) == 0 {
        return;
    }
    start(device, chance.any() | chance.any());
    let mut rings = [(0, 0, 0); 4];
    for queue in 0..4 {
        let size = chance.of(&[1, 2, 8, 16, 64, 64, 128, 256, 0, 3, 0xffff]);
        let ring = (places.ring(chance), places.ring(chance), places.ring(chance));
        set_queue(device, queue, size, ring);
        rings[queue as usize] = ring;
    }
    set(device + STATUS, 0xf);
    for _ in 0..chance.below(8) {
        let queue = chance.below(4);
        let (table, available, _) = rings[queue as usize];
        for index in 0..chance.below(16) {
            descriptor(chance, places, table + 16 * index, index);
        }
        for entry in 0..4 {
            places.put(available + 4 + 2 * entry, chance.of(&[0, 1, 2, 15, 63, 0xffff]), 2);
        }
        places.put(available + 2, chance.of(&[1, 2, 3, 4, 64, 0x8000, 0xffff]), 2);
        set(device + NOTIFY, queue);
        set(device + ACKNOWLEDGE, 3);
    }
}

fn start(device: u64, wanted: u64) {
    set(device + STATUS, 0);
    set(device + STATUS, 1);
    set(device + STATUS, 3);
    for half in 0..2 {
        set(device + FEATURES_SELECT, half);
        let offered = from(device + FEATURES, 4);
        set(device + DRIVER_FEATURES_SELECT, half);
        // VERSION_1 is in the upper half, and virtio-mem wants its bit 1.
        let needed = if half == 1 { 1 } else { offered & 2 };
        set(device + DRIVER_FEATURES, wanted >> (32 * half) & offered | needed);
    }
    set(device + STATUS, 0xb);
}

fn set_queue(device: u64, queue: u64, size: u64, (table, available, used): (u64, u64, u64)) {
    set(device + QUEUE_SELECT, queue);
    set(device + QUEUE_READY, 0);
    set(device + QUEUE_SIZE, size);
    set_long(device + DESCRIPTORS, table);
    set_long(device + AVAILABLE, available);
    set_long(device + USED, used);
    set(device + QUEUE_READY, 1);
}

/// A descriptor: right, in a loop, too long, of nothing, or beyond everything.
fn descriptor(chance: &mut Chance, places: &Places, place: u64, index: u64) {
    let length = chance.of(&[0, 1, 10, 16, 24, 44, 512, 4096, 0x1_0000, 0xffff_ffff]);
    let flags = chance.of(&[0, 1, 1, 1, 2, 3, 3, 4, 7, 0xffff]);
    let next = chance.of(&[index + 1, index + 1, index, 0, 0xffff]);
    places.put(place, places.any(chance), 8);
    places.put(place + 8, length | flags << 32 | next << 48, 8);
}

/// Notifies a device, again and again.
pub fn kicks(chance: &mut Chance) {
    let (device, queue) = (any_device(chance), chance.below(5));
    for _ in 0..500 {
        set(device + NOTIFY, queue);
    }
}

/// Plugs and unplugs blocks of a virtio-mem device as its driver would, with rings of other devices in what goes.
pub fn plug(chance: &mut Chance, places: &Places) {
    let mut devices = (0..BLOCKS).map(|block| REGISTERS + block * 0x1000);
    let Some(device) = devices.find(|device| from(device + DEVICE_ID, 4) == MEM) else { return };
    let word = |at: u64| from(device + CONFIG + at, 4) | from(device + CONFIG + at + 4, 4) << 32;
    let (block, start, usable) = (word(0), word(16), word(32));
    if block == 0 || usable < block {
        return;
    }
    let base = places.arena + 0x20_0000;
    for offset in (0..0x3000).step_by(8) {
        places.put(base + offset, 0, 8);
    }
    start_mem(device, base);
    for number in 1..=chance.below(12) {
        let first = start + chance.below(usable / block) * block;
        let kind = chance.of(&[0, 0, 0, 1, 1, 2, 3, 9]);
        request(places, base, (kind, first, chance.of(&[1, 1, 2, 8, 0, 0xffff])), number);
        set(device + NOTIFY, 0);
        if from(base + 0x5000, 2) & 0xffff == 0 && kind == 0 {
            to(first, chance.any(), 8);
            let other = any_device(chance);
            set_queue(other, chance.below(3), 16, (first, first + 0x1000, first + 0x2000));
            set(other + NOTIFY, chance.below(3));
        }
    }
}

fn start_mem(device: u64, base: u64) {
    start(device, 0);
    set_queue(device, 0, 16, (base, base + 0x1000, base + 0x2000));
    set(device + STATUS, 0xf);
}

/// Makes a request available: its type, the first address, the number of blocks (virtio 1.2, section 5.15.6.2).
fn request(places: &Places, base: u64, (kind, first, count): (u64, u64, u64), number: u64) {
    for (offset, value) in [
        (0x4000, kind),
        (0x4008, first),
        (0x4010, count),
        (0x5000, 0xffff),
        (0, base + 0x4000),
        (8, 24 | 1 << 32 | 1 << 48),
        (16, base + 0x5000),
        (24, 10 | 2 << 32),
    ] {
        places.put(base + offset, value, 8);
    }
    places.put(base + 0x1004 + 2 * ((number - 1) % 16), 0, 2);
    places.put(base + 0x1002, number, 2);
}
