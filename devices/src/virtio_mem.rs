//! The virtio-mem device (virtio 1.2, section 5.15): a region of guest-physical addresses in which
//! the driver plugs and unplugs blocks until as many are plugged as the host requested.
//!
//! A request of the host is *accepted* when the requested size is set and the driver told. It is
//! *done* when the plugged size is the requested size, and in progress until then: a driver that
//! cannot go on keeps trying, so it never refuses. A later request for another size ends it, as
//! *partial* or *refused*. A request that is answered with ERROR is the driver's mistake and ends
//! nothing either, since a driver that is loaded anew starts from the state that there is.
//!
//! A PLUG is acknowledged before the guest has onlined the block: "done" is about this device, and
//! only a look into the guest says more.
//!
//! A reset of the device keeps all blocks plugged; a system reset unplugs all and asks the next
//! driver for the requested size.

use std::ops::Range;
use std::sync::Arc;

use crate::memory::{EventSink, GuestRange, HostMemory, Kind, Last, MemoryEvent, MemoryStatus, State};
use crate::warning::Said;
use blocks::Blocks;
use granules::{Granules, index};
use request::{BlockState, Request, Response, Span};

mod abi;
mod blocks;
mod config;
mod device;
mod granules;
mod request;
#[cfg(test)]
mod tests;

pub use config::{VirtioMemConfig, VirtioMemError};

/// The driver may use this much more than was requested, so that it finds blocks it can use.
const USABLE_SLACK: u64 = 256 << 20;
/// Linux adds memory in blocks of at least this size.
const MEMORY_BLOCK: u64 = 128 << 20;

/// The device.
#[derive(Debug)]
pub struct VirtioMem {
    id: String,
    region: GuestRange,
    block_size: u64,
    node: u16,
    requested_size: u64,
    usable_size: u64,
    plugged: Blocks,
    granules: Granules,
    /// Plugged size when the change that is under way began; `None` when none is.
    change_from: Option<u64>,
    last: Option<Last>,
    events: Arc<dyn EventSink>,
    malformed: Said,
    busy: Said,
}

impl VirtioMem {
    /// A device with no block plugged, that asks its driver for `config.requested_size`.
    ///
    /// # Errors
    /// [`VirtioMemError`] names the field of `config` that is wrong.
    pub fn new(
        config: VirtioMemConfig,
        host: Arc<dyn HostMemory>,
        events: Arc<dyn EventSink>,
    ) -> Result<Self, VirtioMemError> {
        config.check()?;
        let VirtioMemConfig { id, region, block_size, node, requested_size, granule } = config;
        let mut device = Self {
            id,
            region,
            block_size,
            node,
            requested_size,
            usable_size: 0,
            plugged: Blocks::new(index(region.size / block_size)),
            granules: Granules::new(region, block_size, granule, host),
            change_from: (requested_size != 0).then_some(0),
            last: None,
            events,
            malformed: Said::default(),
            busy: Said::default(),
        };
        device.usable_size = device.wanted_usable_size();
        Ok(device)
    }

    /// What the device is and does.
    pub fn status(&self) -> MemoryStatus {
        MemoryStatus {
            id: self.id.clone(),
            kind: Kind::VirtioMem,
            node: self.node.into(),
            ranges: vec![self.region],
            slot: None,
            block_size: self.block_size,
            usable_size: self.usable_size,
            requested_size: self.requested_size,
            plugged_size: self.plugged_size(),
            state: self.state(),
            last: self.last.clone(),
        }
    }

    /// Sets the size that the driver is to reach.
    fn request(&mut self, size: u64) -> Result<MemoryStatus, VirtioMemError> {
        config::check_requested(size, self.block_size, self.region.size)?;
        if size != self.requested_size {
            self.supersede(size);
        }
        self.requested_size = size;
        self.usable_size = self.usable_size.max(self.wanted_usable_size());
        let reached = self.plugged_size() == size;
        if reached {
            self.change_from = None;
            self.last = Some(Last::done());
        } else {
            self.change_from.get_or_insert(self.plugged_size());
        }
        let status = self.status();
        self.events.memory(MemoryEvent::Accepted { device: status.clone() });
        Ok(status)
    }

    /// Ends the change that is under way, in favour of one to `size`.
    fn supersede(&mut self, size: u64) {
        let Some(from) = self.change_from.take() else { return };
        let reason = format!("superseded by a request for {size} bytes");
        let (plugged, requested) = (self.plugged_size(), self.requested_size);
        let moved = if from < requested { plugged > from } else { plugged < from };
        self.finish(if moved { Last::partial(reason) } else { Last::refused(reason) });
    }

    fn finish(&mut self, last: Last) {
        self.last = Some(last);
        self.events.memory(MemoryEvent::Finished { device: self.status() });
    }

    fn plugged_size(&self) -> u64 {
        self.plugged.count() as u64 * self.block_size
    }

    fn state(&self) -> State {
        match (self.plugged_size(), self.requested_size) {
            (plugged, requested) if plugged < requested => State::Plugging,
            (plugged, requested) if plugged > requested => State::Unplugging,
            (0, _) => State::Idle,
            _ => State::Plugged,
        }
    }

    /// What the driver needs to reach the requested size: whole memory blocks and some slack.
    fn wanted_usable_size(&self) -> u64 {
        if self.requested_size == 0 {
            return 0;
        }
        let size = self.requested_size.saturating_add(USABLE_SLACK);
        size.checked_next_multiple_of(self.block_size.max(MEMORY_BLOCK))
            .unwrap_or(u64::MAX)
            .min(self.region.size)
    }

    /// The blocks of a request, when they are ones the driver may use.
    fn resolve(&self, span: Span) -> Option<Range<usize>> {
        let offset = span.address.checked_sub(self.region.start)?;
        let end = offset.checked_add(u64::from(span.blocks).checked_mul(self.block_size)?)?;
        let valid = span.blocks != 0 && offset.is_multiple_of(self.block_size) && end <= self.usable_size;
        valid.then(|| index(offset / self.block_size)..index(end / self.block_size))
    }

    fn answer(&mut self, request: Request) -> Response {
        match request {
            Request::Plug(span) => self.resolve(span).map_or(Response::Error, |blocks| self.plug(blocks)),
            Request::Unplug(span) => self.resolve(span).map_or(Response::Error, |blocks| self.unplug(blocks)),
            Request::UnplugAll => self.unplug_all(),
            Request::State(span) => {
                self.resolve(span).map_or(Response::Error, |blocks| self.block_state(blocks))
            }
        }
    }

    fn plug(&mut self, blocks: Range<usize>) -> Response {
        if self.plugged.any(blocks.clone()) {
            return Response::Error;
        }
        let size = blocks.len() as u64 * self.block_size;
        if self.plugged_size() + size > self.requested_size {
            return Response::Nack;
        }
        if let Err(error) = self.granules.plug(&blocks) {
            return self.busy("plug", &error);
        }
        self.plugged.insert(blocks);
        self.plugged_size_changed();
        Response::Ack
    }

    fn unplug(&mut self, blocks: Range<usize>) -> Response {
        if !self.plugged.all(blocks.clone()) {
            return Response::Error;
        }
        if let Err(error) = self.granules.unplug(&blocks, &self.plugged) {
            return self.busy("unplug", &error);
        }
        self.plugged.remove(blocks);
        self.plugged_size_changed();
        Response::Ack
    }

    fn unplug_all(&mut self) -> Response {
        if let Err(error) = self.granules.unplug_all() {
            return self.busy("unplug all", &error);
        }
        let had = self.plugged.count() != 0;
        self.plugged.clear();
        self.usable_size = self.wanted_usable_size();
        if had {
            self.plugged_size_changed();
        }
        Response::Ack
    }

    fn block_state(&self, blocks: Range<usize>) -> Response {
        Response::State(if self.plugged.all(blocks.clone()) {
            BlockState::Plugged
        } else if self.plugged.any(blocks) {
            BlockState::Mixed
        } else {
            BlockState::Unplugged
        })
    }

    fn busy(&mut self, what: &str, error: &crate::memory::HostError) -> Response {
        if self.busy.first() {
            tracing::warn!("{}: the driver's request to {what} has to wait: {error}", self.id);
        }
        Response::Busy
    }

    fn plugged_size_changed(&mut self) {
        self.events.memory(MemoryEvent::Progress { device: self.status() });
        if self.plugged_size() == self.requested_size {
            self.change_from = None;
            self.finish(Last::done());
        } else {
            // A driver that leaves the requested size by itself is asked to come back to it.
            self.change_from.get_or_insert(self.plugged_size());
        }
    }
}
