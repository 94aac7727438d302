//! A guest that plugs every other block of a large device: what it can take of the host is bounded.

use super::*;
use crate::machine::ram::kvm::runs_within;

const TIB: u64 = 1 << 40;
/// Fewer than Linux allows a process by default (65,530): other tests of this one have mappings, too.
const MAX_MAP_COUNT: usize = 16_384;

/// KVM's side, as fast as can be.
#[derive(Debug, Default)]
struct Counting(AtomicUsize);

#[expect(unsafe_code, reason = "the trait's contract is about host memory, which is not used here")]
impl MemorySlots for Counting {
    fn most(&self) -> usize {
        runs_within(MAX_MAP_COUNT)
    }

    unsafe fn add(&self, _: u32, _: GuestRange, _: *mut u8, _: Writes) -> Result<(), KvmError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn delete(&self, _: u32) -> Result<(), KvmError> {
        self.0.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    fn take_log(&self, _: u32, _: u64) -> Result<Vec<u64>, KvmError> {
        unreachable!("nothing is watched")
    }
}

/// How many mappings lie in a TiB of address space from `start` on: those of this machine alone.
fn mappings(start: *const u8) -> usize {
    let area = start.addr() as u64..start.addr() as u64 + TIB;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let start_of = |line: &str| u64::from_str_radix(line.split('-').next()?, 16).ok();
    maps.lines().filter_map(start_of).filter(|start| area.contains(start)).count()
}

#[test]
fn a_terabyte_of_every_other_block_leaves_the_host_mappings_to_live_on() {
    let kvm = Arc::new(Counting::default());
    let purpose = Purpose::VirtioMem { id: "m".into(), slot_size: 128 * MIB };
    let ram = Ram::new(Parts {
        kvm: kvm.clone(),
        hold: Arc::new(Hold::new().unwrap()),
        faults: Arc::default(),
        mapping: MappingSpec { backing: Backing::Anon, prealloc: false, thp: false, reserve: false },
        bindings: Bindings::default(),
        areas: vec![AreaSpec { range: GuestRange::new(TIB, TIB), purpose }],
        files: Vec::new(),
    });
    let ram = ram.unwrap();
    let every_other = |index: u64| GuestRange::new(TIB + 2 * index * BLOCK, BLOCK);
    let start = ram.areas[0].mapping.address(0);
    assert_eq!(mappings(start), 1, "address space alone");
    let (refused, error) = (0..TIB / BLOCK / 2)
        .find_map(|index| Some((index, ram.back("m", every_other(index)).err()?)))
        .unwrap();
    assert!(error.to_string().starts_with("no memory slot is left"), "{error}");
    assert_eq!(kvm.0.load(Ordering::SeqCst), usize::try_from(refused).unwrap());
    let taken = mappings(start);
    assert!((14_000..MAX_MAP_COUNT - 1000).contains(&taken), "{taken}");
    // What goes makes room, and a gap that is filled makes more: three runs become one.
    ram.unback("m", every_other(7)).unwrap();
    ram.back("m", every_other(refused)).unwrap();
    ram.back("m", GuestRange::new(every_other(10).end(), BLOCK)).unwrap();
    ram.back("m", every_other(refused + 1)).unwrap();
    ram.back("m", every_other(refused + 2)).unwrap_err();
}
