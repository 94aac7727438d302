//! Linux with its memory devices: what it does when one of them changes.

use std::collections::{BTreeMap, BTreeSet};

use super::absent::{NotAdded, Reason};
use super::chance::Chance;
use super::cost::{Cost, Fit, Shortage};
use super::faults::Faults;
use super::kaslr::Behind;
use super::memory::{Block, Errno, GroupId, Memory};
use super::mistake::Mistake;
use super::policy::{Decision, OnlinePolicy, OnlineType};
use super::release::Release;
use super::virtio_mem::VirtioMem;
use super::zone::{PAGE, SECTION, Zone};

pub mod dimm;
mod files;

pub use dimm::{Ejected, PluggedDimm, Stuck};

/// What a guest is configured to do, beside the zone policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `auto_online_blocks`; `None` for `offline`.
    pub auto_online: Option<OnlineType>,
    /// `memory_hotplug.memmap_on_memory`
    pub memmap_on_memory: bool,
    /// `/sys/firmware/acpi/hotplug/memory/enabled`
    pub eject_enabled: bool,
    /// Bytes of boot memory that nothing else gets: for a crash kernel, or as huge pages.
    pub set_aside: u64,
    /// Whether the kernel lays out its address space at random.
    pub kaslr: bool,
}

impl Default for Settings {
    /// Blocks go online as they come, as the policy says; the rest is as the kernel has it without parameters.
    fn default() -> Self {
        Self {
            auto_online: Some(OnlineType::Policy),
            memmap_on_memory: false,
            eject_enabled: true,
            set_aside: 0,
            kaslr: false,
        }
    }
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
    /// Page frames that nobody can move, also in the movable zone: pinned, or poisoned.
    pub fixed: BTreeSet<u64>,
    /// Page frames that Linux knows to be poisoned.
    pub(super) poisoned: BTreeSet<u64>,
    /// How many it counts.
    pub(super) corrupted: u64,
    /// Whether the filter of `hwpoison-inject` lets no page of a program be taken for broken.
    pub hwpoison_filter: bool,
    /// Whether an error is injected into every attempt to take a block offline, or online.
    pub injected: Injected,
    /// What is assumed of kernel memory in this step.
    pub chance: Chance,
    /// Bytes that programs and pools of huge pages have in use, in whatever zone.
    pub in_use: u64,
    /// Where memory ends while it boots (`mem=`, `max_mem_size`); `None` once it runs.
    pub boot_limit: Option<u64>,
    /// Whether it has spent its memory on memmaps in vain, or has memory where KASLR has put something else: what it does
    /// from then on is not known.
    pub exhausted: bool,
    /// What is to go wrong between it and the machine.
    pub faults: Faults,
    /// The ejection that waits for a pinned page, and with it all that comes later.
    pub stuck: Option<Stuck>,
    /// Slots whose ACPI memory device was ejected and is still attached.
    pub lingering: BTreeSet<u32>,
    /// Its ACPI memory devices, by their names.
    pub dimms: BTreeMap<String, PluggedDimm>,
    /// What it could not add of ACPI memory devices that are plugged, by their names.
    pub not_added: BTreeMap<String, Vec<NotAdded>>,
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
    pub fn new(release: Release, settings: Settings, mut memory: Memory) -> Self {
        if !release.has_groups() {
            memory.policy.policy = OnlinePolicy::ContigZones;
        }
        Self {
            release,
            settings,
            memory,
            held: BTreeSet::new(),
            fixed: BTreeSet::new(),
            poisoned: BTreeSet::new(),
            corrupted: 0,
            hwpoison_filter: false,
            injected: Injected::default(),
            chance: Chance::default(),
            in_use: 0,
            boot_limit: None,
            exhausted: false,
            faults: Faults::new(),
            stuck: None,
            lingering: BTreeSet::new(),
            dimms: BTreeMap::new(),
            not_added: BTreeMap::new(),
            virtio_mem: BTreeMap::new(),
        }
    }

    /// Puts a block online, as `echo online > state` does. A block that is online already keeps the word for the
    /// next time that nobody says how (`mem->online_type`).
    ///
    /// # Errors
    /// What the write fails with.
    pub fn online(&mut self, index: u64, how: OnlineType) -> Result<Decision, Errno> {
        self.memory.set_online_type(index, Some(how))?;
        self.device_online(index)
    }

    /// Puts a block online, as `echo 1 > online` does, and as a refused ejection does: the way that was named last
    /// counts, if it was not used, else the policy (`memory_subsys_online`).
    ///
    /// # Errors
    /// [`Errno::EINVAL`] when it is online; else what hinders it.
    pub fn device_online(&mut self, index: u64) -> Result<Decision, Errno> {
        let block = self.memory.blocks().get(&index).ok_or(Errno::EINVAL)?;
        if block.is_online() {
            return Err(Errno::EINVAL);
        }
        let how = block.online_type.unwrap_or(OnlineType::Policy);
        self.memory.set_online_type(index, None)?;
        let decision = self.memory_block_online(index, how)?;
        self.virtio_mem_retry_after_online(index);
        Ok(decision)
    }

    fn memory_block_online(&mut self, index: u64, how: OnlineType) -> Result<Decision, Errno> {
        if self.release.refuses_poisoned_blocks() && !self.poisoned_in(index).is_empty() {
            return Err(Errno::EHWPOISON);
        }
        if self.injected.online && !self.memory.makes(Mistake::RefusalsAreIgnored) {
            if !self.memory.makes(Mistake::RefusalMovesNoZone) {
                self.memory.online_in_vain(index, how);
            }
            return Err(Errno::EBUSY);
        }
        self.forget_poison(index);
        self.memory.online(index, how)
    }

    /// Takes a block offline, as `echo offline > state` does. Where that is a matter of chance, it goes as
    /// [`chance`](Self::chance) has it.
    ///
    /// # Errors
    /// What the write fails with.
    pub fn offline(&mut self, index: u64) -> Result<(), Errno> {
        let block = self.memory.blocks().get(&index).ok_or(Errno::EINVAL)?;
        let open = self.is_possible(index) && may_refuse(block);
        if open && !self.chance.lets_go(index) {
            return Err(Errno::EBUSY);
        }
        self.offline_emptied(index)?;
        if !self.release.has_big_blocks() {
            self.run_owner(index);
        }
        Ok(())
    }

    /// Whether nothing but an unmovable page can keep the block online.
    fn is_possible(&self, index: u64) -> bool {
        let block = &self.memory.blocks()[&index];
        let held = self.injected.offline || self.held.contains(&index);
        !held && !block.holes && block.zone().is_some()
    }

    /// Takes a block offline of which every page can be moved, or has been already.
    fn offline_emptied(&mut self, index: u64) -> Result<(), Errno> {
        if self.injected.offline || self.held.contains(&index) {
            let block = self.memory.blocks().get(&index).ok_or(Errno::EINVAL)?;
            return Err(if block.zone().is_none() || block.holes { Errno::EINVAL } else { Errno::EBUSY });
        }
        let block = self.memory.blocks().get(&index).ok_or(Errno::EINVAL)?;
        if self.is_pinned(index) && block.zone().is_some() && !block.holes {
            return Err(Errno::EINTR);
        }
        self.memory.offline(index)
    }

    /// Takes a block offline that the notifiers have already let go.
    fn offline_behind_notifiers(&mut self, index: u64) -> Result<(), Errno> {
        if self.is_pinned(index) { Err(Errno::EINTR) } else { self.memory.offline(index) }
    }

    /// Whether a page of block `index` is pinned. Taking the block offline then never ends, until a signal
    /// interrupts it; poisoned pages are passed over.
    fn is_pinned(&self, index: u64) -> bool {
        let mut fixed = self.fixed.range(self.memory.frames(index));
        fixed.any(|frame| !self.poisoned.contains(frame))
    }

    /// All pinned pages of block `index` are let go. Returns whether there was one.
    pub fn unpin(&mut self, index: u64) -> bool {
        let (frames, before) = (self.memory.frames(index), self.fixed.len());
        let poisoned = &self.poisoned;
        self.fixed.retain(|frame| !frames.contains(frame) || poisoned.contains(frame));
        self.fixed.len() != before
    }

    /// Whether one of these bytes is of a page that nobody can move.
    pub(super) fn holds_a_page_in(&self, bytes: &std::ops::Range<u64>) -> bool {
        self.fixed.range(bytes.start / PAGE..bytes.end.div_ceil(PAGE)).next().is_some()
    }

    /// Pages by which the page allocator has more than right after the boot (`totalram_pages`): those of blocks
    /// that were added and are online, without their own memmap and without what virtio-mem has not plugged of
    /// them; less those of boot blocks that are offline.
    ///
    /// # Panics
    /// Never: no machine has that many pages.
    pub fn managed_since_boot(&self) -> i64 {
        let pages = self.memory.block_pages();
        let (mut more, mut less) = (0, 0);
        for block in self.memory.blocks().values() {
            match (block.early, block.is_online()) {
                (false, true) => more += pages - block.memmap,
                (true, false) => less += pages,
                _ => {}
            }
        }
        let online = |index: u64| self.memory.blocks().get(&index).is_some_and(Block::is_online);
        less += self.virtio_mem.values().map(|device| device.unplugged_pages(online)).sum::<u64>();
        i64::try_from(more).and_then(|more| Ok(more - i64::try_from(less)?)).expect("pages of one machine")
    }

    /// Adds blocks that are not there yet, each of which has `memmap` pages of its own for its memmap, and
    /// puts them online in ascending order until one refuses (`add_memory_resource`).
    ///
    /// # Errors
    /// Why none is added.
    pub(super) fn add_memory(
        &mut self,
        indices: std::ops::Range<u64>,
        node: u32,
        group: Option<GroupId>,
        memmap: u64,
    ) -> Result<(), Reason> {
        if indices.clone().any(|index| self.memory.blocks().contains_key(&index)) {
            return Err(Reason::Exists);
        }
        self.check_reach(indices.end * self.memory.block_size())?;
        self.pay(indices.clone(), memmap)?;
        for index in indices.clone() {
            self.memory.add(index, node, group, memmap).map_err(|_| Reason::Exists)?;
        }
        let Some(how) = self.settings.auto_online else { return Ok(()) };
        for index in indices {
            if self.memory_block_online(index, how).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Sees whether the kernel can address memory that ends at `end`.
    fn check_reach(&mut self, end: u64) -> Result<(), Reason> {
        match self.reach().filter(|reach| end > *reach) {
            None => Ok(()),
            Some(reach) => {
                self.exhausted |= self.release.behind_kaslr() == Behind::Unchecked;
                Err(Reason::Reach(reach))
            }
        }
    }

    /// Sees whether there is kernel memory for blocks that are to be added; near the limit, as
    /// [`chance`](Self::chance) has it.
    fn pay(&mut self, indices: std::ops::Range<u64>, memmap: u64) -> Result<(), Reason> {
        let pages = (indices.end - indices.start) * self.memory.block_pages();
        let (cost, means) = (Cost::of(pages, memmap), self.means());
        let fails = match means.fit(cost) {
            Fit::Fits => false,
            Fit::Open => self.chance.is_short(indices),
            Fit::Fails => true,
        };
        if fails {
            // Nothing of several sections is given back.
            self.exhausted |= pages > SECTION && cost.memmap > 0;
            return Err(Reason::Memory(Shortage { cost, means }));
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
            if let Err(error) = self.offline_emptied(index) {
                // Each goes back to the kind of zone that it was in.
                for (index, zone) in offlined {
                    let how =
                        if zone == Some(Zone::Movable) { OnlineType::Movable } else { OnlineType::Kernel };
                    // What cannot come back stays offline.
                    let _ = self.memory_block_online(index, how);
                }
                return Err(error);
            }
            offlined.push((index, zone));
        }
        for index in indices {
            self.remove_memory(index);
        }
        Ok(())
    }

    /// Removes an offline block.
    pub(super) fn remove_memory(&mut self, index: u64) {
        self.remove_poison(index);
        self.memory.remove(index);
    }

    fn virtio_mem_retry_after_online(&mut self, index: u64) {
        let goes_on = |device: &VirtioMem| device.goes_on_after_online(&self.memory, self.release);
        if self.owner(index).is_some_and(|id| goes_on(&self.virtio_mem[&id])) {
            self.run_owner(index);
        }
    }

    /// Lets the driver of the virtio-mem device work that a block belongs to.
    fn run_owner(&mut self, index: u64) {
        if let Some(id) = self.owner(index) {
            self.run_virtio_mem(&id);
        }
    }

    fn owner(&self, index: u64) -> Option<String> {
        let size = self.memory.block_size();
        self.virtio_mem.iter().find(|(_, device)| device.covers(index, size)).map(|(id, _)| id.clone())
    }
}

/// Whether a page of an online block may be one that cannot be moved: in a kernel zone, and in boot memory,
/// of which the kernel has taken parts before there were zones.
fn may_refuse(block: &Block) -> bool {
    block.early || block.zone().is_some_and(|zone| zone != Zone::Movable)
}
