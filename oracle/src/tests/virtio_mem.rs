//! virtio-mem devices.

use super::*;

/// The device's usable region is as large as its region.
const REGION: u64 = 256 * GIB;

fn probe(linux: &mut Linux, first: u64, block_size: u64) {
    let start = first * 128 * MIB;
    linux.probe_virtio_mem("v", DeviceSpec { region: start..start + REGION, block_size, node: 0 });
}

fn resize(linux: &mut Linux, size: u64) {
    linux.resize_virtio_mem("v", size, REGION);
}

fn grown(mut linux: Linux, first: u64, block_size: u64, size: u64) -> String {
    probe(&mut linux, first, block_size);
    resize(&mut linux, size);
    shown(&linux, first)
}

#[test]
fn every_normal_block_pays_for_three_movable_ones() {
    let expected = "48-143 M, 144 N, 145-147 M, 148 N, 149-151 M, 152 N, 153-155 M, 156 N, 157-159 M";
    assert_eq!(grown(s4(AUTO), 48, 2 * MIB, 14 * GIB), expected);
    let expected = "48-142 M, 143 N, 144-146 M, 147 N, 148-149 M";
    assert_eq!(grown(s4(with_ratio(300)), 48, 2 * MIB, 102 * 128 * MIB), expected);
}

#[test]
fn the_fractions_add_up_to_a_fourth_movable_block() {
    let layout = grown(s4(AUTO), 48, 2 * MIB, (422 - 48) * 128 * MIB);
    assert!(layout.ends_with("412 N, 413-415 M, 416 N, 417-420 M, 421 N"), "{layout}");
}

#[test]
fn small_machines_grow_in_steps_of_four_blocks() {
    assert_eq!(grown(s256(AUTO), 32, 2 * MIB, 12 * 128 * MIB), "32-37 M, 38 N, 39-41 M, 42 N, 43 M");
}

#[test]
fn big_blocks_are_of_one_kind() {
    for (block, blocks, expected) in [
        (256 * MIB, 106, "48-143 M, 144-145 N, 146-151 M, 152-153 N"),
        (512 * MIB, 112, "48-143 M, 144-147 N, 148-159 M"),
        (GIB, 128, "48-143 M, 144-151 N, 152-175 M"),
        (2 * GIB, 160, "48-143 M, 144-159 N, 160-207 M"),
    ] {
        assert_eq!(grown(s4(AUTO), 48, block, blocks * 128 * MIB), expected, "{block:#x}");
    }
    let expected = "32-35 M, 36-39 N, 40-51 M, 52-55 N, 56-67 M, 68-71 N";
    assert_eq!(grown(s256(AUTO), 32, 512 * MIB, 40 * 128 * MIB), expected);
}

#[test]
fn it_shrinks_from_the_top_movable_blocks_first_and_grows_back() {
    let mut linux = s4(AUTO);
    probe(&mut linux, 48, 2 * MIB);
    resize(&mut linux, 16 * GIB);
    let full = shown(&linux, 48);
    let normal = "144 N, 148 N, 152 N, 156 N, 160 N, 164 N, 168 N, 172 N";
    resize(&mut linux, 14 * GIB);
    let tail = "144 N, 145-147 M, 148 N, 149-151 M, 152 N, 153-154 M, 156 N, 160 N, 164 N, 168 N, 172 N";
    assert_eq!(shown(&linux, 48), format!("48-143 M, {tail}"));
    resize(&mut linux, 16 * GIB);
    assert_eq!(shown(&linux, 48), full);
    resize(&mut linux, 4 * GIB);
    assert_eq!(shown(&linux, 48), format!("48-71 M, {normal}"));
    resize(&mut linux, GIB);
    assert_eq!(shown(&linux, 48), normal);
    resize(&mut linux, GIB / 2);
    assert_eq!(shown(&linux, 48), "144 N, 148 N, 152 N, 156 N");
    resize(&mut linux, 16 * GIB);
    assert_eq!(shown(&linux, 48), full);
    resize(&mut linux, 0);
    assert_eq!(shown(&linux, 48), "");
}

#[test]
fn a_part_of_a_block_counts_as_a_block() {
    let mut linux = s4(AUTO);
    probe(&mut linux, 48, 2 * MIB);
    for (size, expected) in [(100, "48 M"), (200, "48-49 M"), (150, "48-49 M"), (60, "48 M"), (0, "")] {
        resize(&mut linux, size * MIB);
        assert_eq!(shown(&linux, 48), expected, "{size} MiB");
        assert_eq!(linux.virtio_mem["v"].plugged(), size * MIB);
    }
}

#[test]
fn a_partial_normal_block_goes_before_whole_movable_ones() {
    let mut linux = s4(AUTO);
    probe(&mut linux, 48, 2 * MIB);
    resize(&mut linux, 12 * GIB + 64 * MIB);
    assert_eq!(shown(&linux, 48), "48-143 M, 144 N");
    resize(&mut linux, 12 * GIB - 64 * MIB);
    assert_eq!(shown(&linux, 48), "48-143 M");
}

#[test]
fn offline_memory_stops_it_until_some_goes_online() {
    let mut linux = s4(AUTO);
    linux.settings.auto_online = None;
    probe(&mut linux, 48, 2 * MIB);
    resize(&mut linux, 4 * GIB);
    assert_eq!(shown(&linux, 48), "48-55 M/N");
    for index in 48..51 {
        linux.online(index, OnlineType::Policy).unwrap();
    }
    assert_eq!(linux.virtio_mem["v"].plugged(), GIB);
    linux.online(51, OnlineType::Policy).unwrap();
    assert_eq!(shown(&linux, 48), "48-51 M, 52-59 M/N");
}

/// As recorded from a guest of another machine monitor: 2 GiB, a device of 16 GiB, DIMMs behind it.
#[test]
fn dimms_and_a_virtio_mem_device_share_the_ratio() {
    let mut linux = kernel(&[0..0x9_fc00, MIB..2 * GIB], AUTO);
    probe(&mut linux, 32, 2 * MIB);
    plug(&mut linux, 160, &[8]);
    resize(&mut linux, 4 * GIB);
    plug(&mut linux, 168, &[16]);
    assert_eq!(shown(&linux, 32), "32-63 M, 160-167 M, 168-183 N");
    resize(&mut linux, 10 * GIB);
    let steps: String = (72..109).step_by(4).map(|n| format!("{n} N, {}-{} M, ", n + 1, n + 3)).collect();
    assert_eq!(shown(&linux, 32), format!("32-71 M, {steps}160-167 M, 168-183 N"));
}

#[test]
fn what_the_driver_asks_for_is_known() {
    use crate::virtio_mem::Request::{Plug, Unplug};
    let mut linux = s4(AUTO);
    probe(&mut linux, 48, 2 * MIB);
    let start = 6 * GIB;
    let bytes = |from: u64, to: u64| start + from * MIB..start + to * MIB;
    for size in [100, 200, 192] {
        resize(&mut linux, size * MIB);
    }
    let unplugs = (0..4).map(|n| Unplug(bytes(198 - 2 * n, 200 - 2 * n)));
    let expected = [Plug(bytes(0, 100)), Plug(bytes(100, 128)), Plug(bytes(128, 200))];
    assert_eq!(linux.virtio_mem["v"].requests, expected.into_iter().chain(unplugs).collect::<Vec<_>>());
}

#[test]
fn a_held_block_is_passed_over() {
    let mut linux = s4(AUTO);
    probe(&mut linux, 48, 2 * MIB);
    resize(&mut linux, 2 * GIB);
    linux.held.insert(63);
    resize(&mut linux, 0);
    assert_eq!((shown(&linux, 48), linux.virtio_mem["v"].plugged()), ("63 M".to_owned(), 128 * MIB));
    linux.held.clear();
    linux.run_virtio_mem("v");
    assert_eq!(shown(&linux, 48), "");
}

#[test]
fn a_terabyte_and_two_hundred_steps() {
    let mut linux = s4(AUTO);
    let start = 6 * GIB;
    linux.probe_virtio_mem(
        "v",
        DeviceSpec { region: start..start + 1024 * GIB, block_size: 2 * MIB, node: 0 },
    );
    for step in 0..200 {
        let size = if step % 2 == 0 { 1024 * GIB } else { 900 * GIB };
        linux.resize_virtio_mem("v", size, 1024 * GIB);
        assert_eq!(linux.virtio_mem["v"].plugged(), size);
    }
    assert_eq!(linux.memory.blocks().len(), 32 + 900 * 8);
}

#[test]
fn big_blocks_may_have_two_of_them_offline() {
    for (block_size, first, after_one) in
        [(GIB, "48-63 M/N", "48-55 M, 56-71 M/N"), (256 * MIB, "48-55 M/N", "")]
    {
        let mut linux = s4(AUTO);
        linux.settings.auto_online = None;
        probe(&mut linux, 48, block_size);
        resize(&mut linux, 8 * GIB);
        assert_eq!(shown(&linux, 48), first, "{block_size:#x}");
        for index in 48..56 {
            linux.online(index, OnlineType::Policy).unwrap();
        }
        if !after_one.is_empty() {
            assert_eq!(shown(&linux, 48), after_one, "half of the threshold is free again");
        }
    }
}

#[test]
fn a_partial_block_that_went_offline_is_filled_last_and_emptied_first() {
    use crate::virtio_mem::Request::{Plug, Unplug};
    let mut linux = s4(AUTO);
    probe(&mut linux, 48, 2 * MIB);
    resize(&mut linux, 320 * MIB);
    linux.offline(50).unwrap();
    linux.settings.auto_online = None;
    let mut requests = |size: u64| {
        linux.virtio_mem.get_mut("v").unwrap().requests.clear();
        resize(&mut linux, size);
        linux.virtio_mem["v"].requests.clone()
    };
    let bytes = |from: u64, to: u64| 6 * GIB + from * MIB..6 * GIB + to * MIB;
    assert_eq!(requests(328 * MIB), [Plug(bytes(320, 328))]);
    assert_eq!(requests(300 * MIB), [Unplug(bytes(300, 328))], "an offline block loses a run at once");
    assert_eq!(requests(512 * MIB), [Plug(bytes(300, 384)), Plug(bytes(384, 512))]);
}
