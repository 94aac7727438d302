//! Linux with its memory devices: what it does when one of them changes.

use std::collections::{BTreeMap, BTreeSet};

use super::absent::NotAdded;
use super::chance::Chance;
use super::faults::Faults;
use super::memory::{Block, Errno, Memory};
use super::mistake::Mistake;
use super::policy::{Decision, OnlinePolicy, OnlineType};
use super::release::Release;
use super::rule::Rule;
use super::virtio_mem::VirtioMem;
use super::zone::{PAGE, Zone};

mod add;
pub mod dax;
pub mod dimm;
mod files;
mod settings;

pub use dax::{DaxDevice, DaxDriver, NotBound};
pub use dimm::{Ejected, PluggedDimm, Stuck};
pub use settings::Settings;

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
    /// How udev puts blocks online that come offline; `None` where no rule of it says so.
    pub udev: Option<OnlineType>,
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
    /// Its dax devices, by their names.
    pub dax: BTreeMap<String, DaxDevice>,
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
            udev: None,
            boot_limit: None,
            exhausted: false,
            faults: Faults::new(),
            stuck: None,
            lingering: BTreeSet::new(),
            dimms: BTreeMap::new(),
            not_added: BTreeMap::new(),
            dax: BTreeMap::new(),
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
        if self.memory.blocks()[&index].is_online() {
            self.memory.meet(Rule::WordIsKept);
        }
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
            self.memory.meet(Rule::BrokenStaysOffline);
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
            self.run_owner(index, Rule::GoesOnAfterOffline);
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
            let stays = block.zone().is_none() || block.holes;
            self.memory.meet(if stays { Rule::NoSingleZoneStays } else { Rule::NotifierKeepsOnline });
            return Err(if stays { Errno::EINVAL } else { Errno::EBUSY });
        }
        let block = self.memory.blocks().get(&index).ok_or(Errno::EINVAL)?;
        if self.is_pinned(index) && block.zone().is_some() && !block.holes {
            self.memory.meet(Rule::PinnedPageWaits);
            return Err(Errno::EINTR);
        }
        self.memory.offline(index)
    }

    /// Takes a block offline that the notifiers have already let go.
    fn offline_behind_notifiers(&mut self, index: u64) -> Result<(), Errno> {
        self.memory.meet(Rule::PastTheNotifiers);
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
        let online = |index: u64| self.memory.blocks().get(&index).is_some_and(Block::is_online);
        let unplugged: u64 = self.virtio_mem.values().map(|device| device.unplugged_pages(online)).sum();
        self.memory.since_boot() - i64::try_from(unplugged).expect("pages of one machine")
    }

    fn virtio_mem_retry_after_online(&mut self, index: u64) {
        let goes_on = |device: &VirtioMem| device.goes_on_after_online(&self.memory, self.release);
        if self.owner(index).is_some_and(|id| goes_on(&self.virtio_mem[&id])) {
            self.run_owner(index, Rule::GoesOnAfterOnline);
        }
    }

    /// Lets the driver of the virtio-mem device work that a block belongs to, as a rule says.
    fn run_owner(&mut self, index: u64, rule: Rule) {
        if let Some(id) = self.owner(index) {
            if self.virtio_mem[&id].plugged() != self.virtio_mem[&id].requested {
                self.memory.meet(rule);
            }
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
