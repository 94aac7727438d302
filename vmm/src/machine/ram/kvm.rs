//! KVM memory slots by number: what KVM was told, and changes that happen as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dimmer_devices::memory::{GuestRange, HostError};
use dimmer_devices::written::Written;

use super::area::{Area, Keeping};
use crate::machine::kvm_error::KvmError;

/// What KVM does with what the guest writes to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// Nothing: it is in memory.
    Free,
    /// It notes where that was.
    Logged,
    /// It gives the write to the machine (`KVM_EXIT_MMIO`), and memory stays as it is.
    Refused,
}

/// The present VM's memory slots.
pub trait MemorySlots: Send + Sync + std::fmt::Debug {
    /// Most slots that there can be.
    fn most(&self) -> usize;

    /// Puts the host memory at `host` behind `range`; nothing else is behind it, and no slot has this
    /// number. A slot that is the same may be added again, with writes that are logged from then on, or no longer.
    ///
    /// # Errors
    /// [`KvmError`]; nothing has changed then.
    ///
    /// # Safety
    /// `range.size` bytes of address space from `host` on belong to guest memory until the slot is gone.
    #[expect(unsafe_code, reason = "hands host memory to KVM")]
    unsafe fn add(
        &self,
        number: u32,
        range: GuestRange,
        host: *mut u8,
        writes: Writes,
    ) -> Result<(), KvmError>;

    /// Takes the slot of this number away.
    ///
    /// # Errors
    /// [`KvmError`]; nothing has changed then.
    fn delete(&self, number: u32) -> Result<(), KvmError>;

    /// A bit for each page of the slot of this number, which has `size` bytes and is watched: those that were written since
    /// the last call, or since it is watched.
    ///
    /// # Errors
    /// [`KvmError`]; the next call says it then.
    fn take_log(&self, number: u32, size: u64) -> Result<Vec<u64>, KvmError>;
}

/// Mappings that this process keeps for all else: program, libraries, stacks, heap.
const OTHER_MAPPINGS: usize = 2048;

/// How many mappings the host lets a process have (Linux, Documentation/admin-guide/sysctl/vm.rst, `max_map_count`).
fn max_map_count() -> usize {
    const DEFAULT: usize = 65_530;
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT)
}

/// How many runs of backed memory there may be, each of which is a mapping and has another one, without memory, behind it.
/// A guest that plugs every other block of a large device would otherwise take the last of them, and then nothing in this
/// process that needs one would work.
pub fn most_runs() -> usize {
    runs_within(max_map_count())
}

pub(super) fn runs_within(max_map_count: usize) -> usize {
    max_map_count.saturating_sub(OTHER_MAPPINGS) / 2
}

/// A slot as KVM was told of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// What it covers.
    pub range: GuestRange,
    /// Where its memory is on the host.
    pub host: *mut u8,
    /// For whom it is.
    pub owner: Arc<str>,
    /// Where it is marked what was written there.
    pub written: Written,
    /// What becomes of that.
    pub keeping: Keeping,
}

impl Told {
    /// A slot for `range` of an area.
    pub fn new(area: &Area, owner: &Arc<str>, range: GuestRange) -> Self {
        let written = area.written(range.start);
        let keeping = area.purpose.keeping();
        Self { range, host: area.host(range.start), owner: owner.clone(), written, keeping }
    }

    /// What KVM does with writes there, where it is to log them, or not. What snapshots do not have is never logged.
    const fn writes(&self, watched: bool) -> Writes {
        match self.keeping {
            Keeping::ReadOnly => Writes::Refused,
            Keeping::Ram if watched => Writes::Logged,
            Keeping::Ram | Keeping::Persistent => Writes::Free,
        }
    }
}

// SAFETY: the pointer is only an address, which nobody here reads or writes through.
#[expect(unsafe_code, reason = "an address goes to KVM from any thread")]
unsafe impl Send for Told {}

/// The VM's slots by number.
#[derive(Debug)]
pub struct Ledger {
    kvm: Arc<dyn MemorySlots>,
    told: BTreeMap<u32, Told>,
    /// Numbers below `next` that no slot has.
    free: BTreeSet<u32>,
    next: u32,
    /// Whether KVM logs what is written.
    watched: bool,
}

impl Ledger {
    /// No slot yet.
    pub fn new(kvm: Arc<dyn MemorySlots>) -> Self {
        Self { kvm, told: BTreeMap::new(), free: BTreeSet::new(), next: 0, watched: false }
    }

    /// What KVM was told of, by number.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        self.told.values()
    }

    /// Whether there can be `more` slots once `fewer` are gone.
    ///
    /// # Errors
    /// [`HostError`] says how many slots there can be.
    pub fn check_room(&self, fewer: usize, more: usize) -> Result<(), HostError> {
        let taken = self.next as usize - self.free.len();
        let most = self.kvm.most();
        if taken + more > most + fewer {
            return Err(HostError(format!(
                "no memory slot is left: KVM and the host's vm.max_map_count allow {most}, and {taken} are in use"
            )));
        }
        Ok(())
    }

    /// Takes the slots `old` away and adds `new`; returns the numbers of the new ones. There is room
    /// (see [`check_room`](Self::check_room)).
    ///
    /// # Errors
    /// [`HostError`] when KVM refuses; all slots are as before then.
    pub fn swap(&mut self, old: &[u32], new: Vec<Told>) -> Result<Vec<u32>, HostError> {
        let (mut gone, mut numbers) = (Vec::new(), Vec::new());
        let result = self.try_swap(old, new, &mut gone, &mut numbers);
        if let Err(error) = result {
            self.undo(gone, &numbers);
            return Err(HostError(error.to_string()));
        }
        Ok(numbers)
    }

    /// Like [`swap`](Self::swap), but KVM is told nothing: an error planted in the books.
    pub fn pretend(&mut self, new: &[Told]) -> Vec<u32> {
        new.iter().map(|_| self.free_number()).collect()
    }

    /// KVM logs what is written from now on, or no longer.
    ///
    /// # Errors
    /// [`HostError`] when KVM refuses; all is as before then.
    pub fn watch(&mut self, watched: bool) -> Result<(), HostError> {
        let before = std::mem::replace(&mut self.watched, watched);
        if before == watched {
            return Ok(());
        }
        let is_ram = |(_, told): &(&u32, &Told)| told.keeping == Keeping::Ram;
        let ram = self.told.iter().filter(is_ram);
        let told: Vec<_> = ram.map(|(number, told)| (*number, told.clone())).collect();
        let changed = told.iter().try_for_each(|(number, told)| self.set(*number, told));
        changed.map_err(|error| {
            self.watched = before;
            if let Some(error) = told.iter().find_map(|(number, told)| self.set(*number, told).err()) {
                tracing::error!("cannot watch memory slots as before: {error}");
            }
            HostError(error.to_string())
        })
    }

    /// Marks what KVM has logged since the last time.
    ///
    /// # Errors
    /// [`HostError`] when KVM refuses; what it did not say yet it says the next time.
    pub fn collect(&self) -> Result<(), HostError> {
        let collected = self.told.iter().try_for_each(|(number, told)| self.mark(*number, told));
        collected.map_err(|error| HostError(error.to_string()))
    }

    fn mark(&self, number: u32, told: &Told) -> Result<(), KvmError> {
        if told.writes(self.watched) == Writes::Logged {
            told.written.mark_log(&self.kvm.take_log(number, told.range.size)?);
        }
        Ok(())
    }

    /// A fresh VM has no slots; returns the numbers of `new`, which it gets.
    ///
    /// # Errors
    /// [`HostError`] when KVM refuses; the VM has no slots then.
    pub fn renew(&mut self, new: Vec<Told>) -> Result<Vec<u32>, HostError> {
        *self = Self { watched: self.watched, ..Self::new(self.kvm.clone()) };
        self.swap(&[], new)
    }

    fn try_swap(
        &mut self,
        old: &[u32],
        new: Vec<Told>,
        gone: &mut Vec<(u32, Told)>,
        numbers: &mut Vec<u32>,
    ) -> Result<(), KvmError> {
        for number in old {
            gone.extend(self.delete(*number)?.map(|told| (*number, told)));
        }
        for told in new {
            let number = self.free_number();
            self.add(number, told)?;
            numbers.push(number);
        }
        Ok(())
    }

    /// Takes the slots `numbers` away and adds those that are `gone` again.
    fn undo(&mut self, gone: Vec<(u32, Told)>, numbers: &[u32]) {
        let lost =
            |what: &str, error: KvmError| tracing::error!("{what} a memory slot on the way back: {error}");
        for number in numbers {
            if let Err(error) = self.delete(*number) {
                lost("cannot delete", error);
            }
        }
        for (number, told) in gone {
            self.free.remove(&number);
            if let Err(error) = self.add(number, told) {
                lost("cannot restore", error);
            }
        }
    }

    #[expect(unsafe_code, reason = "hands host memory to KVM")]
    fn set(&self, number: u32, told: &Told) -> Result<(), KvmError> {
        // SAFETY: addresses come from the areas of `Ram`, which lie within reservations that live as
        // long as it does; the machine drops it after the VM.
        unsafe { self.kvm.add(number, told.range, told.host, told.writes(self.watched)) }
    }

    fn add(&mut self, number: u32, told: Told) -> Result<(), KvmError> {
        let added = self.set(number, &told);
        match added {
            Ok(()) => drop(self.told.insert(number, told)),
            Err(_) => drop(self.free.insert(number)),
        }
        added
    }

    /// What KVM was told of the slot, unless that was pretended only. Its log goes with it, and is read before.
    fn delete(&mut self, number: u32) -> Result<Option<Told>, KvmError> {
        if let Some(told) = self.told.get(&number) {
            self.mark(number, told)?;
            self.kvm.delete(number)?;
        }
        self.free.insert(number);
        Ok(self.told.remove(&number))
    }

    fn free_number(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }
}
