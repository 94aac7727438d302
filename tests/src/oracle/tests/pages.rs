//! Pinned and broken pages, and the files of a block.

use super::*;

const BLOCK: u64 = 128 * MIB;

#[test]
fn an_ejection_waits_for_a_pinned_page_and_goes_on() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[4]);
    linux.pages.pinned.insert(50 * BLOCK + 12 * MIB);
    assert_eq!(linux.offline(50), Err(Errno::EINTR));
    assert_eq!(linux.eject_dimm("d48"), Ejected::Stuck { block: 50 });
    assert_eq!(shown(&linux, 48), "48-50 M/N, 51 M");
    assert!(linux.memory.blocks()[&50].is_online(), "it is still in its zone");
    linux.pages.pinned.clear();
    assert_eq!(linux.eject_stuck(), Some(("d48".to_owned(), Ejected::Gone)));
    assert_eq!((shown(&linux, 48), linux.eject_stuck()), (String::new(), None));
}

#[test]
fn what_an_ejection_that_waited_took_offline_comes_back_when_it_fails() {
    let mut linux = s4(AUTO);
    plug(&mut linux, 48, &[4]);
    linux.offline(48).unwrap();
    linux.pages.pinned.insert(50 * BLOCK);
    linux.held.insert(51);
    assert_eq!(linux.eject_dimm("d48"), Ejected::Stuck { block: 50 });
    linux.pages.pinned.clear();
    assert_eq!(linux.eject_stuck(), Some(("d48".to_owned(), Ejected::Refused { block: 51 })));
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
fn a_broken_page_is_forgotten_or_keeps_its_block_offline() {
    for (release, online, counted) in
        [(Release::new(6, 1), Ok(()), 1), (Release::new(6, 12), Err(Errno::EHWPOISON), 0)]
    {
        let mut linux = s4(AUTO);
        linux.release = release;
        plug(&mut linux, 48, &[4]);
        linux.poison(49, 5 * MIB, false).unwrap();
        linux.offline(49).unwrap();
        assert_eq!(linux.poison(49, 0, false), Err(Errno::ENXIO));
        assert_eq!(linux.poison(49, 0, true), Err(Errno::EIO));
        assert_eq!(linux.online(49, OnlineType::Policy).map(drop), online, "{release}");
        assert_eq!(linux.pages.counted, 1);
        assert_eq!(linux.eject_dimm("d48"), Ejected::Gone);
        assert_eq!(linux.pages.counted, counted, "{release}");
    }
}

#[test]
fn virtio_mem_keeps_the_sub_block_with_the_page_or_the_whole_unit() {
    let region = 6 * GIB..14 * GIB;
    for (block_size, left, shows) in [(2 * MIB, 2 * MIB, "49 M"), (256 * MIB, 256 * MIB, "48-49 M")] {
        for pinned in [true, false] {
            let mut linux = s4(AUTO);
            linux.probe_virtio_mem("v", DeviceSpec { region: region.clone(), block_size, node: 0 });
            linux.resize_virtio_mem("v", 512 * MIB, 8 * GIB);
            if pinned {
                linux.pages.pinned.insert(49 * BLOCK + 61 * MIB);
            } else {
                linux.poison(49, 61 * MIB, false).unwrap();
            }
            linux.resize_virtio_mem("v", 0, 8 * GIB);
            assert_eq!((shown(&linux, 48).as_str(), linux.virtio_mem["v"].plugged()), (shows, left));
            linux.pages.pinned.clear();
            linux.run_virtio_mem("v");
            assert_eq!(linux.virtio_mem["v"].plugged(), if pinned { 0 } else { left });
        }
    }
}
