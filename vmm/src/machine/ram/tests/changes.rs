//! What changes of guest memory leave behind when nothing goes wrong.

use super::*;

#[test]
fn boot_memory_is_there_and_windows_are_empty() {
    let bench = bench();
    bench.assert_agree(&[], &[]);
    assert_eq!(bench.kvm.ranges(), [GuestRange::new(0, 4 * MIB)]);
    let error = bench.ram.back("m", GuestRange::new(2 * GIB, BLOCK)).unwrap_err().to_string();
    assert_eq!(error, "no window holds 0x80000000, 0x200000 bytes long");
}

#[test]
fn slots_follow_what_is_plugged() {
    let bench = bench();
    let mem = |ranges: &[GuestRange]| {
        bench.assert_agree(ranges, &[]);
        bench.kvm.ranges().split_off(1)
    };
    bench.ram.back("m", blocks(1..3)).unwrap();
    assert_eq!(mem(&[blocks(1..3)]), [blocks(1..3)]);
    bench.ram.back("m", blocks(3..9)).unwrap();
    assert_eq!(mem(&[blocks(1..9)]), [blocks(1..4), blocks(4..8), blocks(8..9)]);
    bench.ram.back("m", blocks(0..1)).unwrap();
    assert_eq!(mem(&[blocks(0..9)]), [blocks(0..4), blocks(4..8), blocks(8..9)]);
    bench.ram.unback("m", blocks(2..6)).unwrap();
    assert_eq!(mem(&[blocks(0..2), blocks(6..9)]), [blocks(0..2), blocks(6..8), blocks(8..9)]);
    bench.ram.unback("m", blocks(6..9)).unwrap();
    bench.ram.unback("m", blocks(0..2)).unwrap();
    assert_eq!(mem(&[]), []);
}

#[test]
fn what_stays_plugged_keeps_its_content_and_what_comes_back_is_zero() {
    for backing in [Backing::Anon, Backing::Memfd] {
        let bench = bench_with(backing, 100);
        let at = |block: u64| GuestAddress(WINDOW + block * BLOCK);
        let read = |block| bench.ram.memory().read_obj::<u64>(at(block)).unwrap();
        bench.ram.back("m", blocks(0..4)).unwrap();
        for block in 0..4 {
            bench.ram.memory().write_obj(block + 1, at(block)).unwrap();
        }
        bench.ram.unback("m", blocks(1..3)).unwrap();
        assert!(bench.ram.memory().read_obj::<u64>(at(1)).is_err());
        bench.ram.back("m", blocks(1..3)).unwrap();
        assert_eq!([0, 1, 2, 3].map(read), [1, 0, 0, 4]);
    }
}

type Step<'a> = &'a dyn Fn() -> Result<(), HostError>;

/// A "vCPU" that is inside the guest whenever nobody holds it.
fn with_a_vcpu(bench: &Bench, test: impl FnOnce(&dyn Fn())) {
    let end = std::sync::atomic::AtomicBool::new(false);
    let inside = &bench.kvm.inside;
    std::thread::scope(|scope| {
        let vcpu = scope.spawn(|| {
            let _seat = bench.hold.seat();
            while !end.load(Ordering::SeqCst) {
                let _pass = bench.hold.enter();
                inside.store(1, Ordering::SeqCst);
                // Until it is kicked; a signal that comes before is noticed after this at the latest.
                let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
                let _ = rustix::event::poll(&mut [], Some(&tick));
                inside.store(0, Ordering::SeqCst);
            }
        });
        test(&|| {
            while inside.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now()
            }
        });
        end.store(true, Ordering::SeqCst);
        vcpu.join().unwrap();
    });
}

#[test]
fn memory_that_stays_is_without_a_slot_only_while_the_guest_is_held() {
    let bench = bench();
    bench.kvm.taken_calls();
    with_a_vcpu(&bench, |wait_until_inside| {
        let steps: [(Step<'_>, usize); 4] = [
            (&|| bench.ram.back("m", blocks(0..3)), 1),
            (&|| bench.ram.back("m", blocks(3..4)), 2),
            (&|| bench.ram.unback("m", blocks(1..2)), 3),
            (&|| bench.ram.unback("m", blocks(2..4)), 1),
        ];
        for (step, calls) in steps {
            wait_until_inside();
            step().unwrap();
            let seen = bench.kvm.taken_calls();
            assert_eq!(seen.len(), calls, "{seen:x?}");
            assert!(calls == 1 || seen.iter().all(|(_, inside)| *inside == 0), "{seen:x?}");
        }
    });
    bench.assert_agree(&[blocks(0..1)], &[]);
}

#[test]
fn a_dimm_has_a_slot_for_each_range_and_the_same_addresses_may_get_another() {
    let bench = bench();
    let ranges = [GuestRange::new(DIMMS, 128 * MIB), GuestRange::new(DIMMS + 128 * MIB, 128 * MIB)];
    for _ in 0..3 {
        for range in ranges {
            bench.ram.back("d0", range).unwrap();
        }
        bench.assert_agree(&[], &ranges);
        assert_eq!(bench.kvm.ranges().len(), 3);
        for range in ranges {
            bench.ram.unback("d0", range).unwrap();
        }
        bench.assert_agree(&[], &[]);
    }
    assert!(lock(&bench.kvm.slots).keys().all(|number| *number < 3), "numbers are used again");
}

#[test]
fn a_fresh_vm_gets_everything_empty() {
    for backing in [Backing::Anon, Backing::Memfd] {
        let bench = bench_with(backing, 100);
        bench.ram.back("m", blocks(0..6)).unwrap();
        bench.ram.unback("m", blocks(1..2)).unwrap();
        let addresses = [0, WINDOW, WINDOW + 5 * BLOCK].map(GuestAddress);
        for address in addresses {
            bench.ram.memory().write_obj(7_u64, address).unwrap();
        }
        lock(&bench.kvm.slots).clear();
        bench.ram.reset().unwrap();
        bench.assert_agree(&[blocks(0..1), blocks(2..6)], &[]);
        for address in addresses {
            assert_eq!(bench.ram.memory().read_obj::<u64>(address).unwrap(), 0);
        }
        bench.ram.unback("m", blocks(2..6)).unwrap();
        bench.assert_agree(&[blocks(0..1)], &[]);
    }
}

#[test]
fn strays_are_counted_for_their_area() {
    let bench = bench();
    for address in [WINDOW, WINDOW + GIB - 1, WINDOW + GIB, DIMMS, u64::MAX] {
        bench.ram.stray(address);
    }
    let audit = bench.audit(&[], &[]);
    let counted: Vec<_> = audit.areas.iter().map(|area| area.stray_accesses).collect();
    assert_eq!(counted, [0, 2, 1]);
    assert_eq!(audit.devices[1].stray_accesses, 2);
}

#[test]
fn what_was_prepared_is_taken_or_given_back() {
    for backing in [Backing::Anon, Backing::Memfd] {
        let bench = bench_with(backing, 100);
        bench.ram.prepare("m", &[blocks(0..2), blocks(4..6)]).unwrap();
        assert_eq!(bench.kvm.ranges().len(), 1, "the guest does not see it");
        assert!(bench.ram.memory().read_obj::<u64>(GuestAddress(WINDOW)).is_err());
        bench.ram.back("m", blocks(0..2)).unwrap();
        bench.ram.forget_prepared();
        bench.assert_agree(&[blocks(0..2)], &[]);
        bench.ram.back("m", blocks(4..6)).unwrap();
        bench.assert_agree(&[blocks(0..2), blocks(4..6)], &[]);
        let error = bench.ram.prepare("m", &[blocks(8..9), GuestRange::new(2 * GIB, BLOCK)]).unwrap_err();
        assert!(error.to_string().starts_with("no window holds"), "{error}");
        bench.ram.forget_prepared();
        bench.assert_agree(&[blocks(0..2), blocks(4..6)], &[]);
    }
}
