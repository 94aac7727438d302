//! Unplugged memory of a device whose driver may touch it (`legacy=on`).
//!
//! Drivers that do not promise to leave it alone (`VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE`) may read it, and must not write it
//! (virtio 1.2, section 5.15.6.2). There is no host memory behind it: each read is answered with zeroes, each write is
//! dropped, so that neither costs the host any memory, however much of the region is touched.

use crate::bus::BusDevice;

/// What is where nothing is plugged.
#[derive(Debug, Default)]
pub struct Unplugged;

impl BusDevice for Unplugged {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
    }

    fn write(&mut self, _offset: u64, _data: &[u8]) {}
}
