//! Guest memory: host mappings, KVM slots, and the map that devices read. Only this file maps,
//! unmaps or discards guest memory.
//!
//! Every area of guest-physical address space that can hold memory (boot RAM, each window) has one
//! host mapping for the machine's whole life. Mapping costs the host nothing: memory is taken when
//! it is touched. What the guest can reach are the *backed* ranges: those have a KVM slot and are
//! in the published map. To back: slot, then map; to take away: map, then slot, then give the host
//! its memory back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;
use dimmer_devices::memory::{GuestRange, HostError, HostMemory};
use kvm_bindings::kvm_userspace_memory_region;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap, GuestRegionMmap};

use super::board::{Board, KvmError};
use super::mapping::{Mapping, MappingError, MappingSpec};

/// Guest RAM and everything that can become guest RAM.
#[derive(Debug)]
pub struct Ram {
    board: Arc<Board>,
    areas: Vec<Area>,
    backed: Mutex<Backed>,
    published: GuestMemoryAtomic<GuestMemoryMmap>,
}

/// A piece of guest-physical address space with its host mapping.
#[derive(Debug)]
struct Area {
    range: GuestRange,
    mapping: Mapping,
}

/// The backed ranges by their first address, with the numbers of their KVM slots.
#[derive(Debug, Default)]
struct Backed {
    slots: BTreeMap<u64, Slot>,
    free: Vec<u32>,
    next: u32,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    number: u32,
    range: GuestRange,
}

/// Guest memory could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// The host has no such mapping to give.
    #[error("guest memory at {start:#x}")]
    Mapping {
        /// First guest-physical address.
        start: u64,
        /// What the host said.
        #[source]
        error: MappingError,
    },
    /// Boot RAM could not be backed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// KVM refused a slot.
    #[error(transparent)]
    Kvm(#[from] KvmError),
}

impl Ram {
    /// Maps boot RAM and windows, and backs the boot RAM.
    ///
    /// # Errors
    /// [`RamError`] when the host or KVM refuses.
    pub fn new(
        board: Arc<Board>,
        boot: &[GuestRange],
        windows: &[GuestRange],
        spec: &MappingSpec,
    ) -> Result<Self, RamError> {
        let area = |range: &GuestRange| {
            let mapping = Mapping::new(range.size, spec);
            let mapping = mapping.map_err(|error| RamError::Mapping { start: range.start, error })?;
            Ok(Area { range: *range, mapping })
        };
        let areas = boot.iter().chain(windows).map(area).collect::<Result<_, RamError>>()?;
        let published = GuestMemoryAtomic::new(GuestMemoryMmap::new());
        let ram = Self { board, areas, backed: Mutex::default(), published };
        for range in boot {
            ram.back(*range)?;
        }
        Ok(ram)
    }

    /// The map that devices read; it follows every change.
    pub fn published(&self) -> &GuestMemoryAtomic<GuestMemoryMmap> {
        &self.published
    }

    /// The map as it is now.
    pub fn memory(&self) -> GuestMemoryMmap {
        GuestMemoryMmap::clone(&self.published.memory())
    }

    /// Gives a fresh VM all the backed ranges, emptied of what the guest had in them.
    ///
    /// # Errors
    /// [`RamError`] when the host or KVM refuses.
    pub fn reset(&self) -> Result<(), RamError> {
        let backed = lock(&self.backed);
        for slot in backed.slots.values() {
            self.discard(slot.range)?;
            self.set_slot(slot.number, slot.range)?;
        }
        Ok(())
    }

    fn area(&self, range: GuestRange) -> Result<&Area, HostError> {
        let found = self.areas.iter().find(|area| area.range.contains(&range));
        found.ok_or_else(|| {
            HostError(format!("no window holds {:#x}, {:#x} bytes long", range.start, range.size))
        })
    }

    #[expect(unsafe_code, reason = "hands host memory to KVM")]
    fn set_slot(&self, number: u32, range: GuestRange) -> Result<(), HostError> {
        let area = self.area(range)?;
        let region = kvm_userspace_memory_region {
            slot: number,
            flags: 0,
            guest_phys_addr: range.start,
            memory_size: range.size,
            userspace_addr: area.mapping.address(range.start - area.range.start).addr() as u64,
        };
        // SAFETY: `area()` found the range inside a mapping, and mappings live as long as `self`,
        // which the machine drops after the VM.
        unsafe { self.board.set_memory(region) }.map_err(|error| HostError(error.to_string()))
    }

    #[expect(unsafe_code, reason = "hands host memory to KVM")]
    fn delete_slot(&self, number: u32) -> Result<(), HostError> {
        let region = kvm_userspace_memory_region { slot: number, ..Default::default() };
        // SAFETY: size 0 deletes the slot; no memory is named.
        unsafe { self.board.set_memory(region) }.map_err(|error| HostError(error.to_string()))
    }

    #[expect(unsafe_code, reason = "makes a vm-memory region out of a part of a mapping")]
    fn publish(&self, range: GuestRange) -> Result<(), HostError> {
        let area = self.area(range)?;
        let size = usize::try_from(range.size).expect("mapped, so it fits");
        let builder = MmapRegionBuilder::new(size)
            .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
            .with_mmap_flags(libc::MAP_NORESERVE);
        // SAFETY: the pointer starts `size` mapped bytes that live as long as `self`; the devices
        // that read the published map are dropped before it.
        let region =
            unsafe { builder.with_raw_mmap_pointer(area.mapping.address(range.start - area.range.start)) };
        let region = region.build().map_err(|error| HostError(format!("guest memory map: {error}")))?;
        let region = GuestRegionMmap::new(region, GuestAddress(range.start))
            .ok_or_else(|| HostError(format!("guest address {:#x} overflows", range.start)))?;
        self.change_map(|map| map.insert_region(Arc::new(region)))
    }

    fn change_map(
        &self,
        change: impl FnOnce(&GuestMemoryMmap) -> Result<GuestMemoryMmap, vm_memory::GuestRegionCollectionError>,
    ) -> Result<(), HostError> {
        let handle = self.published.clone();
        let guard = handle.lock().map_err(|_| HostError("guest memory map: a writer panicked".into()))?;
        let map =
            change(&handle.memory()).map_err(|error| HostError(format!("guest memory map: {error}")))?;
        guard.replace(map);
        Ok(())
    }

    fn unpublish(&self, range: GuestRange) -> Result<(), HostError> {
        self.change_map(|map| map.remove_region(GuestAddress(range.start), range.size).map(|(map, _)| map))
    }
}

impl HostMemory for Ram {
    fn back(&self, range: GuestRange) -> Result<(), HostError> {
        let mut backed = lock(&self.backed);
        let area = self.area(range)?;
        area.mapping
            .prepare(range.start - area.range.start, range.size)
            .map_err(|e| HostError(e.to_string()))?;
        let number = backed.free.last().copied().unwrap_or(backed.next);
        self.set_slot(number, range)?;
        if let Err(error) = self.publish(range) {
            self.delete_slot(number)?;
            return Err(error);
        }
        if backed.free.pop().is_none() {
            backed.next += 1;
        }
        backed.slots.insert(range.start, Slot { number, range });
        Ok(())
    }

    fn unback(&self, range: GuestRange) -> Result<(), HostError> {
        let mut backed = lock(&self.backed);
        let slot = backed.slots.get(&range.start).filter(|slot| slot.range == range).copied();
        let slot = slot.ok_or_else(|| HostError(format!("{:#x} is not backed", range.start)))?;
        self.unpublish(range)?;
        if let Err(error) = self.delete_slot(slot.number) {
            self.publish(range)?;
            return Err(error);
        }
        backed.slots.remove(&range.start);
        backed.free.push(slot.number);
        if let Err(error) = self.discard(range) {
            // The guest has let the range go and cannot reach it any more; the memory is merely
            // not free yet, and the next use of the range finds it.
            tracing::warn!("{error}");
        }
        Ok(())
    }

    fn discard(&self, range: GuestRange) -> Result<(), HostError> {
        let area = self.area(range)?;
        area.mapping.discard(range.start - area.range.start, range.size).map_err(|e| HostError(e.to_string()))
    }
}
