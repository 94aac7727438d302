//! A driver that finds a virtio-mem device, and one that lets it go.

use super::bbm::BigBlocks;
use super::sbm::SubBlocks;
use super::{DeviceSpec, Mode, VirtioMem};
use crate::group::GroupKind;
use crate::linux::Linux;
use crate::rule::Rule;
use crate::zone::PAGE;

impl Linux {
    /// The driver finds a device; nothing of it is plugged.
    pub fn probe_virtio_mem(&mut self, id: &str, spec: DeviceSpec) {
        let memory_block = self.memory.block_size();
        let sub_block = spec.block_size.max(self.release.least_sub_block());
        let big = self.release.has_big_blocks();
        let (mode, unit) = if sub_block < memory_block || (!big && sub_block == memory_block) {
            (Mode::Sub(SubBlocks::new(&spec.region, sub_block, memory_block)), memory_block)
        } else if big {
            let size = spec.block_size.max(memory_block);
            (Mode::Big(BigBlocks::new(&spec.region, size)), size)
        } else {
            self.memory.meet(Rule::DeviceIsNotTaken);
            (Mode::Refused, memory_block)
        };
        let unit_pages = unit / PAGE;
        let group = self.release.has_groups();
        let group = group.then(|| self.memory.register(GroupKind::Dynamic { unit_pages }, spec.node));
        let device = VirtioMem {
            spec,
            requested: 0,
            usable: 0,
            requests: Vec::new(),
            seen: None,
            timer: false,
            broken: false,
            refused: false,
            id: id.to_owned(),
            step: unit,
            group,
            mode,
        };
        self.virtio_mem.insert(id.to_owned(), device);
    }

    /// The driver lets the device `id` go, which has nothing plugged, and its group with it (`virtio_mem_deinit_hotplug`).
    ///
    /// # Errors
    /// When Linux still has memory of it, which then stays without a driver: what becomes of that is not known.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn remove_virtio_mem(&mut self, id: &str) -> Result<(), String> {
        let device = &self.virtio_mem[id];
        let size = self.memory.block_size();
        if let Some(index) = self.memory.blocks().keys().find(|index| device.covers(**index, size)) {
            return Err(format!(
                "Linux still has block {index} of {id}, which nobody could take away any more"
            ));
        }
        let group = device.group();
        self.virtio_mem.remove(id);
        group.into_iter().for_each(|group| self.memory.unregister(group));
        Ok(())
    }
}
