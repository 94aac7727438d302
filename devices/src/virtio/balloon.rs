//! The virtio memory balloon (virtio 1.2, section 5.5): pages that the guest gives away for as long as the host likes, pages that
//! it reports as free, and what it says of its memory.
//!
//! What is given away goes back to the host at once and stays where it is: the guest gets other memory there when it touches it
//! again, so that a deflation needs nothing done. Whatever numbers of pages a driver names, only memory that the guest has is
//! given back, and only so much for a chain and for a pass; a page that is no memory, or was unplugged, is passed over.

use std::sync::Arc;
use std::time::Duration;

use virtio_bindings::virtio_ids::VIRTIO_ID_BALLOON;

use super::device::VirtioDevice;
use super::mmio::VirtioMmio;
use super::queue::{Broken, Queues};
use crate::alarm::{Alarm, LONGEST, Purpose};
use crate::memory::{Afterwards, GuestRange, HostMemory};
use crate::register;
use crate::state::StateError;
use crate::warning::Said;
pub use state::{BalloonState, BalloonStatus};
pub use statistics::Statistics;

mod pages;
mod state;
mod statistics;
#[cfg(test)]
mod tests;

/// Bytes of a page, whatever the guest's own are.
pub const PAGE: u64 = 4096;
/// By this name the device is called back for what a pass left in the queues: none that a memory device can have.
pub const QUEUES: &str = "(balloon)";
/// By this one, when the driver is to be asked how its memory is.
pub const STATISTICS: &str = "(balloon statistics)";

/// Bits of the features.
const F_STATS_VQ: u64 = 1 << 1;
const F_DEFLATE_ON_OOM: u64 = 1 << 2;
const F_REPORTING: u64 = 1 << 5;
/// Entries of each queue: Linux reports 32 pieces of memory at a time.
const QUEUE_SIZE: u16 = 128;
/// Where the driver says in the configuration space how many pages are in the balloon.
const ACTUAL: u64 = 4;

/// What the device is asked to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalloonConfig {
    /// Pages that are to be in the balloon.
    pub target: u32,
    /// Whether the driver takes pages out again when the guest has none left.
    pub deflate_on_oom: bool,
    /// Whether the driver says which pages are free.
    pub free_page_reporting: bool,
    /// Seconds after which the driver says again how its memory is; `None` if it is not asked.
    pub statistics: Option<u32>,
}

/// What a queue is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Inflate,
    Deflate,
    Statistics,
    Report,
}

/// The device.
#[derive(Debug)]
pub struct Balloon {
    config: BalloonConfig,
    /// Pages in the balloon, as the driver says.
    actual: u32,
    statistics: Statistics,
    /// The chain that goes back to the driver when it is to say again how its memory is.
    held: Option<u16>,
    given_back: u64,
    reported: u64,
    host: Arc<dyn HostMemory>,
    alarm: Arc<dyn Alarm>,
    failed: Said,
}

impl Balloon {
    /// A balloon without a page in it. `alarm` calls it back by the names [`QUEUES`] and [`STATISTICS`].
    pub fn new(config: BalloonConfig, host: Arc<dyn HostMemory>, alarm: Arc<dyn Alarm>) -> Self {
        let (statistics, failed) = (Statistics::default(), Said::default());
        Self { config, actual: 0, statistics, held: None, given_back: 0, reported: 0, host, alarm, failed }
    }

    /// The queues in their order. Linux numbers those that there are, and leaves no number out for one that there is not.
    fn roles(features: u64) -> impl Iterator<Item = Role> {
        let optional = [(Role::Statistics, F_STATS_VQ), (Role::Report, F_REPORTING)];
        let optional = optional.into_iter().filter(move |(_, bit)| features & bit != 0);
        [Role::Inflate, Role::Deflate].into_iter().chain(optional.map(|(role, _)| role))
    }

    /// Gives back what the driver names in queue `index`.
    fn take_pages(&mut self, role: Role, index: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let afterwards = if role == Role::Report { Afterwards::ZeroesOrSame } else { Afterwards::Anything };
        loop {
            // No view of guest memory is held while memory is given back, because somebody may wait for it to go.
            let (head, ranges) = {
                let memory = queues.memory();
                let Some(chain) = queues.pop(index, &memory)? else { return Ok(()) };
                let ranges = match role {
                    Role::Inflate => pages::listed(&chain, &memory),
                    Role::Report => pages::reported(&chain),
                    Role::Deflate | Role::Statistics => Vec::new(),
                };
                (chain.head(), ranges)
            };
            queues.copied(pages::cost(&ranges));
            let given = self.release(&ranges, afterwards);
            let sum = if role == Role::Report { &mut self.reported } else { &mut self.given_back };
            *sum = sum.saturating_add(given);
            let memory = queues.memory();
            queues.complete(index, &memory, head, 0)?;
        }
    }

    fn release(&mut self, ranges: &[GuestRange], afterwards: Afterwards) -> u64 {
        self.host.release(ranges, afterwards).unwrap_or_else(|error| {
            if self.failed.first() {
                tracing::warn!("balloon: memory stays in use: {error}");
            }
            0
        })
    }

    /// Reads what the driver says of its memory and keeps the chain; an earlier one goes back at once.
    fn take_statistics(&mut self, index: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let memory = queues.memory();
        while let Some(chain) = queues.pop(index, &memory)? {
            self.statistics = Statistics::read(&chain, &memory);
            if let Some(head) = self.held.replace(chain.head()) {
                queues.complete(index, &memory, head, 0)?;
            }
            self.set_alarm();
        }
        Ok(())
    }

    fn set_alarm(&self) {
        if let Some(seconds) = self.config.statistics.filter(|_| self.held.is_some()) {
            let delay = Duration::from_secs(seconds.max(1).into()).min(LONGEST);
            self.alarm.after(delay, STATISTICS, Purpose::Delay);
        }
    }

    /// Gives the chain for statistics back, so that the driver fills it anew.
    fn ask(&mut self, queues: &mut Queues<'_>) -> Result<(), Broken> {
        let mut roles = Self::roles(queues.features());
        let Some(index) = roles.position(|role| role == Role::Statistics) else { return Ok(()) };
        match self.held.take() {
            Some(head) if queues.is_running(index) => {
                let memory = queues.memory();
                queues.complete(index, &memory, head, 0)
            }
            _ => Ok(()),
        }
    }
}

impl VirtioMmio<Balloon> {
    /// Asks the driver to have so many pages in the balloon.
    pub fn set_target(&mut self, pages: u32) {
        self.with_device(|balloon, queues| {
            if std::mem::replace(&mut balloon.config.target, pages) != pages {
                queues.config_changed();
            }
        });
    }

    /// From now on the driver says every so many seconds how its memory is, if it was asked from the start.
    pub fn set_interval(&mut self, seconds: u32) {
        self.with_device(|balloon, _| {
            balloon.config.statistics = balloon.config.statistics.map(|_| seconds);
            balloon.set_alarm();
        });
    }

    /// Does what there is to do when the alarm of this name rings.
    pub fn alarm(&mut self, name: &str) {
        match name {
            QUEUES => self.go_on(),
            STATISTICS => self.with_queues(Balloon::ask),
            _ => {}
        }
    }
}

impl VirtioDevice for Balloon {
    const DEVICE_ID: u32 = VIRTIO_ID_BALLOON;

    type State = BalloonState;

    fn state(&self) -> BalloonState {
        self.taken()
    }

    fn restore(&mut self, state: &BalloonState) -> Result<(), StateError> {
        self.go_on_from(state)
    }

    fn queue_sizes(&self) -> &[u16] {
        &[QUEUE_SIZE; 4][..Self::roles(self.features()).count()]
    }

    fn features(&self) -> u64 {
        let BalloonConfig { deflate_on_oom, free_page_reporting, statistics, .. } = self.config;
        [
            (deflate_on_oom, F_DEFLATE_ON_OOM),
            (free_page_reporting, F_REPORTING),
            (statistics.is_some(), F_STATS_VQ),
        ]
        .into_iter()
        .filter(|(is_on, _)| *is_on)
        .fold(0, |features, (_, bit)| features | bit)
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.config.target.to_le_bytes());
        bytes[4..].copy_from_slice(&self.actual.to_le_bytes());
        register::copy(&bytes, offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if let Some(value) = register::written(offset, data).filter(|_| offset == ACTUAL) {
            self.actual = value;
        }
    }

    fn process(&mut self, index: usize, queues: &mut Queues<'_>) -> Result<(), Broken> {
        match Self::roles(queues.features()).nth(index) {
            Some(Role::Statistics) => self.take_statistics(index, queues)?,
            Some(role) => self.take_pages(role, index, queues)?,
            // A queue of a feature that the driver did not choose.
            None => {}
        }
        if queues.is_over() {
            self.alarm.after(Duration::ZERO, QUEUES, Purpose::Queue);
        }
        Ok(())
    }

    /// What is to be in the balloon stays; what was in it is the guest's again.
    fn reset(&mut self) {
        (self.actual, self.held) = (0, None);
        self.statistics = Statistics::default();
    }
}
