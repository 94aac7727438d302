//! Linux with its memory devices: what it does when one of them changes.

use std::collections::{BTreeMap, BTreeSet};

use super::faults::Faults;
use super::memory::{Errno, GroupId, Memory};
use super::policy::{Decision, OnlineType};
use super::release::Release;
use super::virtio_mem::VirtioMem;
use super::zone::Zone;

pub mod dimm;
mod files;
pub mod pages;

pub use dimm::{Ejected, PluggedDimm, Stuck};
pub use pages::Pages;

/// What a guest is configured to do, beside the zone policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `auto_online_blocks`; `None` for `offline`.
    pub auto_online: Option<OnlineType>,
    /// `memory_hotplug.memmap_on_memory`
    pub memmap_on_memory: bool,
    /// `/sys/firmware/acpi/hotplug/memory/enabled`
    pub eject_enabled: bool,
}

/// A running kernel.
#[derive(Debug, Clone)]
pub struct Linux {
    /// Its release.
    pub release: Release,
    /// Its settings.
    pub settings: Settings,
    /// Its memory.
    pub memory: Memory,
    /// Blocks that cannot be taken offline: somebody holds a page of them, or an error is injected.
    pub held: BTreeSet<u64>,
    /// Whether an error is injected into every attempt to take a block offline, or online.
    pub injected: Injected,
    /// Single pages that matter.
    pub pages: Pages,
    /// What is to go wrong between it and the machine.
    pub faults: Faults,
    /// The ejection that waits for a pinned page, and with it all that comes later.
    pub stuck: Option<Stuck>,
    /// Slots whose ACPI memory device was ejected and is still attached.
    pub lingering: BTreeSet<u32>,
    /// Its ACPI memory devices, by their names.
    pub dimms: BTreeMap<String, PluggedDimm>,
    /// Its virtio-mem devices, by their names.
    pub virtio_mem: BTreeMap<String, VirtioMem>,
}

/// Errors that `memory-notifier-error-inject` returns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Injected {
    /// From `MEM_GOING_OFFLINE`.
    pub offline: bool,
    /// From `MEM_GOING_ONLINE`.
    pub online: bool,
}

impl Linux {
    /// A kernel that has just booted with `memory`.
    pub const fn new(release: Release, settings: Settings, memory: Memory) -> Self {
        Self {
            release,
            settings,
            memory,
            held: BTreeSet::new(),
            injected: Injected { offline: false, online: false },
            pages: Pages::new(),
            faults: Faults::new(),
            stuck: None,
            lingering: BTreeSet::new(),
            dimms: BTreeMap::new(),
            virtio_mem: BTreeMap::new(),
        }
    }

    /// Puts a block online, as `echo online > state` does.
    ///
    /// # Errors
    /// What the write fails with.
    pub fn online(&mut self, index: u64, how: OnlineType) -> Result<Decision, Errno> {
        self.memory.set_online_type(index, Some(how));
        if self.memory.blocks().get(&index).is_some_and(|block| block.is_online()) {
            return Err(Errno::EINVAL);
        }
        self.memory.set_online_type(index, None);
        if self.is_broken(index) {
            return Err(Errno::EHWPOISON);
        }
        if self.injected.online {
            return Err(Errno::EBUSY);
        }
        let decision = self.memory.online(index, how)?;
        self.forget_broken(index);
        self.virtio_mem_retry_after_online(index);
        Ok(decision)
    }

    /// Takes a block offline, as `echo offline > state` does.
    ///
    /// # Errors
    /// What the write fails with.
    pub fn offline(&mut self, index: u64) -> Result<(), Errno> {
        if self.injected.offline || self.held.contains(&index) {
            let block = self.memory.blocks().get(&index).ok_or(Errno::EINVAL)?;
            return Err(if block.zone().is_none() || block.holes { Errno::EINVAL } else { Errno::EBUSY });
        }
        if self.is_pinned(index) {
            // It never ends; sooner or later somebody interrupts it.
            return Err(Errno::EINTR);
        }
        self.memory.offline(index)
    }

    /// Adds blocks that are not there yet, and puts them online in ascending order until one refuses
    /// (`add_memory_resource`).
    ///
    /// # Errors
    /// [`Errno::EEXIST`] when one is there already; none is added then.
    pub(super) fn add_memory(
        &mut self,
        indices: std::ops::Range<u64>,
        node: u32,
        group: Option<GroupId>,
    ) -> Result<(), Errno> {
        if indices.clone().any(|index| self.memory.blocks().contains_key(&index)) {
            return Err(Errno::EEXIST);
        }
        for index in indices.clone() {
            self.memory.add(index, node, group)?;
        }
        let Some(how) = self.settings.auto_online else { return Ok(()) };
        for index in indices {
            if self.injected.online || self.memory.online(index, how).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Takes blocks offline and removes them, or leaves all as they were (`offline_and_remove_memory`).
    ///
    /// # Errors
    /// What taking one of them offline failed with.
    pub(super) fn offline_and_remove(&mut self, indices: std::ops::Range<u64>) -> Result<(), Errno> {
        let mut offlined = Vec::new();
        for index in indices.clone() {
            let block = &self.memory.blocks()[&index];
            if !block.is_online() {
                continue;
            }
            let zone = block.zone();
            if let Err(error) = self.offline(index) {
                // Each goes back to the kind of zone that it was in.
                for (index, zone) in offlined {
                    let how =
                        if zone == Some(Zone::Movable) { OnlineType::Movable } else { OnlineType::Kernel };
                    let again = self.memory.online(index, how);
                    debug_assert!(again.is_ok(), "a block that was just taken offline comes back");
                }
                return Err(error);
            }
            offlined.push((index, zone));
        }
        for index in indices {
            self.remove(index);
        }
        Ok(())
    }

    fn virtio_mem_retry_after_online(&mut self, index: u64) {
        let owner = self.virtio_mem.iter().find(|(_, device)| device.covers(index, self.memory.block_size()));
        let Some(id) = owner.map(|(id, _)| id.clone()) else { return };
        let device = &self.virtio_mem[&id];
        if device.waits_for_online(&self.memory) {
            self.run_virtio_mem(&id);
        }
    }
}
