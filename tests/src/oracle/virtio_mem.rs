//! The driver of virtio-mem devices (drivers/virtio/virtio_mem.c): in which order it plugs and unplugs.
//!
//! Where a device's blocks are smaller than memory blocks it works in sub-blocks ([`sbm`]), else in big
//! blocks of one or more memory blocks ([`bbm`]).

use std::ops::Range;

use dimmer_devices::fault::{ActionName, Point};

use super::group::GroupKind;
use super::linux::Linux;
use super::memory::{GroupId, Memory};
use super::zone::PAGE;

pub mod bbm;
pub mod sbm;

use bbm::BigBlocks;
use sbm::SubBlocks;

/// Bytes of a pageblock, the least that Linux can take out of an online block.
const PAGEBLOCK: u64 = 2 << 20;
/// How much memory of one device may be offline before no more is added
/// (`VIRTIO_MEM_DEFAULT_OFFLINE_THRESHOLD`).
const OFFLINE_THRESHOLD: u64 = 1 << 30;

/// A device as it was specified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its addresses.
    pub region: Range<u64>,
    /// Bytes of a device block.
    pub block_size: u64,
    /// Its node.
    pub node: u32,
}

/// What the driver asks the device for, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To plug these.
    Plug(Range<u64>),
    /// To unplug these.
    Unplug(Range<u64>),
}

/// One device and its driver.
#[derive(Debug, Clone)]
pub struct VirtioMem {
    /// The device.
    pub spec: DeviceSpec,
    /// Bytes that it is to reach.
    pub requested: u64,
    /// Bytes of the region that the driver may use.
    pub usable: u64,
    /// The requests so far, oldest first.
    pub requests: Vec<Request>,
    /// Whether an answer made the driver give the device up.
    pub broken: bool,
    id: String,
    group: Option<GroupId>,
    mode: Mode,
}

#[derive(Debug, Clone)]
enum Mode {
    Sub(SubBlocks),
    Big(BigBlocks),
}

impl VirtioMem {
    /// Bytes that are plugged.
    pub fn plugged(&self) -> u64 {
        match &self.mode {
            Mode::Sub(sub) => sub.plugged(),
            Mode::Big(big) => big.plugged(),
        }
    }

    /// Makes a request until the answer is another one than NACK (`virtio_mem_send_request`; a PLUG is repeated at
    /// once). Returns whether the device did as asked; if not, the driver stops for now, or for ever.
    fn ask(&mut self, linux: &mut Linux, request: &Request) -> bool {
        let point = match request {
            Request::Plug(_) => Point::Plug,
            Request::Unplug(_) => Point::Unplug,
        };
        loop {
            self.requests.push(request.clone());
            match linux.faults.hit(&self.id, point) {
                None | Some(ActionName::Delay) => return true,
                Some(ActionName::Nack) if point == Point::Plug => {}
                Some(answer) => {
                    self.broken |= answer == ActionName::Error;
                    return false;
                }
            }
        }
    }

    /// Whether memory block `index` lies in its region.
    pub fn covers(&self, index: u64, block_size: u64) -> bool {
        self.spec.region.contains(&(index * block_size))
    }

    /// Bytes of its blocks that Linux has and that are offline.
    fn offline(&self, memory: &Memory) -> u64 {
        let size = memory.block_size();
        let indices = self.spec.region.start / size..self.spec.region.end.div_ceil(size);
        memory.offline_blocks().range(indices).count() as u64 * size
    }

    /// Bytes of memory that is added at a time, and the offline memory that is allowed.
    fn step_and_threshold(&self, memory: &Memory) -> (u64, u64) {
        let step = match &self.mode {
            Mode::Sub(_) => memory.block_size(),
            Mode::Big(big) => big.size(),
        };
        (step, OFFLINE_THRESHOLD.max(2 * step))
    }

    /// Whether `size` more bytes may be added (`virtio_mem_could_add_memory`).
    fn could_add(&self, memory: &Memory, size: u64) -> bool {
        self.offline(memory) + size <= self.step_and_threshold(memory).1
    }

    /// Whether it stopped because of offline memory and goes on now that some went online.
    pub(super) fn waits_for_online(&self, memory: &Memory) -> bool {
        !self.broken
            && self.requested > self.plugged()
            && self.could_add(memory, self.step_and_threshold(memory).1 / 2)
    }
}

impl Linux {
    /// The driver finds a device; nothing of it is plugged.
    pub fn probe_virtio_mem(&mut self, id: &str, spec: DeviceSpec) {
        let memory_block = self.memory.block_size();
        let sub_block = spec.block_size.max(PAGEBLOCK);
        let (mode, unit) = if sub_block < memory_block {
            (Mode::Sub(SubBlocks::new(&spec.region, sub_block, memory_block)), memory_block)
        } else {
            let size = spec.block_size.max(memory_block);
            (Mode::Big(BigBlocks::new(&spec.region, size)), size)
        };
        let unit_pages = unit / PAGE;
        let group = self.release.has_groups();
        let group = group.then(|| self.memory.register(GroupKind::Dynamic { unit_pages }, spec.node));
        let (requests, broken) = (Vec::new(), false);
        let id = id.to_owned();
        let device =
            VirtioMem { spec, requested: 0, usable: 0, requests, broken, id: id.clone(), group, mode };
        self.virtio_mem.insert(id, device);
    }

    /// The device asks for another size, and lets the driver use `usable` bytes of its region.
    ///
    /// # Panics
    /// When there is no such device.
    pub fn resize_virtio_mem(&mut self, id: &str, requested: u64, usable: u64) {
        let device = self.virtio_mem.get_mut(id).expect("the caller names a device that is there");
        (device.requested, device.usable) = (requested, usable);
        if self.faults.hit(id, Point::Interrupt).is_none() {
            self.run_virtio_mem(id);
        }
    }

    /// One run of the driver's work (`virtio_mem_run_wq`).
    ///
    /// # Panics
    /// When there is no such device.
    pub fn run_virtio_mem(&mut self, id: &str) {
        let mut device = self.virtio_mem.remove(id).expect("the caller names a device that is there");
        if !device.broken {
            let mut mode = device.mode.clone();
            match &mut mode {
                Mode::Sub(sub) => sub.run(self, &mut device),
                Mode::Big(big) => big.run(self, &mut device),
            }
            device.mode = mode;
        }
        self.virtio_mem.insert(id.to_owned(), device);
    }
}
