//! A driver for the tests: sets a device up through its registers, and serves its queues.

use std::sync::Arc;

use crate::memory_map::MemoryMap;
use virtio_bindings::bindings::virtio_mmio as reg;
use virtio_bindings::bindings::virtio_ring::{VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic};

use super::device::VirtioDevice;
use super::mmio::VirtioMmio;
use crate::bus::BusDevice;
use crate::testing::Line;

/// Bytes of guest memory.
pub(crate) const MEMORY: u64 = 16 << 20;
pub(crate) const VERSION_1: u64 = 1 << 32;
pub(crate) const EVENT_INDEX: u64 = 1 << 29;
/// ACKNOWLEDGE and DRIVER, FEATURES_OK, DRIVER_OK.
pub(crate) const STEPS: [u32; 4] = [0x1, 0x3, 0xb, 0xf];

/// Each queue has this many bytes for its rings.
const RINGS: u64 = 0x3000;
/// Buffers lie from here on.
const BUFFERS: u64 = 1 << 20;

/// A buffer of a chain.
#[derive(Debug, Clone)]
pub(crate) enum Buffer<'a> {
    /// The device reads it.
    Out(&'a [u8]),
    /// The device may write so many bytes.
    In(u32),
    /// As it stands: address, length, whether the device may write it.
    Raw(u64, u32, bool),
}

#[derive(Debug)]
struct Ring {
    size: u16,
    next_descriptor: u16,
    available: u16,
    used: u16,
}

/// A driver and the device it drives.
#[derive(Debug)]
pub(crate) struct Driver<D> {
    pub(crate) transport: VirtioMmio<D>,
    pub(crate) line: Arc<Line>,
    pub(crate) memory: GuestMemoryAtomic<MemoryMap>,
    rings: Vec<Ring>,
    next_buffer: u64,
}

pub(crate) const fn rings(queue: usize) -> u64 {
    RINGS * (queue as u64 + 1)
}

impl<D: VirtioDevice> Driver<D> {
    pub(crate) fn new(device: D) -> Self {
        let memory = MemoryMap::from_ranges(&[(GuestAddress(0), usize::try_from(MEMORY).unwrap())]).unwrap();
        let memory = GuestMemoryAtomic::new(memory);
        let rings = device.queue_sizes().iter().map(|size| Ring::new(*size)).collect();
        let line = Line::new();
        let transport = VirtioMmio::new(device, memory.clone(), line.clone());
        Self { transport, line, memory, rings, next_buffer: BUFFERS }
    }

    /// A driver that has negotiated `features` and is running.
    pub(crate) fn started(device: D, features: u64) -> Self {
        let mut driver = Self::new(device);
        driver.start(features);
        driver
    }

    pub(crate) fn read(&mut self, register: u32) -> u32 {
        let mut data = [0; 4];
        self.transport.read(register.into(), &mut data);
        u32::from_le_bytes(data)
    }

    pub(crate) fn write(&mut self, register: u32, value: u32) {
        self.transport.write(register.into(), &value.to_le_bytes());
    }

    pub(crate) fn negotiate(&mut self, features: u64) {
        self.write(reg::VIRTIO_MMIO_STATUS, 0);
        self.write(reg::VIRTIO_MMIO_STATUS, STEPS[0]);
        self.write(reg::VIRTIO_MMIO_STATUS, STEPS[1]);
        for (selector, half) in [(0, features & 0xffff_ffff), (1, features >> 32)] {
            self.write(reg::VIRTIO_MMIO_DRIVER_FEATURES_SEL, selector);
            self.write(reg::VIRTIO_MMIO_DRIVER_FEATURES, u32::try_from(half).unwrap());
        }
        self.write(reg::VIRTIO_MMIO_STATUS, STEPS[2]);
    }

    pub(crate) fn set_up_queue(&mut self, queue: usize) {
        let base = u32::try_from(rings(queue)).unwrap();
        self.memory.memory().write_slice(&[0; 0x3000], GuestAddress(base.into())).unwrap();
        self.rings[queue] = Ring::new(self.rings[queue].size);
        self.write(reg::VIRTIO_MMIO_QUEUE_SEL, u32::try_from(queue).unwrap());
        self.write(reg::VIRTIO_MMIO_QUEUE_NUM, self.rings[queue].size.into());
        self.write(reg::VIRTIO_MMIO_QUEUE_DESC_LOW, base);
        self.write(reg::VIRTIO_MMIO_QUEUE_AVAIL_LOW, base + 0x1000);
        self.write(reg::VIRTIO_MMIO_QUEUE_USED_LOW, base + 0x2000);
        self.write(reg::VIRTIO_MMIO_QUEUE_READY, 1);
    }

    pub(crate) fn start(&mut self, features: u64) {
        self.negotiate(features);
        for queue in 0..self.rings.len() {
            self.set_up_queue(queue);
        }
        self.write(reg::VIRTIO_MMIO_STATUS, STEPS[3]);
        assert_eq!(self.read(reg::VIRTIO_MMIO_STATUS), STEPS[3]);
    }

    /// Makes a chain available; returns its head and the addresses of its buffers.
    pub(crate) fn add(&mut self, queue: usize, buffers: &[Buffer<'_>]) -> (u16, Vec<u64>) {
        let head = self.rings[queue].next_descriptor;
        let mut addresses = Vec::new();
        for (index, buffer) in buffers.iter().enumerate() {
            let (address, length, writable) = self.place(buffer);
            addresses.push(address);
            let mut flags = if writable { VRING_DESC_F_WRITE } else { 0 };
            if index + 1 < buffers.len() {
                flags |= VRING_DESC_F_NEXT;
            }
            self.add_descriptor(queue, address, length, flags);
        }
        self.make_available(queue, head);
        (head, addresses)
    }

    fn place(&mut self, buffer: &Buffer<'_>) -> (u64, u32, bool) {
        let address = self.next_buffer;
        match *buffer {
            Buffer::Out(bytes) => {
                self.memory.memory().write_slice(bytes, GuestAddress(address)).unwrap();
                self.next_buffer += bytes.len() as u64;
                (address, u32::try_from(bytes.len()).unwrap(), false)
            }
            Buffer::In(length) => {
                self.next_buffer += u64::from(length);
                (address, length, true)
            }
            Buffer::Raw(address, length, writable) => (address, length, writable),
        }
    }

    fn add_descriptor(&mut self, queue: usize, address: u64, length: u32, flags: u32) {
        let ring = &mut self.rings[queue];
        let descriptor = ring.next_descriptor;
        ring.next_descriptor = (descriptor + 1) % ring.size;
        let mut bytes = Vec::from(address.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(u16::try_from(flags).unwrap().to_le_bytes());
        bytes.extend(ring.next_descriptor.to_le_bytes());
        let place = GuestAddress(rings(queue) + 16 * u64::from(descriptor));
        self.memory.memory().write_slice(&bytes, place).unwrap();
    }

    /// Makes a chain of descriptors available as they stand: address, length and flags; each names the next
    /// one as its successor.
    pub(crate) fn add_descriptors(&mut self, queue: usize, descriptors: &[(u64, u32, u32)]) {
        let head = self.rings[queue].next_descriptor;
        for (address, length, flags) in descriptors {
            self.add_descriptor(queue, *address, *length, *flags);
        }
        self.make_available(queue, head);
    }

    /// Puts any number into the available ring.
    pub(crate) fn make_available(&mut self, queue: usize, head: u16) {
        let ring = &mut self.rings[queue];
        let available = rings(queue) + 0x1000;
        let entry = available + 4 + 2 * u64::from(ring.available % ring.size);
        ring.available = ring.available.wrapping_add(1);
        let memory = self.memory.memory();
        memory.write_slice(&head.to_le_bytes(), GuestAddress(entry)).unwrap();
        memory.write_slice(&ring.available.to_le_bytes(), GuestAddress(available + 2)).unwrap();
    }

    pub(crate) fn notify(&mut self, queue: usize) {
        self.write(reg::VIRTIO_MMIO_QUEUE_NOTIFY, u32::try_from(queue).unwrap());
    }

    /// The chains returned since this was last asked: head and length.
    pub(crate) fn used(&mut self, queue: usize) -> Vec<(u32, u32)> {
        let memory = self.memory.memory();
        let used = rings(queue) + 0x2000;
        let index: u16 = memory.read_obj(GuestAddress(used + 2)).unwrap();
        let ring = &mut self.rings[queue];
        let mut chains = Vec::new();
        while ring.used != index {
            let entry = used + 4 + 8 * u64::from(ring.used % ring.size);
            let words: [u32; 2] = memory.read_obj(GuestAddress(entry)).unwrap();
            chains.push((words[0], words[1]));
            ring.used = ring.used.wrapping_add(1);
        }
        // What the driver does when it wants to hear of the next one (used_event).
        let event = GuestAddress(rings(queue) + 0x1000 + 4 + 2 * u64::from(ring.size));
        memory.write_slice(&index.to_le_bytes(), event).unwrap();
        chains
    }

    /// The index after which the device wants to be notified (avail_event).
    pub(crate) fn wants_notification_at(&self, queue: usize) -> u16 {
        let event = rings(queue) + 0x2000 + 4 + 8 * u64::from(self.rings[queue].size);
        self.memory.memory().read_obj(GuestAddress(event)).unwrap()
    }

    pub(crate) fn bytes(&self, address: u64, length: u32) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        self.memory.memory().read_slice(&mut bytes, GuestAddress(address)).unwrap();
        bytes
    }

    /// The causes of the interrupt; acknowledges them.
    pub(crate) fn interrupts(&mut self) -> u32 {
        let causes = self.read(reg::VIRTIO_MMIO_INTERRUPT_STATUS);
        assert_eq!(self.line.is_high(), causes != 0);
        self.write(reg::VIRTIO_MMIO_INTERRUPT_ACK, causes);
        assert!(!self.line.is_high());
        causes
    }
}

impl Ring {
    const fn new(size: u16) -> Self {
        Self { size, next_descriptor: 0, available: 0, used: 0 }
    }
}
