//! Guest memory: host mappings, KVM slots, and the map that devices read. Only this module and
//! `mapping` map, unmap or register guest memory.
//!
//! Every area of guest-physical address space that can hold memory (boot RAM, each window) has
//! address space on the host for the machine's whole life, in which nothing can be reached. What is
//! *backed* has memory there, and is covered by KVM slots and by the regions of the published map,
//! one region for each slot. To back: memory, then slots, then the map. To take away: slots, then the
//! map, then, when no device looks at the old map any more, the memory.
//!
//! A change of slots that leaves memory without a slot for a moment happens while no vCPU is in the
//! guest. The lock of this module is taken before the guest is held, so that whoever holds the guest
//! must not ask for guest memory.

use std::fs::File;
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;
use dimmer_devices::fault::{Action, Faults, Point};
use dimmer_devices::memory::{Afterwards, GuestRange, HostError, HostMemory};
use dimmer_devices::memory_map::{MemoryMap, Region};
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic};

use super::hold::Hold;
use super::mapping::{Mapping, MappingError, MappingSpec, Store, StoreError, Stores};
use crate::chain::chain;
use area::{Area, Keeping};
pub use area::{AreaSpec, BOOT, FIRMWARE, Purpose};
pub use bindings::Bindings;
use kvm::{Ledger, Told};
pub use kvm::{MemorySlots, Writes, most_runs};
pub use loaded::{Contents, LoadError};
use prepared::Prepared;
use published::{Published, region};
use slots::{Plan, Slot, Slots};

mod area;
mod bindings;
mod books;
mod kvm;
mod loaded;
mod prepared;
mod published;
mod release;
mod saved;
mod slots;
#[cfg(test)]
mod tests;
mod written;

/// What guest memory is made of.
#[derive(Debug)]
pub struct Parts {
    /// The VM's memory slots.
    pub kvm: Arc<dyn MemorySlots>,
    /// What holds the guest.
    pub hold: Arc<Hold>,
    /// What is to go wrong.
    pub faults: Arc<Faults>,
    /// How memory is mapped.
    pub mapping: MappingSpec,
    /// Which nodes of the host it is bound to.
    pub bindings: Bindings,
    /// Where it can be.
    pub areas: Vec<AreaSpec>,
    /// The files of persistent memory, in the order of its areas.
    pub files: Vec<Arc<File>>,
}

/// Guest RAM and everything that can become guest RAM.
#[derive(Debug)]
pub struct Ram {
    areas: Vec<Area>,
    hold: Arc<Hold>,
    faults: Arc<Faults>,
    bindings: Bindings,
    state: Mutex<State>,
    prepared: Prepared,
    published: Published,
}

#[derive(Debug)]
struct State {
    slots: Slots<Live>,
    kvm: Ledger,
}

/// What goes with a KVM slot.
#[derive(Debug)]
struct Live {
    number: u32,
    /// None where devices do not reach it.
    region: Option<Arc<Region>>,
}

/// Guest memory could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// The host has no address space, or no memory, to give.
    #[error("guest memory at {start:#x}: {error}")]
    Mapping {
        /// First guest-physical address.
        start: u64,
        /// What the host said.
        #[source]
        error: MappingError,
    },
    /// There is no file for it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Boot RAM could not be backed.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Ram {
    /// Reserves address space for all areas, and backs those that are fixed.
    ///
    /// # Errors
    /// [`RamError`] when the host or KVM refuses.
    pub fn new(parts: Parts) -> Result<Self, RamError> {
        let Parts { kvm, hold, faults, mapping, bindings, areas, files } = parts;
        let (mut stores, mut files) = (Stores::open(&mapping.backing)?, files.into_iter());
        let area = |spec: AreaSpec| {
            let GuestRange { start, size } = spec.range;
            let mapping = match spec.purpose {
                Purpose::Pmem { readonly, .. } => {
                    let file = files.next().expect("there is a file for each");
                    Mapping::new(size, Store::Persistent { file, readonly }, &MappingSpec::PERSISTENT)
                }
                _ => Mapping::new(size, stores.next(size)?, &mapping),
            };
            Ok(Area::new(spec, mapping.map_err(|error| RamError::Mapping { start, error })?))
        };
        let areas = areas.into_iter().map(area).collect::<Result<Vec<_>, RamError>>()?;
        let state = State { slots: Slots::default(), kvm: Ledger::new(kvm) };
        let (state, published) = (Mutex::new(state), Published::new());
        let prepared = Prepared::default();
        let ram = Self { areas, hold, faults, bindings, state, prepared, published };
        for area in &ram.areas {
            if let Some(owner) = area.purpose.owner() {
                ram.back(owner, area.range)?;
            }
        }
        Ok(ram)
    }

    /// The map that devices read; it follows every change.
    pub fn published(&self) -> &GuestMemoryAtomic<MemoryMap> {
        self.published.map()
    }

    /// The map as it is now. Nothing that it shows can be taken away while it is there.
    pub fn memory(&self) -> MemoryMap {
        MemoryMap::clone(&self.published.map().memory())
    }

    /// What this owner gets from now on belongs to this guest node; only owners that have no area of
    /// their own need that.
    pub fn set_node(&self, owner: &str, node: u32) {
        self.bindings.set(owner, node);
    }

    /// Counts an access of the guest to an address that nobody claims.
    pub fn stray(&self, address: u64) {
        if let Some(area) = self.areas.iter().find(|area| area.holds(address)) {
            area.stray();
        }
    }

    /// Accesses that were counted so in the area that begins at `start`: in memory that can only be read, writes.
    pub fn strays(&self, start: u64) -> u64 {
        self.areas.iter().find(|area| area.range.start == start).map_or(0, Area::strays)
    }

    /// Gives a fresh VM everything that is backed, emptied of what the guest had in it but for what persists. No vCPU and no
    /// device uses it.
    ///
    /// # Errors
    /// [`RamError`] when the host or KVM refuses.
    pub fn reset(&self) -> Result<(), RamError> {
        let mut state = lock(&self.state);
        let mut told = Vec::new();
        for slot in state.slots.iter() {
            let area = self.area(slot.range)?;
            let failed = |error| RamError::Mapping { start: slot.range.start, error };
            if area.purpose.keeping() == Keeping::Ram {
                area.mapping.conceal(&area.part(slot.range)).map_err(failed)?;
                self.reveal(area, &slot.owner, slot.range).map_err(failed)?;
                area.pages.mark(&area.part(slot.range));
            }
            told.push(Told::new(area, &slot.owner, slot.range));
        }
        let numbers = state.kvm.renew(told)?;
        for (slot, number) in state.slots.iter_mut().zip(numbers) {
            slot.data.number = number;
        }
        Ok(())
    }

    fn area(&self, range: GuestRange) -> Result<&Area, HostError> {
        let found = self.areas.iter().find(|area| area.range.contains(&range));
        found.ok_or_else(|| {
            HostError(format!("no window holds {:#x}, {:#x} bytes long", range.start, range.size))
        })
    }

    fn reveal(&self, area: &Area, owner: &str, range: GuestRange) -> Result<(), MappingError> {
        area.mapping.reveal(&area.part(range), &area.bound(self.bindings.of(owner, range)))
    }

    /// Whether a step is to be carried out, or only to be taken for done.
    fn is_real(&self, owner: &str, step: Point) -> Result<bool, HostError> {
        match self.faults.hit(owner, step) {
            Some(Action::Fail) => Err(HostError(format!("{step:?}: this step was asked to fail"))),
            Some(Action::Skip) => Ok(false),
            _ => Ok(true),
        }
    }

    /// Changes slots and map; returns the slots that are gone. Memory is behind all the new ones.
    fn change(
        &self,
        state: &mut State,
        area: &Area,
        plan: &Plan,
        real: bool,
    ) -> Result<Vec<Slot<Live>>, HostError> {
        let told: Vec<_> = plan.new.iter().map(|range| Told::new(area, &plan.owner, *range)).collect();
        let regions = told.iter().map(new_region).collect::<Result<Vec<_>, _>>()?;
        let numbers = if real {
            let old: Vec<_> = state.slots.named(&plan.old).map(|slot| slot.data.number).collect();
            let _still = plan.interrupts().then(|| self.hold.still());
            state.kvm.swap(&old, told)?
        } else {
            state.kvm.pretend(&told)
        };
        self.published.change(&plan.old, regions.iter().flatten().cloned());
        let live = numbers.into_iter().zip(regions).map(|(number, region)| Live { number, region });
        let gone = state.slots.replace(plan, live.collect());
        Ok(gone)
    }

    /// Gives back the memory of `range`, which `gone` covered, when no device looks at it any more.
    fn discard(
        &self,
        owner: &str,
        area: &Area,
        range: GuestRange,
        gone: Vec<Slot<Live>>,
    ) -> Result<(), HostError> {
        let mut regions: Vec<_> = gone.into_iter().filter_map(|slot| slot.data.region).collect();
        self.published.wait_for_views(&mut regions)?;
        if self.is_real(owner, Point::Discard)? {
            area.mapping.conceal(&area.part(range)).map_err(|error| host_error(&error))?;
        }
        Ok(())
    }
}

impl HostMemory for Ram {
    fn back(&self, owner: &str, range: GuestRange) -> Result<(), HostError> {
        let mut state = lock(&self.state);
        let area = self.area(range)?;
        let plan = state.slots.to_back(owner, range, area.grain()).map_err(|error| host_error(&error))?;
        state.kvm.check_room(plan.old.len(), plan.new.len())?;
        if self.is_real(owner, Point::Map)? && !self.prepared.take(range) {
            self.reveal(area, owner, range).map_err(|error| host_error(&error))?;
        }
        let real = self.is_real(owner, Point::Slot);
        let changed = real.and_then(|real| self.change(&mut state, area, &plan, real));
        area.pages.mark(&area.part(range));
        changed.map(drop).inspect_err(|_| {
            if let Err(error) = area.mapping.conceal(&area.part(range)) {
                tracing::error!("memory that {owner} did not get stays in use: {error}");
            }
        })
    }

    fn unback(&self, owner: &str, range: GuestRange) -> Result<(), HostError> {
        let mut state = lock(&self.state);
        let area = self.area(range)?;
        let plan = state.slots.to_unback(owner, range).map_err(|error| host_error(&error))?;
        state.kvm.check_room(plan.old.len(), plan.new.len())?;
        let real = self.is_real(owner, Point::Slot)?;
        let gone = self.change(&mut state, area, &plan, real)?;
        let back = plan.back(&gone);
        self.discard(owner, area, range, gone).inspect_err(|_| {
            area.pages.mark(&area.part(range));
            if let Err(error) = self.change(&mut state, area, &back, real) {
                tracing::error!("{owner} has lost memory that could not be given back: {error}");
            }
        })
    }

    fn release(&self, ranges: &[GuestRange], afterwards: Afterwards) -> Result<u64, HostError> {
        self.give_up(ranges, afterwards)
    }
}

/// What devices reach of a slot's memory: a write to what can only be read would be this process's end.
#[expect(unsafe_code, reason = "lets devices read and write a part of an area")]
fn new_region(told: &Told) -> Result<Option<Arc<Region>>, HostError> {
    if told.keeping == Keeping::ReadOnly {
        return Ok(None);
    }
    // SAFETY: areas live as long as `Ram`, and devices, which read the map, are dropped before it. The
    // memory within an area goes only when nobody has a view of the region (see `Ram::discard`).
    unsafe { region(told.range, told.host, told.written.clone()) }.map(Some)
}

fn host_error(error: &dyn std::error::Error) -> HostError {
    HostError(chain(error))
}
