//! Whether the windows for memory devices make sense.

use crate::placement::{Placement, SMALLEST_BLOCK};

use super::{BadValue, MAX_ADDRESS, check_id, check_multiple};
use crate::spec::{MachineSpec, VirtioMemSpec, WindowSpec};
use crate::units::{Bytes, GIB, MIB};

/// Device blocks of a virtio-mem device.
const BLOCK_SIZES: (u64, u64) = (MIB, 4 * GIB);
/// Most slots for ACPI memory devices.
const MAX_SLOTS: u16 = dimmer_acpi::hotplug::MAX_SLOTS;
/// Most virtio-mem devices: one interrupt line each, beside the agent's console.
const MAX_VIRTIO_MEM: usize = crate::layout::VIRTIO_GSIS.len() - 1;

impl WindowSpec {
    /// Where it is to lie.
    pub const fn placement(&self) -> Placement {
        match self {
            Self::Acpi { placement, .. } => *placement,
            Self::VirtioMem(device) => device.placement,
        }
    }

    /// Bytes of address space.
    pub const fn size(&self) -> u64 {
        match self {
            Self::Acpi { size, .. } => *size,
            Self::VirtioMem(device) => device.size,
        }
    }
}

impl MachineSpec {
    pub(super) fn check_windows(&self) -> Result<(), BadValue> {
        let mut end = self.firmware_end();
        for window in &self.windows {
            match window {
                WindowSpec::Acpi { slots, size, placement } => {
                    self.check_acpi(*slots, *size)?;
                    self.check_placement(*placement, SMALLEST_BLOCK)?;
                }
                WindowSpec::VirtioMem(device) => self.check_virtio_mem(device)?,
            }
            end += u128::from(window.size());
            if end > MAX_ADDRESS {
                let rule = "boot RAM and all windows together must fit into 4096 TiB";
                return Err(BadValue::new("size", Bytes(window.size()), rule));
            }
        }
        let virtio_mem = |window: &&WindowSpec| matches!(window, WindowSpec::VirtioMem(_));
        let devices = self.windows.iter().filter(virtio_mem).count();
        if devices > MAX_VIRTIO_MEM {
            let rule = format!("must be given {MAX_VIRTIO_MEM} times at most, not {devices}");
            return Err(BadValue::new("method", "virtio-mem", rule));
        }
        if self.windows.len() - devices > 1 {
            return Err(BadValue::new("method", "acpi", "must be given once at most"));
        }
        Ok(())
    }

    fn check_acpi(&self, slots: u16, size: u64) -> Result<(), BadValue> {
        if !(1..=MAX_SLOTS).contains(&slots) {
            return Err(BadValue::new("slots", slots, format!("must be 1 to {MAX_SLOTS}")));
        }
        check_multiple("size", size, SMALLEST_BLOCK.max(self.memory.backing.page_size()))
    }

    fn check_virtio_mem(&self, device: &VirtioMemSpec) -> Result<(), BadValue> {
        check_id(&device.id)?;
        self.check_block(device)?;
        let block = device.block_size;
        check_multiple("size", device.size, SMALLEST_BLOCK.max(block))?;
        if device.requested > device.size || !device.requested.is_multiple_of(block) {
            let rule = format!(
                "must be a multiple of the block size ({}), at most the device's size ({})",
                Bytes(block),
                Bytes(device.size)
            );
            return Err(BadValue::new("requested", Bytes(device.requested), rule));
        }
        if device.requested != 0 && !device.present {
            let rule = "must be 0 with present=off: who is not there cannot be asked";
            return Err(BadValue::new("requested", Bytes(device.requested), rule));
        }
        let slot = device.slot_size;
        if !slot.is_power_of_two() || slot < block {
            let rule = format!("must be a power of two, at least the block size ({})", Bytes(block));
            return Err(BadValue::new("slot", Bytes(slot), rule));
        }
        self.check_placement(device.placement, block)?;
        self.check_node(device.node)
    }

    fn check_placement(&self, placement: Placement, unit: u64) -> Result<(), BadValue> {
        Ok(placement.check(unit.max(self.memory.backing.page_size()))?)
    }

    fn check_block(&self, device: &VirtioMemSpec) -> Result<(), BadValue> {
        let (least, most) = BLOCK_SIZES;
        let least = least.max(self.memory.backing.page_size());
        if device.block_size.is_power_of_two() && (least..=most).contains(&device.block_size) {
            return Ok(());
        }
        let rule = format!("must be a power of two from {} to {}", Bytes(least), Bytes(most));
        Err(BadValue::new("block", Bytes(device.block_size), rule))
    }
}
