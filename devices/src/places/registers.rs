//! What the guest sees: of each place its transport, and of all who is there.

use virtio_bindings::bindings::virtio_mmio::{VIRTIO_MMIO_MAGIC_VALUE, VIRTIO_MMIO_VERSION};

use super::{Place, Places};
use crate::bus::{BusDevice, lock};
use crate::register;
use crate::virtio::mmio::{MAGIC, VERSION};

impl Place {
    /// Which device of the place is present, from 1 on, or 0.
    fn present(&self) -> u8 {
        let stays = self.device.as_ref().is_some_and(|device| !lock(device).device().is_leaving());
        if stays { self.turn } else { 0 }
    }
}

impl BusDevice for Places {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        let bytes: Vec<u8> = self.places.iter().map(|place| lock(place).present()).collect();
        register::copy(&bytes, offset, data);
    }

    fn write(&mut self, _offset: u64, _data: &[u8]) {}
}

impl BusDevice for Place {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if let Some(device) = &self.device {
            return lock(device).read(offset, data);
        }
        let value = match u32::try_from(register::start(offset)) {
            Ok(VIRTIO_MMIO_MAGIC_VALUE) => MAGIC,
            Ok(VIRTIO_MMIO_VERSION) => VERSION,
            _ => 0,
        };
        register::read(value, offset, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let Some(device) = &self.device {
            lock(device).write(offset, data);
            self.let_go();
        }
    }
}
