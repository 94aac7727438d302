//! Guest memory with real mappings and a recording stand-in for KVM.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use dimmer_devices::fault::{ActionName, Fault};
use dimmer_devices::memory::Holding;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::audit::{Audit, Claim, compare};
use crate::machine::kvm_error::{KvmError, at};
use crate::spec::Backing;
use crate::units::{GIB, MIB};

mod changes;
mod failures;
mod persistent;
mod release;
mod saved;
mod scattered;
mod written;

const WINDOW: u64 = 4 * GIB;
const BLOCK: u64 = 2 * MIB;
const SLOT: u64 = 8 * MIB;
const DIMMS: u64 = 8 * GIB;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Add(u32, GuestRange),
    Watch(u32, bool),
    Delete(u32),
}

/// KVM's side: it refuses what KVM refuses, and what it was told to.
#[derive(Debug, Default)]
struct FakeKvm {
    slots: Mutex<BTreeMap<u32, GuestRange>>,
    /// The logs of the slots that are watched.
    logs: Mutex<BTreeMap<u32, Vec<u64>>>,
    /// Each call with the number of threads inside the guest.
    calls: Mutex<Vec<(Call, usize)>>,
    inside: Arc<AtomicUsize>,
    /// Calls that still succeed; `None` for all.
    fails_after: Mutex<Option<usize>>,
    most: usize,
}

impl FakeKvm {
    fn call(&self, call: Call) -> Result<(), KvmError> {
        lock(&self.calls).push((call, self.inside.load(Ordering::SeqCst)));
        match &mut *lock(&self.fails_after) {
            Some(0) => {}
            left => {
                if let Some(left) = left {
                    *left -= 1;
                }
                return Ok(());
            }
        }
        // The way back succeeds again.
        *lock(&self.fails_after) = None;
        Err(refused(libc::ENOMEM))
    }

    /// A slot is watched from now on, or not.
    fn watch(&self, number: u32, range: GuestRange, watched: bool) {
        let words = usize::try_from(range.size.div_ceil(64 * 4096)).unwrap();
        let mut logs = lock(&self.logs);
        logs.remove(&number);
        if watched {
            logs.insert(number, vec![0; words]);
        }
    }

    /// A write of the guest's, which KVM logs.
    fn guest_writes(&self, address: u64) {
        let slots = lock(&self.slots);
        let inside = |range: &GuestRange| range.start <= address && address < range.end();
        let (number, range) = slots.iter().find(|(_, range)| inside(range)).expect("the guest's memory");
        if let Some(log) = lock(&self.logs).get_mut(number) {
            let page = (address - range.start) / 4096;
            log[usize::try_from(page / 64).unwrap()] |= 1 << (page % 64);
        }
    }

    fn taken_calls(&self) -> Vec<(Call, usize)> {
        std::mem::take(&mut lock(&self.calls))
    }

    fn ranges(&self) -> Vec<GuestRange> {
        let mut ranges: Vec<_> = lock(&self.slots).values().copied().collect();
        ranges.sort();
        ranges
    }
}

fn refused(errno: i32) -> KvmError {
    at("set a memory slot")(kvm_ioctls::Error::new(errno))
}

#[expect(unsafe_code, reason = "the trait's contract is about host memory, which is not used here")]
impl MemorySlots for FakeKvm {
    fn most(&self) -> usize {
        self.most
    }

    unsafe fn add(
        &self,
        number: u32,
        range: GuestRange,
        host: *mut u8,
        writes: Writes,
    ) -> Result<(), KvmError> {
        let watched = writes == Writes::Logged;
        assert!(host.addr().is_multiple_of(4096));
        assert!((number as usize) < self.most, "KVM has no slot {number}");
        let mut slots = lock(&self.slots);
        let same = slots.get(&number) == Some(&range);
        self.call(if same { Call::Watch(number, watched) } else { Call::Add(number, range) })?;
        self.watch(number, range, watched);
        if same {
            return Ok(());
        }
        assert!(!slots.contains_key(&number), "the size of slot {number} cannot change");
        if slots.values().any(|other| other.overlaps(&range)) {
            return Err(refused(libc::EEXIST));
        }
        slots.insert(number, range);
        Ok(())
    }

    fn delete(&self, number: u32) -> Result<(), KvmError> {
        self.call(Call::Delete(number))?;
        assert!(lock(&self.slots).remove(&number).is_some(), "there is no slot {number}");
        lock(&self.logs).remove(&number);
        Ok(())
    }

    fn take_log(&self, number: u32, size: u64) -> Result<Vec<u64>, KvmError> {
        let mut logs = lock(&self.logs);
        let log = logs.get_mut(&number).expect("only slots that are watched have a log");
        assert_eq!(log.len() as u64, size.div_ceil(64 * 4096));
        let fresh = vec![0; log.len()];
        Ok(std::mem::replace(log, fresh))
    }
}

struct Bench {
    ram: Ram,
    kvm: Arc<FakeKvm>,
    hold: Arc<Hold>,
    faults: Arc<Faults>,
}

fn bench() -> Bench {
    bench_with(Backing::Memfd, 100)
}

/// 4 MiB of boot RAM, a window for a virtio-mem device "m", and one for DIMMs.
fn bench_with(backing: Backing, most: usize) -> Bench {
    let kvm = Arc::new(FakeKvm { most, ..FakeKvm::default() });
    let hold = Arc::new(Hold::new().unwrap());
    let faults = Arc::new(Faults::default());
    let area = |start, size, purpose| AreaSpec { range: GuestRange::new(start, size), purpose };
    let parts = Parts {
        kvm: kvm.clone(),
        hold: hold.clone(),
        faults: faults.clone(),
        mapping: MappingSpec { backing, prealloc: false, thp: false, reserve: false },
        bindings: Bindings::default(),
        areas: vec![
            area(0, 4 * MIB, Purpose::Fixed(BOOT)),
            area(WINDOW, GIB, Purpose::VirtioMem { id: "m".into(), slot_size: SLOT }),
            area(DIMMS, GIB, Purpose::Dimms),
        ],
        files: Vec::new(),
    };
    Bench { ram: Ram::new(parts).unwrap(), kvm, hold, faults }
}

/// Blocks of the virtio-mem device.
fn blocks(blocks: std::ops::Range<u64>) -> GuestRange {
    GuestRange::new(WINDOW + blocks.start * BLOCK, (blocks.end - blocks.start) * BLOCK)
}

impl Bench {
    /// The audit, when "m" and a DIMM "d0" say that they have these ranges.
    fn audit(&self, mem: &[GuestRange], dimm: &[GuestRange]) -> Audit {
        let claim = |id: &str, ranges: &[GuestRange]| Claim {
            holding: Holding { id: id.to_owned(), ranges: ranges.to_vec() },
            plugged_size: Some(ranges.iter().map(|range| range.size).sum()),
            reachable: true,
        };
        let boot = GuestRange::new(0, 4 * MIB);
        let claims = [claim(BOOT, &[boot]), claim("m", mem), claim("d0", dimm)];
        compare(&claims, &self.ram.books().unwrap())
    }

    fn assert_agree(&self, mem: &[GuestRange], dimm: &[GuestRange]) {
        let audit = self.audit(mem, dimm);
        assert_eq!(audit.problems, Vec::<String>::new());
        let books = self.ram.books().unwrap();
        let mut told: Vec<_> = books.slots.iter().map(|slot| slot.range).collect();
        told.sort();
        assert_eq!(told, self.kvm.ranges(), "the books say something else than KVM was told");
    }

    fn fault(&self, device: &str, on: Point, action: ActionName) {
        let fault =
            Fault { device: device.to_owned(), on, nth: 1, times: 1, action, milliseconds: None, size: None };
        self.faults.set(vec![fault]).unwrap();
    }
}
