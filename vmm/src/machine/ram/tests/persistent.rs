//! Memory that is in a file of its own.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use dimmer_devices::memory::Afterwards;
use vm_memory::GuestMemoryBackend;

use super::*;

const PMEM: GuestRange = GuestRange::new(16 * GIB, 4 * MIB);
const READONLY: GuestRange = GuestRange::new(17 * GIB, 4 * MIB);

/// KVM's side, which keeps what it was told of writes.
#[derive(Debug, Default)]
struct Kinds(Mutex<BTreeMap<u64, Vec<Writes>>>);

#[expect(unsafe_code, reason = "the trait's contract is about host memory, which is not used here")]
impl MemorySlots for Kinds {
    fn most(&self) -> usize {
        100
    }

    unsafe fn add(&self, _: u32, range: GuestRange, _: *mut u8, writes: Writes) -> Result<(), KvmError> {
        lock(&self.0).entry(range.start).or_default().push(writes);
        Ok(())
    }

    fn delete(&self, number: u32) -> Result<(), KvmError> {
        unreachable!("slot {number} stays")
    }

    fn take_log(&self, _: u32, size: u64) -> Result<Vec<u64>, KvmError> {
        assert_eq!(size, 4 * MIB, "boot RAM's");
        Ok(vec![0; usize::try_from(size / 4096 / 64).unwrap()])
    }
}

fn file(byte: u8) -> Arc<File> {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&vec![byte; usize::try_from(PMEM.size).unwrap()], 0).unwrap();
    Arc::new(file)
}

fn ram(kvm: &Arc<Kinds>, files: &[Arc<File>; 2]) -> Ram {
    let pmem = |id: &str, readonly| Purpose::Pmem { id: id.to_owned(), readonly };
    let area = |range, purpose| AreaSpec { range, purpose };
    Ram::new(Parts {
        kvm: kvm.clone(),
        hold: Arc::new(Hold::new().unwrap()),
        faults: Arc::default(),
        mapping: MappingSpec { backing: Backing::Memfd, prealloc: true, thp: false, reserve: true },
        bindings: Bindings::default(),
        areas: vec![
            area(GuestRange::new(0, 4 * MIB), Purpose::Fixed(BOOT)),
            area(PMEM, pmem("p", false)),
            area(READONLY, pmem("r", true)),
        ],
        files: files.to_vec(),
    })
    .unwrap()
}

fn first_byte(mut file: &File) -> u8 {
    let mut byte = [0];
    std::io::Seek::rewind(&mut file).unwrap();
    file.read_exact(&mut byte).unwrap();
    byte[0]
}

#[test]
fn what_is_written_is_in_the_file_and_stays_there() {
    let (kvm, files) = (Arc::<Kinds>::default(), [file(7), file(8)]);
    let ram = ram(&kvm, &files);
    ram.memory().write_obj(9_u8, GuestAddress(PMEM.start)).unwrap();
    assert_eq!(first_byte(&files[0]), 9);
    ram.reset().unwrap();
    let given = ram.release(&[PMEM, READONLY], Afterwards::Anything).unwrap();
    assert_eq!((given, first_byte(&files[0]), first_byte(&files[1])), (0, 9, 8));
    assert_eq!(ram.memory().read_obj::<u8>(GuestAddress(PMEM.start)).unwrap(), 9);
    drop(ram);
    assert_eq!(first_byte(&files[0]), 9);
}

#[test]
fn what_can_only_be_read_is_out_of_reach_of_devices() {
    let (kvm, files) = (Arc::<Kinds>::default(), [file(7), file(8)]);
    let ram = ram(&kvm, &files);
    assert!(ram.memory().address_in_range(GuestAddress(PMEM.start)));
    assert!(!ram.memory().address_in_range(GuestAddress(READONLY.start)));
    ram.stray(READONLY.start + 8);
    assert_eq!((ram.strays(PMEM.start), ram.strays(READONLY.start)), (0, 1));
    let claim = |id: &str, range: GuestRange, reachable| Claim {
        holding: Holding { id: id.to_owned(), ranges: vec![range] },
        plugged_size: Some(range.size),
        reachable,
    };
    let boot = GuestRange::new(0, 4 * MIB);
    let audit = |readonly: bool| {
        let claims = [claim(BOOT, boot, true), claim("p", PMEM, true), claim("r", READONLY, !readonly)];
        compare(&claims, &ram.books().unwrap())
    };
    assert_eq!(audit(true).problems, Vec::<String>::new());
    assert_eq!(audit(true).areas[2].kind, crate::audit::AreaKind::Pmem);
    assert!(audit(false).problems[0].contains("cannot be reached by devices"));
}

#[test]
fn snapshots_have_nothing_of_it_and_no_log_is_kept() {
    let (kvm, files) = (Arc::<Kinds>::default(), [file(7), file(8)]);
    let ram = ram(&kvm, &files);
    let pieces = ram.state().pieces;
    assert_eq!(pieces.iter().map(|piece| piece.owner.as_str()).collect::<Vec<_>>(), [BOOT]);
    ram.watch().unwrap();
    ram.memory().write_obj(9_u8, GuestAddress(PMEM.start)).unwrap();
    assert_eq!(ram.written(&pieces).unwrap(), []);
    ram.unwatch();
    let expected = [
        (0, vec![Writes::Free, Writes::Logged, Writes::Free]),
        (PMEM.start, vec![Writes::Free]),
        (READONLY.start, vec![Writes::Refused]),
    ];
    assert_eq!(*lock(&kvm.0), expected.into());
}
