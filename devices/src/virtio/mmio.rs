//! virtio over MMIO, version 2 (virtio 1.2, section 4.2): the registers, the device status, and
//! one interrupt line that is high exactly while InterruptStatus is not 0.
//!
//! A queue is processed on the vCPU thread that writes QueueNotify. What a driver breaks shows as
//! DEVICE_NEEDS_RESET, and everything is well again after a reset.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use virtio_bindings::bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FAILED,
    VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_VERSION_1,
};
use virtio_bindings::bindings::virtio_mmio::{VIRTIO_MMIO_INT_CONFIG, VIRTIO_MMIO_INT_VRING};
use virtio_bindings::bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use vm_memory::GuestAddressSpace;

use super::device::VirtioDevice;
use super::queue::{Broken, Budget, Memory, Queues, Virtqueue};
use crate::irq::IrqLine;
use crate::warning::Said;

mod registers;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use registers::{MAGIC, VERSION};
pub use state::MmioState;

/// Size of the register block in bytes.
pub const SIZE: u64 = 0x1000;

const ACKNOWLEDGE: u32 = VIRTIO_CONFIG_S_ACKNOWLEDGE;
const DRIVER: u32 = VIRTIO_CONFIG_S_DRIVER;
const FEATURES_OK: u32 = VIRTIO_CONFIG_S_FEATURES_OK;
const DRIVER_OK: u32 = VIRTIO_CONFIG_S_DRIVER_OK;
const NEEDS_RESET: u32 = VIRTIO_CONFIG_S_NEEDS_RESET;
const FAILED: u32 = VIRTIO_CONFIG_S_FAILED;

const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
const EVENT_INDEX: u64 = 1 << VIRTIO_RING_F_EVENT_IDX;

/// What the driver said and what it was told; plain data, void after a reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Negotiation {
    status: u32,
    interrupt_status: u32,
    driver_features: u64,
    device_features_selector: u32,
    driver_features_selector: u32,
    queue_selector: u32,
}

/// A device and its registers.
#[derive(Debug)]
pub struct VirtioMmio<D> {
    device: D,
    negotiation: Negotiation,
    /// Counts changes of the configuration space; never reset.
    generation: u32,
    queues: Vec<Virtqueue>,
    memory: Memory,
    irq: Arc<dyn IrqLine>,
    /// Required features that the driver lacked which the device took last for none.
    lacking: u64,
    broke: Said,
    misused: Said,
}

impl<D: VirtioDevice> VirtioMmio<D> {
    /// `device` with registers that drive `irq`, and queues in `memory`.
    pub fn new(device: D, memory: Memory, irq: Arc<dyn IrqLine>) -> Self {
        let sizes = device.queue_sizes();
        let queues = sizes.iter().enumerate().map(|(index, size)| Virtqueue::new(index, *size)).collect();
        Self {
            device,
            negotiation: Negotiation::default(),
            generation: 0,
            queues,
            memory,
            irq,
            lacking: 0,
            broke: Said::default(),
            misused: Said::default(),
        }
    }

    /// The device.
    pub const fn device(&self) -> &D {
        &self.device
    }

    /// Whether a driver has said that it can drive the device, and has not reset it since.
    pub(crate) const fn has_driver(&self) -> bool {
        self.negotiation.status & DRIVER != 0
    }

    /// Features without which the device takes no driver, and which the last one that came did not have.
    pub const fn lacking(&self) -> u64 {
        self.lacking
    }

    /// System reset: no driver, no queues, and the device as it is after a system reset.
    pub fn system_reset(&mut self) {
        self.lacking = 0;
        self.forget_driver();
        self.device.system_reset();
    }

    /// Lets `work` do something with the device and its queues, and interrupts the driver as
    /// `work` has it. There is nothing in the queues while no driver runs.
    pub(crate) fn with_device<T>(&mut self, work: impl FnOnce(&mut D, &mut Queues<'_>) -> T) -> T {
        let live = self.is_live();
        let mut queues = Queues {
            queues: &mut self.queues,
            memory: &self.memory,
            live,
            features: self.negotiation.driver_features,
            config_differs: false,
            config_interrupt: false,
            budget: Budget::PASS,
        };
        let result = work(&mut self.device, &mut queues);
        let Queues { config_differs, config_interrupt, .. } = queues;
        if config_differs {
            self.generation = self.generation.wrapping_add(1);
        }
        if config_interrupt && self.is_live() {
            self.interrupt(VIRTIO_MMIO_INT_CONFIG);
        }
        self.interrupt_for_returned();
        result
    }

    /// As [`with_device`](Self::with_device), for work that a broken queue stops.
    pub(crate) fn with_queues(&mut self, work: impl FnOnce(&mut D, &mut Queues<'_>) -> Result<(), Broken>) {
        if let Err(broken) = self.with_device(work) {
            self.needs_reset(&broken);
        }
    }

    /// Whether a driver runs and the device may use its queues.
    fn is_live(&self) -> bool {
        self.negotiation.status & (DRIVER_OK | NEEDS_RESET) == DRIVER_OK
    }

    fn offered_features(&self) -> u64 {
        self.device.features() | VERSION_1 | EVENT_INDEX
    }

    fn accepts_features(&self) -> bool {
        let chosen = self.negotiation.driver_features;
        let required = self.device.required_features() | VERSION_1;
        chosen & !self.offered_features() == 0 && chosen & required == required
    }

    /// The driver wrote the status register. Bits are only ever added, in the order of virtio
    /// 1.2, section 3.1.1; writing 0 resets the device.
    fn set_status(&mut self, value: u32) {
        if value == 0 {
            self.forget_driver();
            self.device.reset();
            return;
        }
        let before = self.negotiation.status;
        if value & !before & FEATURES_OK != 0 {
            self.lacking = self.device.required_features() & !self.negotiation.driver_features;
        }
        for (bit, needed) in [
            (ACKNOWLEDGE, 0),
            (DRIVER, ACKNOWLEDGE),
            (FEATURES_OK, DRIVER),
            (DRIVER_OK, FEATURES_OK),
            (FAILED, 0),
        ] {
            let status = self.negotiation.status;
            let allowed = status & needed == needed && (bit != FEATURES_OK || self.accepts_features());
            if value & bit != 0 && allowed {
                self.negotiation.status |= bit;
            }
        }
        let refused = value & !self.negotiation.status & !NEEDS_RESET;
        if (refused != 0 || before & !value & !NEEDS_RESET != 0) && self.misused.first() {
            let features = self.negotiation.driver_features;
            tracing::warn!(
                "virtio device {}: the driver's status {value:#x} does not follow {before:#x} (features {features:#x})",
                D::DEVICE_ID
            );
        }
        if self.negotiation.status & !before & DRIVER_OK != 0 {
            self.process_all();
        }
    }

    fn forget_driver(&mut self) {
        self.negotiation = Negotiation::default();
        for (index, queue) in self.queues.iter_mut().enumerate() {
            *queue = Virtqueue::new(index, queue.max_size());
        }
        self.irq.set(false);
    }

    /// What the driver put into the queues before the device was live needs no notification.
    fn process_all(&mut self) {
        for index in 0..self.queues.len() {
            self.process(index);
        }
    }

    fn process(&mut self, index: usize) {
        if self.is_live() && self.queues[index].is_ready() {
            self.with_queues(|device, queues| device.process(index, queues));
        }
    }

    fn start_queue(&mut self, index: usize) {
        let event_index = self.negotiation.driver_features & EVENT_INDEX != 0;
        let queue = &mut self.queues[index];
        if !queue.start(&self.memory.memory(), event_index) && self.misused.first() {
            let place = queue.place;
            tracing::warn!("virtio device {}: queue {index} cannot be used at {place:x?}", D::DEVICE_ID);
        }
    }

    fn needs_reset(&mut self, broken: &Broken) {
        if self.broke.first() {
            tracing::warn!("virtio device {} needs a reset: {broken}", D::DEVICE_ID);
        }
        let was_live = self.is_live();
        self.negotiation.status |= NEEDS_RESET;
        if was_live {
            self.interrupt(VIRTIO_MMIO_INT_CONFIG);
        }
    }

    fn interrupt_for_returned(&mut self) {
        if !self.is_live() {
            return;
        }
        let memory = self.memory.memory();
        let wanted = self.queues.iter_mut().try_fold(false, |wanted, queue| {
            Ok(wanted | (queue.is_ready() && queue.wants_interrupt(&memory)?))
        });
        match wanted {
            Ok(true) => self.interrupt(VIRTIO_MMIO_INT_VRING),
            Ok(false) => {}
            Err(broken) => self.needs_reset(&broken),
        }
    }

    fn interrupt(&mut self, cause: u32) {
        self.negotiation.interrupt_status |= cause;
        self.irq.set(true);
    }
}
