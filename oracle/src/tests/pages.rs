//! Pinned pages, and the files of a block.

use super::*;

/// Pages of a block.
const BLOCK: u64 = 32768;

#[test]
fn an_ejection_waits_for_a_pinned_page_and_goes_on() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[4]);
    linux.fixed.insert(50 * BLOCK + 7);
    assert_eq!(linux.offline(50), Err(Errno::EINTR));
    assert_eq!(linux.eject_dimm("d48"), Ejected::Stuck { block: 50 });
    assert_eq!(shown(&linux, 48), "48-50 M/N, 51 M");
    assert!(linux.memory.blocks()[&50].is_online(), "it is still in its zone");
    assert!(linux.unpin(50) && !linux.unpin(50));
    assert_eq!(
        linux.eject_stuck().map(|(before, ejected)| (before.id, ejected)),
        Some(("d48".to_owned(), Ejected::Gone))
    );
    assert_eq!((shown(&linux, 48), linux.eject_stuck()), (String::new(), None));
}

#[test]
fn what_an_ejection_that_waited_took_offline_comes_back_when_it_fails() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[4]);
    linux.offline(48).unwrap();
    linux.fixed.insert(50 * BLOCK);
    linux.held.insert(51);
    assert_eq!(linux.eject_dimm("d48"), Ejected::Stuck { block: 50 });
    assert!(linux.unpin(50) && !linux.unpin(50));
    let ended = linux.eject_stuck().map(|(before, ejected)| (before.id, ejected));
    assert_eq!(ended, Some(("d48".to_owned(), Ejected::Refused { block: 51 })));
    assert_eq!(shown(&linux, 48), "48 M/N, 49-51 M");
}

#[test]
fn a_kind_that_was_asked_for_in_vain_is_used_once() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[2]);
    assert_eq!(linux.write_state(48, "online_kernel"), Err(Errno::EINVAL));
    assert_eq!(linux.write_online(48, "1"), Ok(()), "it is online already");
    linux.write_online(48, "0").unwrap();
    linux.write_online(48, "1").unwrap();
    assert_eq!(shown(&linux, 48), "48 N, 49 M");
    linux.write_state(48, "offline").unwrap();
    linux.write_online(48, "1").unwrap();
    assert_eq!(shown(&linux, 48), "48-49 M");
    // A write that says a kind itself leaves nothing behind.
    assert_eq!(linux.write_state(49, "online_kernel"), Err(Errno::EINVAL));
    linux.write_state(49, "offline").unwrap();
    linux.write_state(49, "online").unwrap();
    linux.write_online(49, "0").unwrap();
    linux.write_online(49, "1").unwrap();
    assert_eq!(shown(&linux, 48), "48-49 M");
    assert_eq!(linux.write_state(48, "sideways"), Err(Errno::EINVAL));
}

#[test]
fn virtio_mem_keeps_the_sub_block_with_a_pinned_page_or_the_whole_unit() {
    let region = 6 * GIB..14 * GIB;
    for (block_size, left, shows) in [(2 * MIB, 2 * MIB, "49 M"), (256 * MIB, 256 * MIB, "48-49 M")] {
        let mut linux = s4(AUTO);
        linux.probe_virtio_mem("v", DeviceSpec { region: region.clone(), block_size, node: 0 });
        linux.resize_virtio_mem("v", 512 * MIB, 8 * GIB);
        linux.fixed.insert(49 * BLOCK + 61 * 256);
        linux.resize_virtio_mem("v", 0, 8 * GIB);
        assert_eq!((shown(&linux, 48).as_str(), linux.virtio_mem["v"].plugged()), (shows, left));
        assert_eq!(linux.offline(49), Err(Errno::EINTR));
        assert!(linux.unpin(49));
        linux.run_virtio_mem("v");
        assert_eq!(linux.virtio_mem["v"].plugged(), 0);
    }
}
