//! Memory that goes back to the host and stays plugged, whatever ranges are named.

use proptest::prelude::*;

use super::*;

const PAGE: u64 = 4096;

/// Whether every page that is plugged can be written and read.
fn is_whole(bench: &Bench) -> bool {
    let memory = bench.ram.memory();
    bench.ram.published.ranges().into_iter().all(|range| {
        let ends = [range.start, range.end() - PAGE].map(GuestAddress);
        ends.into_iter().all(|at| {
            memory.write_obj(5_u64, at).is_ok() && memory.read_obj::<u64>(at).is_ok_and(|word| word == 5)
        })
    })
}

#[test]
fn what_is_given_back_stays_plugged_and_what_is_not_plugged_is_passed_over() {
    for backing in [Backing::Anon, Backing::Memfd] {
        let bench = bench_with(backing, 100);
        bench.ram.back("m", blocks(1..3)).unwrap();
        bench.ram.back("m", blocks(5..6)).unwrap();
        let memory = bench.ram.memory();
        for at in [0, WINDOW + BLOCK, WINDOW + 5 * BLOCK] {
            memory.write_obj(7_u64, GuestAddress(at)).unwrap();
            memory.write_obj(8_u64, GuestAddress(at + PAGE)).unwrap();
        }
        let ranges = [
            GuestRange::new(0, PAGE),
            GuestRange::new(WINDOW, 5 * BLOCK + PAGE),
            GuestRange::new(DIMMS, GIB),
            GuestRange::new(1 << 50, PAGE),
        ];
        let given = bench.ram.release(&ranges, Afterwards::ZeroesOrSame).unwrap();
        assert_eq!(given, PAGE + 2 * BLOCK + PAGE);
        let word = |at| memory.read_obj::<u64>(GuestAddress(at)).unwrap();
        for at in [0, WINDOW + BLOCK, WINDOW + 5 * BLOCK] {
            assert_eq!(word(at), 0, "{at:#x}");
        }
        assert_eq!((word(PAGE), word(WINDOW + BLOCK + PAGE), word(WINDOW + 5 * BLOCK + PAGE)), (8, 0, 8));
        bench.assert_agree(&[blocks(1..3), blocks(5..6)], &[]);
        drop(memory);
        bench.ram.unback("m", blocks(1..3)).unwrap();
        assert_eq!(bench.ram.release(&[blocks(1..3)], Afterwards::Anything).unwrap(), 0);
        bench.assert_agree(&[blocks(5..6)], &[]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_is_named_the_books_agree(
        anonymous: bool,
        named in prop::collection::vec((0..3_u8, 0..4096_u64, 1..2048_u64, any::<bool>()), 1..20),
    ) {
        let bench = bench_with(if anonymous { Backing::Anon } else { Backing::Memfd }, 100);
        let dimm = GuestRange::new(DIMMS + 128 * MIB, 128 * MIB);
        bench.ram.back("m", blocks(2..7)).unwrap();
        bench.ram.back("d0", dimm).unwrap();
        for (area, page, pages, zeroes) in named {
            let start = [0, WINDOW, dimm.start - 4 * MIB][usize::from(area)] + page * PAGE;
            let afterwards = if zeroes { Afterwards::ZeroesOrSame } else { Afterwards::Anything };
            bench.ram.release(&[GuestRange::new(start, pages * PAGE)], afterwards).unwrap();
        }
        bench.assert_agree(&[blocks(2..7)], &[dimm]);
        prop_assert!(is_whole(&bench));
    }
}
