//! Memory blocks that are added, if they can be, and removed (mm/memory_hotplug.c).

use std::ops::Range;

use super::Linux;
use crate::absent::Reason;
use crate::cost::{Cost, Fit, Shortage};
use crate::kaslr::Behind;
use crate::memory::{Errno, GroupId};
use crate::mistake::Mistake;
use crate::policy::OnlineType;
use crate::rule::Rule;
use crate::zone::{SECTION, Zone};

impl Linux {
    /// Adds blocks that are not there yet, each of which has `memmap` pages of its own for its memmap, and
    /// puts them online in ascending order until one refuses (`add_memory_resource`). Where the kernel is not to do that itself,
    /// udev may: a rule's write waits for `device_hotplug_lock`, which whoever adds memory holds until the kernel has put it
    /// online or left it, so that the kernel always comes first.
    ///
    /// # Errors
    /// Why none is added.
    pub(crate) fn add_memory(
        &mut self,
        indices: Range<u64>,
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
        if memmap > 0 {
            self.memory.meet(Rule::MemmapOnMemory);
        }
        let Some(how) = self.settings.auto_online else {
            self.memory.meet(Rule::ComesOffline);
            self.udev_puts_online(indices);
            return Ok(());
        };
        for index in indices.clone() {
            if self.memory_block_online(index, how).is_err() {
                if index + 1 < indices.end {
                    self.memory.meet(Rule::RestStaysOffline);
                }
                break;
            }
        }
        Ok(())
    }

    /// What udev's rule does with blocks that have come offline; one that refuses keeps none of the others.
    fn udev_puts_online(&mut self, indices: Range<u64>) {
        let Some(how) = self.udev else { return };
        for index in indices {
            // What refuses stays offline.
            let _ = self.memory_block_online(index, how);
        }
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
    fn pay(&mut self, indices: Range<u64>, memmap: u64) -> Result<(), Reason> {
        let pages = (indices.end - indices.start) * self.memory.block_pages();
        let own = if self.memory.makes(Mistake::OwnMemmapIsPaid) { 0 } else { memmap };
        let (cost, means) = (Cost::of(pages, own), self.means());
        let fails = match means.fit(cost) {
            _ if self.memory.makes(Mistake::MemmapIsFree) => false,
            Fit::Fits => false,
            Fit::Open => {
                self.memory.meet(Rule::MemmapMayNotBePaid);
                self.chance.is_short(indices)
            }
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
    pub(crate) fn offline_and_remove(&mut self, indices: Range<u64>) -> Result<(), Errno> {
        let mut offlined = Vec::new();
        for index in indices.clone() {
            let block = &self.memory.blocks()[&index];
            if !block.is_online() {
                continue;
            }
            let zone = block.zone();
            if let Err(error) = self.offline_emptied(index) {
                if !offlined.is_empty() {
                    self.memory.meet(Rule::BigBlockStays);
                }
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
    pub(crate) fn remove_memory(&mut self, index: u64) {
        self.remove_poison(index);
        self.memory.remove(index);
    }
}
