//! Memory that a driver manages: dax devices of soft-reserved ranges, and `kmem`, which makes RAM of them
//! (drivers/dax/hmem, drivers/dax/bus.c, drivers/dax/kmem.c; read in 6.1.192 and 6.12.117).

use std::ops::Range;

use super::Linux;
use crate::absent::{NotAdded, size};
use crate::group::GroupKind;
use crate::memory::{Errno, GroupId};
use crate::mistake::Mistake;
use crate::rule::Rule;
use crate::zone::PAGE;

/// What a dax device begins and ends with: a huge page of the page tables' (`PMD_SIZE`).
const ALIGNMENT: u64 = 2 << 20;

/// A dax device: soft-reserved memory that a driver may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaxDevice {
    /// Its addresses, in bytes.
    pub range: Range<u64>,
    /// Its node (`target_node`), which memory of it is added to.
    pub node: u32,
    /// The driver that it is bound to.
    pub driver: Option<DaxDriver>,
    /// Whether `kmem` is to put the memmap of its memory onto that memory, its file `memmap_on_memory`.
    pub memmap_on_memory: bool,
    /// What `kmem` has added of it, and not removed.
    memory: Option<Managed>,
    /// Why `kmem` could not add its memory when it last tried to.
    not_added: Option<NotAdded>,
}

/// A driver of dax devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DaxDriver {
    /// `device_dax`: programs map the memory.
    DeviceDax,
    /// `kmem`: the memory becomes RAM.
    Kmem,
}

/// Memory that `kmem` has added.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Managed {
    /// Its blocks.
    blocks: Range<u64>,
    /// Their group; `None` where the release has none.
    group: Option<GroupId>,
}

/// Why a dax device is not as it was asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotBound {
    /// `kmem` has let it go, and its memory stays: some of it was online.
    MemoryStays,
    /// What the write to a file failed with.
    Failed(Errno),
}

impl DaxDevice {
    /// The memory group of its memory.
    pub fn group(&self) -> Option<GroupId> {
        self.memory.as_ref()?.group
    }

    /// The blocks that `kmem` has added of it, and not removed.
    pub fn blocks(&self) -> Range<u64> {
        self.memory.as_ref().map_or(0..0, |memory| memory.blocks.clone())
    }

    /// The blocks that it fills; what it has of others is left out (`dax_kmem_range`).
    const fn whole_blocks(&self, size: u64) -> Range<u64> {
        self.range.start.div_ceil(size)..self.range.end / size
    }

    /// Why a block that it has a part of is absent, where blocks have `block` bytes.
    pub(crate) fn why_absent(&self, index: u64, block: u64) -> String {
        if !self.whole_blocks(block).contains(&index) {
            return format!(
                "it fills only a part of this block, and kmem takes whole ones of {}",
                size(block)
            );
        }
        match (&self.not_added, self.driver) {
            (Some(not_added), None) => format!("kmem could not add its memory: {not_added}"),
            (_, Some(DaxDriver::DeviceDax)) => "device_dax has it, for programs to map".to_owned(),
            _ => "soft-reserved memory is no RAM until kmem makes it that".to_owned(),
        }
    }
}

impl Linux {
    /// The kernel finds the soft-reserved ranges of the firmware's memory map, ascending, each with the node that the
    /// SRAT says of its first address (`hmem_register_one`); no HMAT is needed for that.
    ///
    /// Each becomes a dax device, which is named by its number: `dax0.0`, `dax1.0`. One that does not begin and end with
    /// a page of 2 MiB becomes none, and has a number for all that (`alloc_dax_region`). E820 never joins such ranges
    /// (`e820_nomerge`).
    pub fn probe_soft_reserved(&mut self, ranges: &[(Range<u64>, u32)]) {
        for (number, (range, node)) in ranges.iter().enumerate() {
            let (range, node) = (range.clone(), *node);
            if range.start.is_multiple_of(ALIGNMENT) && range.end.is_multiple_of(ALIGNMENT) {
                let (driver, memory, not_added) = (None, None, None);
                let new = DaxDevice { range, node, driver, memmap_on_memory: false, memory, not_added };
                self.dax.insert(format!("dax{number}.0"), new);
            }
        }
    }

    /// The driver of the dax device `id` lets it go, then its file `memmap_on_memory` is written to if that is asked
    /// for, then `driver` takes it: as `daxctl reconfigure-device` has it. Where one of these fails, those behind it are
    /// not tried.
    ///
    /// # Errors
    /// [`NotBound`]; [`Errno::EINVAL`] also when there is no such device.
    pub fn bind_dax(
        &mut self,
        id: &str,
        driver: Option<DaxDriver>,
        memmap_on_memory: Option<bool>,
    ) -> Result<(), NotBound> {
        if !self.dax.contains_key(id) {
            return Err(NotBound::Failed(Errno::EINVAL));
        }
        self.unbind_dax(id)?;
        if let Some(on) = memmap_on_memory {
            self.set_memmap_of_dax(id, on).map_err(NotBound::Failed)?;
        }
        match driver {
            None => Ok(()),
            Some(driver) => self.probe_dax(id, driver).map_err(NotBound::Failed),
        }
    }

    /// The driver's `remove`. Unbinding never fails, whatever becomes of the memory: that of which one block is online
    /// stays as it is, with its group, its names in /proc/iomem, and no way to get rid of it but a reset
    /// (`dev_dax_kmem_remove`, `any_hotremove_failed`).
    fn unbind_dax(&mut self, id: &str) -> Result<(), NotBound> {
        let device = self.dax.get_mut(id).expect("looked for before");
        let memory = match device.driver.take() {
            Some(DaxDriver::Kmem) => device.memory.take(),
            Some(DaxDriver::DeviceDax) | None => return Ok(()),
        };
        let Some(memory) = memory else { return Ok(()) };
        let online = |index: u64| self.memory.blocks().get(&index).is_some_and(|block| block.is_online());
        if memory.blocks.clone().any(online) && !self.memory.makes(Mistake::KmemTakesAll) {
            self.memory.meet(Rule::KmemLeavesMemory);
            self.dax.get_mut(id).expect("looked for before").memory = Some(memory);
            return Err(NotBound::MemoryStays);
        }
        self.memory.meet(Rule::KmemRemoves);
        for index in memory.blocks {
            // Only a model that is wrong on purpose has one online here.
            let _ = self.memory.offline(index);
            self.remove_memory(index);
        }
        if let Some(group) = memory.group {
            self.memory.unregister(group);
        }
        Ok(())
    }

    /// `memmap_on_memory_store`: it can be switched on where the kernel may do such a thing at all.
    fn set_memmap_of_dax(&mut self, id: &str, on: bool) -> Result<(), Errno> {
        if on && !self.settings.memmap_on_memory {
            return Err(Errno::Other);
        }
        self.dax.get_mut(id).expect("looked for before").memmap_on_memory = on;
        Ok(())
    }

    /// The driver's `probe`. Memory that was left behind is in the way of both (`request_mem_region`).
    fn probe_dax(&mut self, id: &str, driver: DaxDriver) -> Result<(), Errno> {
        let device = self.dax.get_mut(id).expect("looked for before");
        let indices = device.whole_blocks(self.memory.block_size());
        if driver == DaxDriver::Kmem && indices.is_empty() {
            self.memory.meet(Rule::KmemFindsNoBlock);
            return Err(Errno::EINVAL);
        }
        if device.memory.is_some() {
            self.memory.meet(Rule::LeftMemoryIsInTheWay);
            return Err(Errno::EBUSY);
        }
        device.not_added = None;
        match driver {
            DaxDriver::DeviceDax => {}
            DaxDriver::Kmem => self.add_managed(id, indices)?,
        }
        self.dax.get_mut(id).expect("looked for before").driver = Some(driver);
        Ok(())
    }

    /// `dev_dax_kmem_probe`: all memory of a device is one static group, since 5.15, which has as many pages as the device
    /// fills blocks (`memory_group_register_static` with `total_len`). It is added like any other, and goes online as
    /// `auto_online_blocks` says (`add_memory_driver_managed`, `add_memory_resource`).
    fn add_managed(&mut self, id: &str, blocks: Range<u64>) -> Result<(), Errno> {
        let (size, device) = (self.memory.block_size(), &self.dax[id]);
        let (node, memmap, whole) = (device.node, device.memmap_on_memory, device.range.clone());
        let range = blocks.start * size..blocks.end * size;
        if range != whole {
            self.memory.meet(Rule::KmemLeavesPartsOut);
        }
        let bytes = match self.memory.makes(Mistake::KmemCountsParts) {
            true => whole.end - whole.start,
            false => range.end - range.start,
        };
        let group = self.release.has_groups();
        let group = group.then(|| self.memory.register(GroupKind::Static { max_pages: bytes / PAGE }, node));
        let memmap = if memmap { self.memory.memmap_pages() } else { 0 };
        if let Err(reason) = self.add_memory(blocks.clone(), node, group, memmap) {
            self.memory.meet(reason.rule());
            if let Some(group) = group {
                self.memory.unregister(group);
            }
            self.dax.get_mut(id).expect("looked for before").not_added = Some(NotAdded { range, reason });
            return Err(Errno::Other);
        }
        self.memory.meet(Rule::KmemAdds);
        self.dax.get_mut(id).expect("looked for before").memory = Some(Managed { blocks, group });
        Ok(())
    }
}
