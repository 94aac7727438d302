//! Each way in which books can disagree.

use super::*;

const MIB: u64 = 1 << 20;

fn range(start: u64, size: u64) -> GuestRange {
    GuestRange::new(start * MIB, size * MIB)
}

fn claim(id: &str, ranges: &[GuestRange]) -> Claim {
    let plugged_size = Some(size(ranges));
    let holding = Holding { id: id.to_owned(), ranges: ranges.to_vec() };
    Claim { holding, plugged_size, reachable: true }
}

fn slot(owner: &str, range: GuestRange) -> SlotBook {
    SlotBook { owner: owner.to_owned(), range }
}

/// Boot RAM, a virtio-mem device "m" with two runs, and two DIMMs next to each other, all in order.
fn in_order() -> (Vec<Claim>, Books) {
    let (boot, mem) = (range(0, 64), [range(1000, 4), range(1006, 2)]);
    let dimms = [range(2000, 128), range(2128, 128)];
    let claims =
        vec![claim("boot", &[boot]), claim("m", &mem), claim("d0", &dimms[..1]), claim("d1", &dimms[1..])];
    let area = |range, device: Option<&str>, mapped: &[GuestRange]| AreaBooks {
        range,
        kind: AreaKind::Dimms,
        device: device.map(str::to_owned),
        mapped: mapped.to_vec(),
        allocated: Vec::new(),
        stray_accesses: 0,
    };
    let books = Books {
        slots: vec![
            slot("boot", boot),
            slot("m", range(1000, 2)),
            slot("m", range(1002, 2)),
            slot("m", mem[1]),
            slot("d0", dimms[0]),
            slot("d1", dimms[1]),
        ],
        areas: vec![
            area(boot, Some("boot"), &[boot]),
            area(range(1000, 100), Some("m"), &mem),
            area(range(2000, 1000), None, &[range(2000, 256)]),
        ],
        published: vec![boot, range(1000, 2), range(1002, 2), mem[1], dimms[0], dimms[1]],
        prepared: Vec::new(),
    };
    (claims, books)
}

/// The problems after `spoil` has had its way with books that agree.
fn problems(spoil: impl FnOnce(&mut Vec<Claim>, &mut Books)) -> Vec<String> {
    let (mut claims, mut books) = in_order();
    spoil(&mut claims, &mut books);
    let audit = compare(&claims, &books);
    assert_eq!(audit.ok, audit.problems.is_empty());
    audit.problems
}

#[test]
fn books_that_agree_have_no_problems() {
    let (claims, mut books) = in_order();
    books.areas[1].stray_accesses = 3;
    books.areas[2].stray_accesses = 5;
    let audit = compare(&claims, &books);
    assert!(audit.ok, "{:?}", audit.problems);
    let mem = &audit.devices[1];
    assert_eq!((mem.held, mem.slot_count, mem.stray_accesses), (6 * MIB, 3, 3));
    assert_eq!(mem.slots, [range(1000, 4), range(1006, 2)]);
    assert_eq!(mem.mapped, mem.ranges);
    let dimm = &audit.devices[3];
    assert_eq!((&dimm.mapped, dimm.stray_accesses), (&vec![range(2128, 128)], 5));
    assert_eq!(audit.areas[2].mapped, 256 * MIB);
}

#[test]
fn no_devices_and_empty_windows_agree() {
    assert!(compare(&[], &Books::default()).ok);
}

#[test]
fn a_slot_that_is_missing() {
    assert_eq!(
        problems(|_, books| books.slots.retain(|slot| slot.range.start != 1002 * MIB)),
        ["m: 0x3ea00000 (2 MiB) is plugged, but no KVM memory slot covers it"]
    );
}

#[test]
fn a_slot_too_many() {
    assert_eq!(
        problems(|_, books| books.slots.push(slot("m", range(1010, 1)))),
        ["m: KVM memory slots cover 0x3f200000 (1 MiB), which is not plugged"]
    );
}

#[test]
fn a_slot_of_nobody() {
    assert_eq!(
        problems(|_, books| books.slots.push(slot("d7", range(2500, 128)))),
        ["KVM memory slot 0x9c400000 (128 MiB) is for d7, which does not exist"]
    );
}

#[test]
fn slots_that_overlap() {
    assert_eq!(
        problems(|_, books| books.slots.push(slot("m", range(1001, 1)))),
        ["KVM memory slots of m and m overlap: 0x3e800000 (2 MiB), 0x3e900000 (1 MiB)"]
    );
}

#[test]
fn memory_that_is_not_mapped() {
    assert_eq!(
        problems(|_, books| books.areas[1].mapped[0] = range(1000, 3)),
        ["m: 0x3eb00000 (1 MiB) is plugged, but the host has not mapped it"]
    );
    assert_eq!(
        problems(|_, books| books.areas[2].mapped[0] = range(2000, 200)),
        ["d1: 0x89800000 (56 MiB) is plugged, but the host has not mapped it"]
    );
}

#[test]
fn memory_that_is_mapped_but_not_plugged() {
    assert_eq!(
        problems(|_, books| books.areas[1].mapped.push(range(1050, 2))),
        ["m: the host has mapped 0x41a00000 (2 MiB), which is not plugged"]
    );
    assert_eq!(
        problems(|_, books| books.areas[2].mapped.push(range(2500, 1))),
        ["the host has mapped 0x9c400000 (1 MiB), which is not plugged"]
    );
}

#[test]
fn file_pages_where_nothing_is_plugged() {
    assert_eq!(
        problems(|_, books| books.areas[1].allocated = vec![range(1003, 2)]),
        ["the file behind 0x3ec00000 (1 MiB) holds memory, which is not plugged"]
    );
}

#[test]
fn a_map_for_devices_that_is_behind() {
    assert_eq!(
        problems(|_, books| books.published.retain(|range| range.start != 1006 * MIB)),
        ["0x3ee00000 (2 MiB) cannot be reached by devices, which is plugged"]
    );
    assert_eq!(
        problems(|_, books| books.published.push(range(2500, 1))),
        ["0x9c400000 (1 MiB) can be reached by devices, which is not plugged"]
    );
    assert_eq!(problems(|_, books| books.published.push(range(0, 1))).len(), 1);
}

#[test]
fn a_status_that_says_something_else() {
    assert_eq!(
        problems(|claims, _| claims[1].plugged_size = Some(4 * MIB)),
        ["m: its status says 4 MiB, its own books 6 MiB"]
    );
    assert!(problems(|claims, _| claims[2].plugged_size = None).is_empty());
}

#[test]
fn devices_that_claim_the_same() {
    let found = problems(|claims, _| claims[3].holding.ranges[0] = range(2100, 156));
    assert!(
        found.contains(
            &"the blocks of d0 and d1 overlap: 0x7d000000 (128 MiB), 0x83400000 (156 MiB)".to_owned()
        ),
        "{found:?}"
    );
    assert!(
        found.contains(&"d1: 0x83400000 (28 MiB) is plugged, but no KVM memory slot covers it".to_owned()),
        "{found:?}"
    );
}

#[test]
fn memory_that_is_being_populated_is_nobodys_and_no_problem() {
    let map = |books: &mut Books| {
        books.areas[2].mapped = vec![range(2000, 512)];
        books.areas[2].allocated = vec![range(2256, 256)];
    };
    assert_eq!(problems(|_, books| map(books)).len(), 2);
    let prepared = |_: &mut Vec<Claim>, books: &mut Books| {
        map(books);
        books.prepared = vec![range(2256, 256)];
    };
    assert_eq!(problems(prepared), Vec::<String>::new());
}
