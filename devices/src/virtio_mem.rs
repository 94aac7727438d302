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

use crate::memory::{GuestRange, Holding, Kind, Last, MemoryEvent, MemoryStatus, Outside, State};
use crate::units::Bytes;
use crate::warning::Said;
use blocks::Blocks;
use held::Held;
use usable::usable_size;

pub use unplugged::Unplugged;

mod abi;
mod answer;
mod blocks;
mod config;
mod device;
mod held;
mod log;
mod request;
mod state;
mod stay;
#[cfg(test)]
mod tests;
mod unplugged;
mod usable;

pub use config::{VirtioMemConfig, VirtioMemError};
pub use log::{RequestCounts, RequestLog, RequestRecord};
pub use request::{BlockState, Malformed, Request, Response, Span};
pub use state::{HeldState, VirtioMemState};
pub use stay::Stay;

/// The device.
#[derive(Debug)]
pub struct VirtioMem {
    id: String,
    region: GuestRange,
    block_size: u64,
    node: u16,
    requested_size: u64,
    /// Whether it takes drivers that may touch unplugged memory.
    legacy: bool,
    stay: Stay,
    usable_size: u64,
    plugged: Blocks,
    /// Plugged size when the change that is under way began; `None` when none is.
    change_from: Option<u64>,
    last: Option<Last>,
    /// A request that a fault delays.
    held: Option<Held>,
    log: RequestLog,
    /// What was asked for since this process has the device.
    counts: RequestCounts,
    outside: Outside,
    wrong: Said,
    busy: Said,
}

impl VirtioMem {
    /// A device with no block plugged, that asks its driver for `config.requested_size`.
    ///
    /// # Errors
    /// [`VirtioMemError`] names the field of `config` that is wrong.
    pub fn new(config: VirtioMemConfig, outside: Outside) -> Result<Self, VirtioMemError> {
        config.check()?;
        let VirtioMemConfig { id, region, block_size, node, requested_size, legacy } = config;
        let mut device = Self {
            id,
            region,
            block_size,
            node,
            requested_size,
            legacy,
            stay: Stay::Here,
            usable_size: 0,
            plugged: Blocks::new(index(region.size / block_size)),
            change_from: (requested_size != 0).then_some(0),
            last: None,
            held: None,
            log: RequestLog::default(),
            counts: RequestCounts::default(),
            outside,
            wrong: Said::default(),
            busy: Said::default(),
        };
        device.usable_size = device.wanted_usable_size();
        Ok(device)
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
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
            waits_for: None,
        }
    }

    /// The runs of plugged blocks, which are just the host memory that it has; for the audit.
    pub fn holding(&self) -> Holding {
        let ranges = self.plugged.runs().map(|run| self.range(&run)).collect();
        Holding { id: self.id.clone(), ranges }
    }

    /// The latest 4096 requests of the driver, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.log.records(self.block_size)
    }

    /// How often the driver asked for what and was answered how, since this process has the device.
    pub const fn request_counts(&self) -> &RequestCounts {
        &self.counts
    }

    /// Notes what the driver asked for.
    fn note(&mut self, request: Result<Request, Malformed>, response: Option<Response>) {
        let count = self.counts.entry(log::words(request, response)).or_default();
        *count = count.saturating_add(1);
        self.log.push(request, response);
    }

    /// Sets the size that the driver is to reach.
    fn request(&mut self, size: u64) -> Result<MemoryStatus, VirtioMemError> {
        config::check_requested(size, self.block_size, self.region.size)?;
        if self.is_leaving() {
            return Err(VirtioMemError::Leaving);
        }
        if size != self.requested_size {
            self.supersede(size);
        }
        self.requested_size = size;
        self.usable_size = self.usable_size.max(self.wanted_usable_size());
        let reached = self.plugged_size() == size && self.stay == Stay::Here;
        if reached {
            self.change_from = None;
            self.last = Some(Last::done());
        } else {
            self.change_from.get_or_insert(self.plugged_size());
        }
        let status = self.status();
        self.outside.events.memory(MemoryEvent::Accepted { device: status.clone() });
        Ok(status)
    }

    /// Ends the change that is under way, in favour of one to `size`.
    fn supersede(&mut self, size: u64) {
        let Some(from) = self.change_from.take() else { return };
        let reason = format!("superseded by a request for {}", Bytes(size));
        let (plugged, requested) = (self.plugged_size(), self.requested_size);
        let moved = if from < requested { plugged > from } else { plugged < from };
        self.finish(if moved { Last::partial(reason) } else { Last::refused(reason) });
    }

    fn finish(&mut self, last: Last) {
        self.last = Some(last);
        self.outside.events.memory(MemoryEvent::Finished { device: self.status() });
    }

    fn plugged_size(&self) -> u64 {
        self.plugged.count() as u64 * self.block_size
    }

    fn state(&self) -> State {
        match (self.stay, self.plugged_size(), self.requested_size) {
            (Stay::Coming, ..) => State::Plugging,
            (Stay::Leaving, ..) => State::Unplugging,
            (_, plugged, requested) if plugged < requested => State::Plugging,
            (_, plugged, requested) if plugged > requested => State::Unplugging,
            (_, 0, _) => State::Idle,
            _ => State::Plugged,
        }
    }

    fn wanted_usable_size(&self) -> u64 {
        usable_size(self.region, self.block_size, self.requested_size)
    }

    fn plugged_size_changed(&mut self) {
        self.outside.events.memory(MemoryEvent::Progress { device: self.status() });
        if self.plugged_size() == self.requested_size {
            self.change_from = None;
            self.finish(Last::done());
        } else {
            // A driver that leaves the requested size by itself is asked to come back to it.
            self.change_from.get_or_insert(self.plugged_size());
        }
    }
}

/// A number of blocks as an index; there are far fewer than addresses.
fn index(count: u64) -> usize {
    usize::try_from(count).expect("block counts fit in the 64-bit host's usize")
}
