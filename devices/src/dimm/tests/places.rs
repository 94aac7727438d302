//! Slots, addresses and ranges.

use super::*;

#[test]
fn slots_and_addresses_are_taken_from_the_lowest_and_used_again() {
    let mut machine = Machine::new(3);
    for (index, id) in ["a", "b", "c"].into_iter().enumerate() {
        assert_eq!(machine.plug(id, GIB), u32::try_from(index).unwrap());
    }
    assert!(matches!(machine.add("d", GIB), Err(DimmError::NoFreeSlot(3))));
    machine.slots.remove("b").unwrap();
    machine.fetch();
    machine.eject(1);
    machine.ost(1, 3, 0);
    let status = machine.add("d", GIB).unwrap();
    assert_eq!((status.slot, status.ranges), (Some(1), vec![GuestRange::new(START + GIB, GIB)]));
    assert_eq!(machine.ids(), ["a", "d", "c"]);
}

#[test]
fn all_1024_slots_are_used_and_used_again() {
    let add = |machine: &mut Machine, id: &str| machine.add(id, 128 * MIB).map(|status| status.slot.unwrap());
    let mut machine = Machine::with_window(MAX_SLOTS, 256 * GIB);
    for slot in 0..MAX_SLOTS {
        assert_eq!(add(&mut machine, &format!("d{slot}")).unwrap(), slot);
    }
    assert_eq!(machine.fetch().len(), 1024);
    assert!(matches!(add(&mut machine, "more"), Err(DimmError::NoFreeSlot(1024))));
    for slot in [1023, 300, 7] {
        machine.eject(slot);
        machine.ost(slot, 3, 0);
    }
    for (id, slot) in [("again", 7), ("and again", 300), ("last", 1023)] {
        assert_eq!(add(&mut machine, id).unwrap(), slot);
    }
    machine.assert_books();
}

#[test]
fn a_device_of_several_ranges_is_described_backed_and_ejected_as_one() {
    for (descending, starts) in [(false, [0, 512, 1024]), (true, [1280, 640, 0])] {
        let mut machine = Machine::new(2);
        let ranges = [(256, 256), (384, 128), (512, 0)];
        let ranges = ranges.map(|(size, gap)| DimmRange { size: size * MIB, gap: gap * MIB }).to_vec();
        let wanted = Dimm { ranges, descending, ..dimm("d0", 0) };
        let status = machine.slots.add(wanted, Notify::DeviceCheck).unwrap();
        assert_eq!((status.requested_size, status.block_size), (1152 * MIB, 1152 * MIB));
        let expected: Vec<_> = starts
            .iter()
            .zip([256, 384, 512])
            .map(|(start, size)| (START + start * MIB, size * MIB))
            .collect();
        assert_eq!(machine.crs(0), expected);
        assert!(status.ranges.iter().map(|range| (range.start, range.size)).eq(expected));
        machine.assert_books();
        // The gaps are the device's own: its 1536 MiB end in the second gibibyte.
        assert_eq!(machine.add("next", 128 * MIB).unwrap().ranges[0].start, START + 1536 * MIB);
        machine.ost(0, 1, 0);
        machine.eject(0);
        assert_eq!((machine.ids(), machine.crs(0)), (vec!["next".to_owned()], vec![]));
        machine.assert_books();
    }
}

#[test]
fn a_place_that_was_found_stays_although_a_lower_one_becomes_free() {
    for (descending, gap) in [(false, 0), (false, 128), (true, 0), (true, 128)] {
        let mut machine = Machine::new(3);
        machine.plug("low", 4 * GIB);
        machine.plug("high", GIB);
        let ranges = [(256, 256), (512, gap)];
        let ranges = ranges.map(|(size, gap)| DimmRange { size: size * MIB, gap: gap * MIB }).to_vec();
        let wanted = Dimm { ranges, descending, ..dimm("d0", 0) };
        let (placed, ranges) = machine.slots.placed(wanted.clone()).unwrap();
        machine.begin_eject("low");
        machine.eject(0);
        machine.ost(0, 3, 0);
        let lowest = machine.slots.placed(wanted).unwrap().1.into_iter().min().unwrap();
        assert!(lowest.start < START + GIB, "{lowest:?}");
        assert_eq!(machine.slots.add(placed, Notify::DeviceCheck).unwrap().ranges, ranges);
        assert_eq!(ranges.iter().min().unwrap().start, START + 5 * GIB + u64::from(descending) * gap * MIB);
        machine.assert_books();
    }
}

#[test]
fn neighbouring_ranges_are_one_in_the_books_and_two_in_crs() {
    for descending in [false, true] {
        let mut machine = Machine::new(1);
        let ranges = vec![DimmRange { size: GIB, gap: 0 }, DimmRange { size: 3 * GIB, gap: 0 }];
        machine.slots.add(Dimm { ranges, descending, ..dimm("d0", 0) }, Notify::DeviceCheck).unwrap();
        assert_eq!(machine.crs(0).len(), 2);
        assert_eq!(machine.slots.holdings()[0].ranges, [GuestRange::new(START, 4 * GIB)]);
        machine.assert_books();
    }
}

#[test]
fn an_unaligned_device_starts_where_an_aligned_one_would() {
    let mut machine = Machine::new(3);
    machine.add("d0", 128 * MIB).unwrap();
    let odd = Dimm { unaligned: true, ..dimm("odd", 192 * MIB) };
    let status = machine.slots.add(odd, Notify::DeviceCheck).unwrap();
    assert_eq!(status.ranges, [GuestRange::new(START + 128 * MIB, 192 * MIB)]);
    assert_eq!(machine.add("d2", 128 * MIB).unwrap().ranges[0].start, START + 384 * MIB);
}

#[test]
fn a_device_lies_where_it_is_told_to_or_is_refused() {
    let mut machine = Machine::with_window(4, 8 * GIB);
    let mut at = |id: &str, start: Option<u64>, align| {
        let placement = Placement { start: start.map(|gib| START + gib * GIB), align };
        let device = machine.slots.add(Dimm { placement, ..dimm(id, GIB) }, Notify::DeviceCheck);
        device.map(|device| (device.ranges[0].start - START) / GIB).map_err(|error| error.to_string())
    };
    assert_eq!(at("d0", Some(3), None), Ok(3));
    assert_eq!(at("d1", None, None), Ok(0));
    assert_eq!(at("d2", None, Some(4 * GIB)), Ok(2), "the window begins at 6 GiB");
    let free = "is not all free in the window for memory devices, which is 0x180000000 to 0x380000000";
    assert_eq!(at("d3", Some(3), None), Err(format!("start: 0x240000000 to 0x280000000 {free}")));
    assert_eq!(at("d3", Some(8), None), Err(format!("start: 0x380000000 to 0x3c0000000 {free}")));
    assert!(at("d3", Some((u64::MAX - START) / GIB), None).is_err(), "nothing overflows");
    assert_eq!(at("d3", Some(4), None), Ok(4));
    machine.assert_books();
}

#[test]
fn bad_requests_name_what_is_wrong_and_change_nothing() {
    let mut machine = Machine::new(4);
    machine.plug("d0", 32 * GIB);
    machine.host.calls();
    for (id, size, expected) in [
        ("d1", 0, "size: 0 bytes is not a multiple of 128 MiB greater than 0"),
        ("d1", 192 << 20, "size: 192 MiB is not a multiple"),
        ("d1", 65 * GIB, "size: 65 GiB is more than the window for memory devices has (64 GiB)"),
        ("d1", !(GRANULE - 1), "is more than the window"),
        ("d1", 33 * GIB, "size: no 33 GiB in a row are free"),
        ("d0", GIB, r#"id: "d0" is the name of another memory device"#),
    ] {
        let error = machine.add(id, size).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let error = machine.slots.add_at_boot(dimm(id, size)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let ranges = vec![DimmRange { size: GIB, gap: 31 * GIB }, DimmRange { size: GIB, gap: 0 }];
    let error = machine.slots.add(Dimm { ranges, ..dimm("d1", 0) }, Notify::DeviceCheck).unwrap_err();
    assert!(error.to_string().starts_with("ranges: no 33 GiB in a row are free"), "{error}");
    let error = machine.slots.remove("d9").unwrap_err().to_string();
    assert_eq!(error, r#"id: there is no DIMM "d9""#);
    assert_eq!((machine.host.calls(), machine.events.taken(), machine.fetch()), (vec![], vec![], vec![]));
    assert_eq!(machine.slots.statuses().len(), 1);
}

#[test]
fn the_number_of_slots_has_bounds() {
    for slots in [0, MAX_SLOTS + 1] {
        let machine = Machine::new(1);
        let config =
            DimmSlotsConfig { window: GuestRange::new(START, GIB), alignment: Alignment::Gibibyte, slots };
        let error = DimmSlots::new(config, machine.ged, machine.slots.outside).unwrap_err();
        assert_eq!(error.to_string(), format!("slots: {slots} is not between 1 and 1024"));
    }
    let mut machine = Machine::new(MAX_SLOTS);
    assert_eq!(machine.sta(1023), 0);
}

#[test]
fn a_state_that_no_such_slots_can_be_in_is_refused_and_changes_nothing() {
    let mut machine = Machine::new(3);
    machine.plug("d0", GIB);
    machine.add("d1", 2 * GIB).unwrap();
    let right = machine.slots.state();
    let wrong = |change: fn(&mut DimmSlotsState)| {
        let mut state = right.clone();
        change(&mut state);
        state
    };
    fn second(state: &mut DimmSlotsState) -> &mut OccupantState {
        state.slots[1].occupant.as_mut().unwrap()
    }
    for (state, what) in [
        (wrong(|state| drop(state.slots.pop())), "there are 3 DIMM slots, and not 2"),
        (wrong(|state| state.notifications.push((3, 1))), "a DIMM slot is named that is not there"),
        (wrong(|state| state.ejecting = Some(3)), "a DIMM slot is named that is not there"),
        (wrong(|state| assert!(state.bus_checks.ask([2]))), "a DIMM slot is named that is not there"),
        (wrong(|state| second(state).start = START), "its place is not free"),
        (wrong(|state| second(state).start = u64::MAX - GIB), "its place is not free"),
        (wrong(|state| second(state).start = 0), "its place is not free"),
        (wrong(|state| second(state).dimm.id = "d0".to_owned()), "another one has its name"),
        (wrong(|state| second(state).dimm.ranges[0].size = 1), "is not a multiple of 128 MiB"),
        (wrong(|state| second(state).dimm.ranges.clear()), "there are 0"),
        (wrong(|state| second(state).backed = 2), "it has not that many ranges"),
    ] {
        let error = machine.slots.restore(&state).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        assert_eq!(machine.slots.state(), right);
        machine.assert_books();
    }
}
