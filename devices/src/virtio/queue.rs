//! A device's virtqueues: split rings in guest memory (virtio 1.2, section 2.7).
//!
//! The rings themselves are `virtio-queue`'s. Here is what it leaves open: the checks before a
//! queue is used, the suppression of interrupts, one error for everything that a guest can break,
//! and a budget for each pass over the queues: a guest that fills them faster than a device empties
//! them does not keep the host away from the device.

use std::sync::atomic::Ordering;

use crate::memory_map::MemoryMap;
use serde::{Deserialize, Serialize};
use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{
    Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend, GuestMemoryLoadGuard,
};

use super::chain::{Chain, ChainProblem};

mod state;

pub use state::QueueState;

/// Guest memory as it is at present; devices look at it anew for each request.
pub type Memory = GuestMemoryAtomic<MemoryMap>;

/// The driver broke a queue; the device stops until it is reset.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The rings cannot be read or written, or do not make sense.
    #[error("queue {queue}: {source}")]
    Ring {
        /// The queue.
        queue: usize,
        /// What is wrong.
        source: virtio_queue::Error,
    },
    /// What the driver made available is no chain.
    #[error("queue {queue}: {source}")]
    Chain {
        /// The queue.
        queue: usize,
        /// What is wrong.
        source: ChainProblem,
    },
    /// An entry that is there cannot be read.
    #[error("queue {queue}: an available entry cannot be read")]
    Unreadable {
        /// The queue.
        queue: usize,
    },
}

/// Where the driver put a queue; plain data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Entries.
    pub size: u16,
    /// Guest-physical address of the descriptor table.
    pub descriptors: u64,
    /// That of the available ring.
    pub available: u64,
    /// That of the used ring.
    pub used: u64,
}

impl Place {
    /// Whether the three parts lie in guest memory, aligned as they must be.
    fn fits(&self, memory: &MemoryMap) -> bool {
        let size = usize::from(self.size);
        [(self.descriptors, 16, 16 * size), (self.available, 2, 6 + 2 * size), (self.used, 4, 6 + 8 * size)]
            .into_iter()
            .all(|(start, alignment, length)| {
                start % alignment == 0 && GuestMemoryBackend::check_range(memory, GuestAddress(start), length)
            })
    }
}

/// One queue.
#[derive(Debug)]
pub(super) struct Virtqueue {
    index: usize,
    max_size: u16,
    pub(super) place: Place,
    queue: Queue,
    /// Whether something was returned since the driver was last asked whether it wants to know.
    returned: bool,
}

impl Virtqueue {
    pub(super) fn new(index: usize, max_size: u16) -> Self {
        let queue = Queue::new(max_size).expect("devices have queues of a power of two");
        let place = Place { size: max_size, ..Place::default() };
        Self { index, max_size, place, queue, returned: false }
    }

    pub(super) const fn max_size(&self) -> u16 {
        self.max_size
    }

    pub(super) fn is_ready(&self) -> bool {
        self.queue.ready()
    }

    /// Starts using the queue where it was put; returns whether that is possible.
    pub(super) fn start(&mut self, memory: &MemoryMap, event_index: bool) -> bool {
        self.queue.reset();
        self.returned = false;
        let place = self.place;
        let set = self.queue.try_set_size(place.size).is_ok()
            // An available ring at 0 means "none" to `virtio-queue`.
            && place.available != 0
            && place.fits(memory)
            && self.queue.try_set_desc_table_address(GuestAddress(place.descriptors)).is_ok()
            && self.queue.try_set_avail_ring_address(GuestAddress(place.available)).is_ok()
            && self.queue.try_set_used_ring_address(GuestAddress(place.used)).is_ok();
        self.queue.set_event_idx(event_index);
        self.queue.set_ready(set);
        set
    }

    /// Stops using the queue, which has no place in its rings then.
    pub(super) fn stop(&mut self) {
        self.queue.reset();
        self.returned = false;
    }

    fn ring(&self, source: virtio_queue::Error) -> Broken {
        Broken::Ring { queue: self.index, source }
    }

    fn pop(&mut self, memory: &MemoryMap) -> Result<Option<Chain>, Broken> {
        if !self.queue.ready() {
            return Ok(None);
        }
        if !self.has_available(memory)? {
            return Ok(None);
        }
        let next = self.queue.iter(memory).map(|mut available| available.next());
        // Something is there, so an iterator that ends at once could not read it.
        let next = next.map_err(|error| self.ring(error))?.ok_or(Broken::Unreadable { queue: self.index })?;
        let table = GuestAddress(self.place.descriptors);
        let chain = Chain::read(memory, table, self.queue.size(), next.head_index());
        chain.map(Some).map_err(|source| Broken::Chain { queue: self.index, source })
    }

    /// Whether the driver has made something available. If not, it notifies the device of what
    /// comes next. Other processors add to the ring at any time, so this is asked first: only what
    /// was seen to be there can be called unreadable.
    fn has_available(&mut self, memory: &MemoryMap) -> Result<bool, Broken> {
        let seen = self.queue.avail_idx(memory, Ordering::Acquire).map_err(|error| self.ring(error))?;
        if seen.0 != self.queue.next_avail() {
            return Ok(true);
        }
        self.queue.enable_notification(memory).map_err(|error| self.ring(error))
    }

    /// Whether the driver is to be interrupted for what was returned since the last call.
    pub(super) fn wants_interrupt(&mut self, memory: &MemoryMap) -> Result<bool, Broken> {
        if !std::mem::take(&mut self.returned) {
            return Ok(false);
        }
        if self.queue.event_idx_enabled() {
            return self.queue.needs_notification(memory).map_err(|error| self.ring(error));
        }
        let flags: u16 = memory
            .load(GuestAddress(self.queue.avail_ring()), Ordering::Acquire)
            .map_err(|error| self.ring(virtio_queue::Error::GuestMemory(error)))?;
        Ok(u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0)
    }
}

/// What a pass over a device's queues may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Chains.
    pub chains: usize,
    /// Descriptors, of all chains together.
    pub descriptors: usize,
    /// Bytes that the device copies.
    pub bytes: usize,
}

impl Budget {
    /// What every pass begins with: some hundred microseconds' worth.
    pub const PASS: Self = Self { chains: 64, descriptors: 1024, bytes: 1 << 20 };

    const fn is_spent(self) -> bool {
        self.chains == 0 || self.descriptors == 0 || self.bytes == 0
    }

    fn charge(&mut self, chain: &Chain) {
        self.chains -= 1;
        self.descriptors = self.descriptors.saturating_sub(chain.descriptors());
    }
}

/// A device's queues while it works on them: one pass, in which it takes what [`Budget::PASS`] allows.
#[derive(Debug)]
pub struct Queues<'a> {
    pub(super) queues: &'a mut [Virtqueue],
    pub(super) memory: &'a Memory,
    /// Whether the driver is running.
    pub(super) live: bool,
    /// What it chose of the features.
    pub(super) features: u64,
    /// Whether the configuration space has changed.
    pub(super) config_differs: bool,
    /// Whether the driver is to be told so.
    pub(super) config_interrupt: bool,
    pub(super) budget: Budget,
}

impl Queues<'_> {
    /// Guest memory as it is now. It is kept alive as long as the guard is, so a device drops the
    /// guard before it has host memory taken away.
    pub fn memory(&self) -> GuestMemoryLoadGuard<MemoryMap> {
        self.memory.memory()
    }

    /// The features that the driver chose.
    pub const fn features(&self) -> u64 {
        self.features
    }

    /// Takes the next chain from queue `index`; `None` when there is none, or no driver that runs.
    /// The driver notifies the device when it adds one after that. `None` as well when the pass
    /// [`is_over`](Self::is_over), in which case the device has to come back by itself.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn pop(&mut self, index: usize, memory: &MemoryMap) -> Result<Option<Chain>, Broken> {
        if !self.live || self.is_over() {
            return Ok(None);
        }
        let chain = self.queues[index].pop(memory)?;
        if let Some(chain) = &chain {
            self.budget.charge(chain);
        }
        Ok(chain)
    }

    /// Bytes that the device may still copy in this pass.
    pub const fn bytes_left(&self) -> usize {
        self.budget.bytes
    }

    /// The device has copied so many bytes of a chain.
    pub const fn copied(&mut self, bytes: usize) {
        self.budget.bytes = self.budget.bytes.saturating_sub(bytes);
    }

    /// Whether this pass has taken all that it may: there may be more, for the next one.
    pub const fn is_over(&self) -> bool {
        self.budget.is_spent()
    }

    /// Puts the chain that was popped last back in its place.
    pub fn put_back(&mut self, index: usize) {
        self.queues[index].queue.go_to_previous_position();
    }

    /// Returns a chain to the driver, with `length` bytes written to it.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn complete(
        &mut self,
        index: usize,
        memory: &MemoryMap,
        head: u16,
        length: u32,
    ) -> Result<(), Broken> {
        let virtqueue = &mut self.queues[index];
        virtqueue.returned = true;
        virtqueue.queue.add_used(memory, head, length).map_err(|error| virtqueue.ring(error))
    }

    /// Whether a driver runs that has set up queue `index` and not stopped it.
    pub fn is_running(&self, index: usize) -> bool {
        self.live && self.queues[index].is_ready()
    }

    /// Tells the driver, if it runs, that the configuration space has changed.
    pub const fn config_changed(&mut self) {
        self.config_differs();
        self.config_interrupt = true;
    }

    /// The configuration space has changed, which the driver sees when it looks at it.
    pub const fn config_differs(&mut self) {
        self.config_differs = true;
    }
}
