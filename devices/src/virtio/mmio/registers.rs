//! The register block (virtio 1.2, table 4.1): four-byte registers, then the configuration space.

use virtio_bindings::bindings::virtio_mmio::*;

use super::{DRIVER, DRIVER_OK, FEATURES_OK, VirtioMmio};
use crate::bus::BusDevice;
use crate::register;
use crate::virtio::device::VirtioDevice;
use crate::virtio::queue::{Place, Virtqueue};

/// "virt".
pub(crate) const MAGIC: u32 = 0x7472_6976;
/// The register layout that is not the legacy one.
pub(crate) const VERSION: u32 = 2;
/// "DIMR": nobody assigns these numbers on MMIO.
const VENDOR: u32 = 0x524d_4944;
/// Lengths and addresses of a shared-memory region that is not there read so.
const NO_SHARED_MEMORY: u32 = u32::MAX;

const CONFIG: u64 = VIRTIO_MMIO_CONFIG as u64;

impl<D: VirtioDevice> VirtioMmio<D> {
    fn register(&self, register: u32) -> u32 {
        let negotiation = &self.negotiation;
        match register {
            VIRTIO_MMIO_MAGIC_VALUE => MAGIC,
            VIRTIO_MMIO_VERSION => VERSION,
            VIRTIO_MMIO_DEVICE_ID => D::DEVICE_ID,
            VIRTIO_MMIO_VENDOR_ID => VENDOR,
            VIRTIO_MMIO_DEVICE_FEATURES => match negotiation.device_features_selector {
                0 => register::low(self.offered_features()),
                1 => register::high(self.offered_features()),
                _ => 0,
            },
            VIRTIO_MMIO_QUEUE_NUM_MAX => self.selected().map_or(0, |queue| queue.max_size().into()),
            VIRTIO_MMIO_QUEUE_READY => self.selected().map_or(0, |queue| queue.is_ready().into()),
            VIRTIO_MMIO_INTERRUPT_STATUS => negotiation.interrupt_status,
            VIRTIO_MMIO_STATUS => negotiation.status,
            VIRTIO_MMIO_SHM_LEN_LOW
            | VIRTIO_MMIO_SHM_LEN_HIGH
            | VIRTIO_MMIO_SHM_BASE_LOW
            | VIRTIO_MMIO_SHM_BASE_HIGH => NO_SHARED_MEMORY,
            VIRTIO_MMIO_CONFIG_GENERATION => self.generation,
            _ => 0,
        }
    }

    fn set_register(&mut self, register: u32, value: u32) {
        match register {
            VIRTIO_MMIO_DEVICE_FEATURES_SEL => self.negotiation.device_features_selector = value,
            VIRTIO_MMIO_DRIVER_FEATURES => self.set_driver_features(value),
            VIRTIO_MMIO_DRIVER_FEATURES_SEL => self.negotiation.driver_features_selector = value,
            VIRTIO_MMIO_QUEUE_SEL => self.negotiation.queue_selector = value,
            VIRTIO_MMIO_QUEUE_READY => self.set_ready(value),
            VIRTIO_MMIO_QUEUE_NOTIFY => self.notified(value),
            VIRTIO_MMIO_INTERRUPT_ACK => {
                self.negotiation.interrupt_status &= !value;
                self.irq.set(self.negotiation.interrupt_status != 0);
            }
            VIRTIO_MMIO_STATUS => self.set_status(value),
            _ => self.set_place(register, value),
        }
    }

    /// Features can be chosen between DRIVER and FEATURES_OK.
    fn set_driver_features(&mut self, value: u32) {
        let negotiation = &mut self.negotiation;
        if negotiation.status & (DRIVER | FEATURES_OK) != DRIVER {
            return;
        }
        let chosen = &mut negotiation.driver_features;
        match negotiation.driver_features_selector {
            0 => set_low(chosen, value),
            1 => set_high(chosen, value),
            // There are no features there, so choosing one is as wrong as any other that was not
            // offered; it is ignored, and the driver cannot rely on it.
            _ => {}
        }
    }

    /// A queue can be moved while it is not in use.
    fn set_place(&mut self, register: u32, value: u32) {
        let configurable = self.negotiation.status & FEATURES_OK != 0;
        let Some(queue) = self.selected_mut().filter(|queue| configurable && !queue.is_ready()) else {
            return;
        };
        let Place { size, descriptors, available, used } = &mut queue.place;
        match register {
            // A size that does not fit in 16 bits is too large like any other.
            VIRTIO_MMIO_QUEUE_NUM => *size = u16::try_from(value).unwrap_or(u16::MAX),
            VIRTIO_MMIO_QUEUE_DESC_LOW => set_low(descriptors, value),
            VIRTIO_MMIO_QUEUE_DESC_HIGH => set_high(descriptors, value),
            VIRTIO_MMIO_QUEUE_AVAIL_LOW => set_low(available, value),
            VIRTIO_MMIO_QUEUE_AVAIL_HIGH => set_high(available, value),
            VIRTIO_MMIO_QUEUE_USED_LOW => set_low(used, value),
            VIRTIO_MMIO_QUEUE_USED_HIGH => set_high(used, value),
            _ => {}
        }
    }

    fn set_ready(&mut self, value: u32) {
        let Some(index) = self.selected_index() else { return };
        let ready = self.queues[index].is_ready();
        match value {
            0 => self.queues[index].stop(),
            1 if !ready && self.negotiation.status & FEATURES_OK != 0 => self.start_queue(index),
            _ => {}
        }
    }

    fn notified(&mut self, value: u32) {
        let index = usize::try_from(value).unwrap_or(usize::MAX);
        if self.negotiation.status & DRIVER_OK != 0 && index < self.queues.len() {
            self.process(index);
        }
    }

    fn selected_index(&self) -> Option<usize> {
        let index = usize::try_from(self.negotiation.queue_selector).ok()?;
        (index < self.queues.len()).then_some(index)
    }

    fn selected(&self) -> Option<&Virtqueue> {
        self.selected_index().map(|index| &self.queues[index])
    }

    fn selected_mut(&mut self) -> Option<&mut Virtqueue> {
        self.selected_index().map(|index| &mut self.queues[index])
    }
}

fn set_low(long: &mut u64, value: u32) {
    *long = *long & !u64::from(u32::MAX) | u64::from(value);
}

fn set_high(long: &mut u64, value: u32) {
    *long = *long & u64::from(u32::MAX) | u64::from(value) << 32;
}

impl<D: VirtioDevice> BusDevice for VirtioMmio<D> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        match offset.checked_sub(CONFIG) {
            Some(offset) => self.device.read_config(offset, data),
            None => {
                let start = u32::try_from(register::start(offset)).expect("registers lie below CONFIG");
                register::read(self.register(start), offset, data);
            }
        }
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            self.device.write_config(offset, data);
        } else if let (Ok(start), Some(value)) = (u32::try_from(offset), register::written(offset, data)) {
            self.set_register(start, value);
        }
    }
}
