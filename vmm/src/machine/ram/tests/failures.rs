//! What is left when a step on the host fails, or was only taken for done.

use super::*;

/// Every call of KVM's that an action makes fails once; the action then leaves all as it was.
fn fails_whole(bench: &Bench, before: &[GuestRange], action: &dyn Fn() -> Result<(), HostError>) {
    for after in 0.. {
        *lock(&bench.kvm.fails_after) = Some(after);
        let result = action();
        let failed = lock(&bench.kvm.fails_after).take().is_none();
        assert_eq!(result.is_err(), failed, "{result:?}");
        if !failed {
            assert!(after > 0, "KVM was never asked");
            return;
        }
        bench.assert_agree(before, &[]);
    }
}

#[test]
fn a_change_that_kvm_refuses_leaves_everything_as_it_was() {
    let bench = bench();
    let ram = &bench.ram;
    let mut before = vec![];
    for (part, back, after) in [
        (blocks(0..2), true, vec![blocks(0..2)]),
        (blocks(3..10), true, vec![blocks(0..2), blocks(3..10)]),
        (blocks(2..3), true, vec![blocks(0..10)]),
        (blocks(5..6), false, vec![blocks(0..5), blocks(6..10)]),
        (blocks(2..5), false, vec![blocks(0..2), blocks(6..10)]),
        (blocks(6..10), false, vec![blocks(0..2)]),
    ] {
        fails_whole(&bench, &before, &|| if back { ram.back("m", part) } else { ram.unback("m", part) });
        bench.assert_agree(&after, &[]);
        before = after;
    }
}

#[test]
fn a_step_that_is_asked_to_fail_leaves_everything_as_it_was() {
    let bench = bench();
    bench.ram.back("m", blocks(0..4)).unwrap();
    bench.ram.memory().write_obj(7_u64, GuestAddress(WINDOW)).unwrap();
    for point in [Point::Map, Point::Slot] {
        bench.fault("m", point, ActionName::Fail);
        let error = bench.ram.back("m", blocks(5..6)).unwrap_err().to_string();
        assert_eq!(error, format!("{point:?}: this step was asked to fail"));
        bench.assert_agree(&[blocks(0..4)], &[]);
        bench.ram.back("m", blocks(5..6)).unwrap();
        bench.ram.unback("m", blocks(5..6)).unwrap();
    }
    for point in [Point::Slot, Point::Discard] {
        bench.fault("m", point, ActionName::Fail);
        bench.ram.unback("m", blocks(0..2)).unwrap_err();
        bench.assert_agree(&[blocks(0..4)], &[]);
    }
    assert_eq!(bench.ram.memory().read_obj::<u64>(GuestAddress(WINDOW)).unwrap(), 7);
    bench.ram.unback("m", blocks(0..2)).unwrap();
    bench.assert_agree(&[blocks(2..4)], &[]);
}

#[test]
fn a_step_that_was_left_out_is_found() {
    let found = |point, back, mem: &[GuestRange]| {
        let bench = bench();
        bench.ram.back("m", blocks(0..4)).unwrap();
        bench.fault("m", point, ActionName::Skip);
        let act = if back { Ram::back } else { Ram::unback };
        act(&bench.ram, "m", if back { blocks(8..9) } else { blocks(0..4) }).unwrap();
        bench.audit(mem, &[]).problems
    };
    let plugged = [blocks(0..4), blocks(8..9)];
    assert_eq!(
        found(Point::Map, true, &plugged),
        ["m: 0x101000000 (2 MiB) is plugged, but the host has not mapped it"]
    );
    assert_eq!(
        found(Point::Slot, true, &plugged),
        ["m: 0x101000000 (2 MiB) is plugged, but no KVM memory slot covers it"]
    );
    assert_eq!(
        found(Point::Slot, false, &[]),
        ["m: KVM memory slots cover 0x100000000 (8 MiB), which is not plugged"]
    );
    assert_eq!(
        found(Point::Discard, false, &[]),
        ["m: the host has mapped 0x100000000 (8 MiB), which is not plugged"]
    );
}

#[test]
fn file_pages_that_stay_behind_are_found() {
    let bench = bench();
    let range = GuestRange::new(DIMMS, 128 * MIB);
    bench.ram.back("d0", range).unwrap();
    bench.ram.memory().write_obj(7_u64, GuestAddress(DIMMS)).unwrap();
    bench.fault("d0", Point::Discard, ActionName::Skip);
    bench.ram.unback("d0", range).unwrap();
    assert_eq!(
        bench.audit(&[], &[]).problems,
        [
            "the host has mapped 0x200000000 (128 MiB), which is not plugged",
            "the file behind 0x200000000 (4 KiB) holds memory, which is not plugged",
        ]
    );
}

#[test]
fn a_slot_that_was_left_out_does_not_stop_the_machine() {
    let bench = bench();
    bench.fault("m", Point::Slot, ActionName::Skip);
    bench.ram.back("m", blocks(0..4)).unwrap();
    bench.ram.unback("m", blocks(0..2)).unwrap();
    bench.assert_agree(&[blocks(2..4)], &[]);
    bench.ram.unback("m", blocks(2..4)).unwrap();
    bench.assert_agree(&[], &[]);
}

#[test]
fn kvms_last_slot_is_an_error_that_says_so() {
    let bench = bench_with(Backing::Anon, 3);
    bench.ram.back("m", blocks(0..1)).unwrap();
    bench.ram.back("m", blocks(2..4)).unwrap();
    let error = bench.ram.back("m", blocks(5..6)).unwrap_err().to_string();
    assert_eq!(
        error,
        "no memory slot is left: KVM and the host's vm.max_map_count allow 3, and 3 are in use"
    );
    bench.assert_agree(&[blocks(0..1), blocks(2..4)], &[]);
    // What makes two slots one still can.
    bench.ram.back("m", blocks(1..2)).unwrap();
    bench.assert_agree(&[blocks(0..4)], &[]);
    bench.ram.unback("m", blocks(1..2)).unwrap();
    let error = bench.ram.unback("m", blocks(2..3)).map_err(|error| error.to_string());
    assert_eq!(error, Ok(()), "a shorter slot in place of another needs no more slots");
}

#[test]
fn nothing_is_taken_from_the_wrong_owner() {
    let bench = bench();
    let range = GuestRange::new(DIMMS, 128 * MIB);
    bench.ram.back("d0", range).unwrap();
    bench.ram.back("d1", range).unwrap_err();
    bench.ram.unback("d1", range).unwrap_err();
    bench.assert_agree(&[], &[range]);
}
