//! The driver of virtio-mem devices (drivers/virtio/virtio_mem.c): in which order it plugs and unplugs.
//!
//! Where a device's blocks are smaller than memory blocks it works in sub-blocks ([`sbm`]), else in big
//! blocks of one or more memory blocks ([`bbm`]).

use std::collections::VecDeque;
use std::ops::Range;

use super::faults::{Failure, Point};
use super::linux::Linux;
use super::memory::{GroupId, Memory};
use super::mistake::Mistake;
use super::release::Release;
use super::rule::Rule;

mod absent;
pub mod bbm;
mod bound;
mod request;
pub mod sbm;

use bbm::BigBlocks;
pub use request::Request;
use sbm::SubBlocks;

/// How much memory of one device may be offline before no more is added
/// (`VIRTIO_MEM_DEFAULT_OFFLINE_THRESHOLD`).
const OFFLINE_THRESHOLD: u64 = 1 << 30;
/// How many blocks of one device may be offline where they are counted (`VIRTIO_MEM_NB_OFFLINE_THRESHOLD`).
const OFFLINE_BLOCKS: u64 = 10;

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

/// One device and its driver.
#[derive(Debug, Clone)]
pub struct VirtioMem {
    /// The device.
    pub spec: DeviceSpec,
    /// Bytes that it is to reach.
    pub requested: u64,
    /// Bytes of the region that the driver may use.
    pub usable: u64,
    /// The requests so far that were carried out, oldest first.
    pub requests: Vec<Request>,
    /// What the driver of a real guest asked for and the model has not yet; `None` while there is no guest to
    /// follow.
    pub seen: Option<VecDeque<Request>>,
    /// Whether the driver's timer runs (`retry_timer`): not where too much is offline, which no time changes.
    pub timer: bool,
    /// Whether the driver gave the device up, for an answer of it.
    pub broken: bool,
    /// Whether the device takes no driver that does not promise to leave unplugged memory alone, and this one does not.
    pub refused: bool,
    id: String,
    /// Bytes of memory that is added at a time.
    step: u64,
    group: Option<GroupId>,
    mode: Mode,
}

#[derive(Debug, Clone)]
enum Mode {
    Sub(SubBlocks),
    Big(BigBlocks),
    /// The driver does not take the device.
    Refused,
}

impl VirtioMem {
    /// Bytes that are plugged.
    pub fn plugged(&self) -> u64 {
        match &self.mode {
            Mode::Sub(sub) => sub.plugged(),
            Mode::Big(big) => big.plugged(),
            Mode::Refused => 0,
        }
    }

    /// Its memory group; `None` where the release has none.
    pub const fn group(&self) -> Option<GroupId> {
        self.group
    }

    /// Pages that are not plugged of those of its blocks for which `online` says so.
    pub fn unplugged_pages(&self, online: impl Fn(u64) -> bool) -> u64 {
        match &self.mode {
            Mode::Sub(sub) => sub.unplugged_pages(online),
            Mode::Big(_) | Mode::Refused => 0,
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

    /// Bytes of offline memory that are allowed.
    fn threshold(&self) -> u64 {
        OFFLINE_THRESHOLD.max(2 * self.step)
    }

    /// Whether `size` more bytes may be added (`virtio_mem_could_add_memory`).
    fn could_add(&self, memory: &Memory, release: Release, size: u64) -> bool {
        if memory.makes(Mistake::NoOfflineThreshold) {
            return true;
        }
        if !release.has_big_blocks() {
            return self.offline(memory) < OFFLINE_BLOCKS * memory.block_size();
        }
        self.offline(memory) + size <= self.threshold()
    }

    /// Whether the driver goes on after one of its blocks went online (`MEM_ONLINE` in
    /// `virtio_mem_memory_notifier_cb`).
    pub(super) fn goes_on_after_online(&self, memory: &Memory, release: Release) -> bool {
        if self.broken || self.refused {
            return false;
        }
        if !release.has_big_blocks() {
            return self.offline(memory) == (OFFLINE_BLOCKS - 1) * memory.block_size();
        }
        self.could_add(memory, release, self.threshold() / 2)
    }

    /// Whether it has more plugged than it is to have; the driver tries again by itself.
    fn is_too_large(&self) -> bool {
        self.plugged() > self.requested
    }

    /// Whether a guest was seen to ask for more while it has too much plugged.
    fn can_retry(&self) -> bool {
        self.is_too_large() && self.seen.as_ref().is_some_and(|seen| !seen.is_empty())
    }

    /// The driver sends a request, a PLUG again and again as long as the answer is NACK
    /// (`virtio_mem_send_plug_request`, `-EAGAIN`). Returns whether the device has carried it out; if not, the driver
    /// stops for now, or for ever.
    fn ask(&mut self, linux: &mut Linux, request: Request) -> bool {
        let point = match request {
            Request::Plug(_) => Point::Plug,
            Request::Unplug(_) => Point::Unplug,
            Request::UnplugAll => Point::UnplugAll,
        };
        loop {
            match linux.faults.hit(&self.id, point) {
                None | Some(Failure::Delay) => break,
                Some(Failure::Nack) if point == Point::Plug => linux.memory.meet(Rule::NackIsTriedAgain),
                Some(answer) => {
                    let breaks = answer == Failure::Error;
                    linux.memory.meet(if breaks { Rule::ErrorBreaksDriver } else { Rule::AnswerStopsDriver });
                    self.broken |= breaks;
                    self.timer |= !breaks;
                    return false;
                }
            }
        }
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.front() == Some(&request)) {
            seen.pop_front();
        }
        self.requests.push(request);
        true
    }

    /// Requests so far, and those that were seen beside: a request that was not seen makes it more.
    fn unseen(&self) -> usize {
        self.requests.len() + self.seen.as_ref().map_or(0, VecDeque::len)
    }

    /// Whether a guest was seen to give back what it has just plugged, since it could not add it.
    fn could_not_add(&self, bytes: &Range<u64>) -> bool {
        let next = self.seen.as_ref().and_then(VecDeque::front);
        matches!(next, Some(Request::Unplug(range)) if range == bytes)
    }

    /// Whether kernel memory in `bytes` can be emptied: as a guest was seen to do it, else yes. A request that a fault
    /// answers is not among those that were seen.
    fn is_let_go(&self, linux: &Linux, bytes: &Range<u64>) -> bool {
        if linux.chance.sends_unseen_requests() && linux.faults.would_hit(&self.id, Point::Unplug) {
            return true;
        }
        let next =
            |seen: &VecDeque<Request>| matches!(seen.front(), Some(Request::Unplug(range)) if range == bytes);
        self.seen.as_ref().is_none_or(next)
    }
}

impl Linux {
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

    /// The driver's work (`virtio_mem_run_wq`), until it has nothing to do or nothing helps: it runs once
    /// more after each run that removed a block (`virtio_mem_retry`).
    ///
    /// # Panics
    /// When there is no such device.
    pub fn run_virtio_mem(&mut self, id: &str) {
        let mut device = self.virtio_mem.remove(id).expect("the caller names a device that is there");
        device.timer = false;
        loop {
            let blocks = self.memory.blocks().len();
            // Nobody asks for the mode while the driver runs.
            let mut mode = std::mem::replace(&mut device.mode, Mode::Refused);
            match &mut mode {
                _ if device.broken || device.refused => {}
                Mode::Sub(sub) => sub.run(self, &mut device),
                Mode::Big(big) => big.run(self, &mut device),
                Mode::Refused => {}
            }
            device.mode = mode;
            if self.memory.blocks().len() >= blocks || !device.is_too_large() {
                break;
            }
        }
        device.timer |= device.is_too_large() && !device.broken;
        self.virtio_mem.insert(id.to_owned(), device);
    }

    /// From now on the drivers are taken to do what they were seen to do, where Linux leaves it open.
    pub fn follow_requests(&mut self, seen: impl Fn(&str) -> Option<Vec<Request>>) {
        for (id, device) in &mut self.virtio_mem {
            device.requests.clear();
            device.seen = seen(id).map(VecDeque::from);
        }
    }

    /// Lets the drivers try once more to give back what they could not: after 50 to 300 seconds they do so by
    /// themselves. They have when all that they ask for then was seen; without a guest to follow nothing changes.
    pub fn retry_virtio_mem(&mut self) {
        let ids: Vec<String> = self.virtio_mem.keys().cloned().collect();
        for id in ids {
            while self.virtio_mem[&id].can_retry() {
                let (mut after, before) = (self.clone(), &self.virtio_mem[&id]);
                after.run_virtio_mem(&id);
                let device = &after.virtio_mem[&id];
                if device.plugged() == before.plugged() || device.unseen() > before.unseen() {
                    break;
                }
                *self = after;
            }
        }
    }
}
