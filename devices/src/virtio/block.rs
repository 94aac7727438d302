//! The virtio block device (virtio 1.2, section 5.2), up to the disk: what the driver asks for is [taken](VirtioMmio::take) as a
//! [`Job`], carried out by whoever has the disk, on a thread of its own, and [answered](VirtioMmio::answer).
//!
//! Data is copied between guest memory and the job while the device is locked, and never read or written there by the host's
//! kernel: memory that goes meanwhile fails its own request and nothing else, and no request outlives its driver.

use std::fmt;

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_ids::VIRTIO_ID_BLOCK;

use super::device::VirtioDevice;
use super::mmio::VirtioMmio;
use super::queue::{Broken, Queues};
use crate::register;
use crate::state::StateError;
use job::request;
pub use job::{Job, Work};

mod job;
#[cfg(test)]
mod tests;

/// Bytes of a sector, whatever the disk's own are.
pub const SECTOR: u64 = 512;
pub use dimmer_plan::spec::SERIAL;

/// Bits of the features.
const F_SIZE_MAX: u64 = 1 << 1;
const F_SEG_MAX: u64 = 1 << 2;
const F_RO: u64 = 1 << 5;
const F_BLK_SIZE: u64 = 1 << 6;
const F_FLUSH: u64 = 1 << 9;
const F_DISCARD: u64 = 1 << 13;
const F_WRITE_ZEROES: u64 = 1 << 14;

/// What a driver is told of the largest request: buffers, bytes of each, and sectors to discard or to zero.
const BUFFERS: u32 = 126;
const BUFFER: u32 = 64 << 10;
const LARGEST: u64 = BUFFERS as u64 * BUFFER as u64;
const LARGEST_CUT: u32 = 1 << 21;

/// What the device says of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockConfig {
    /// Sectors of the disk.
    pub sectors: u64,
    /// Whether it can be read only.
    pub readonly: bool,
    /// Its name for the driver, of which [`SERIAL`] bytes count.
    pub serial: String,
}

/// The device.
pub struct Block {
    config: BlockConfig,
    /// Counts drivers: what one has asked for is not answered to the next.
    epoch: u64,
    wake: Box<dyn Fn() + Send>,
}

/// What is saved of it, when no job is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockState {
    /// Sectors of the disk.
    pub sectors: u64,
}

impl Block {
    /// A device for a disk. `wake` is called, with the device's lock held, when there may be something to take.
    pub fn new(config: BlockConfig, wake: Box<dyn Fn() + Send>) -> Self {
        Self { config, epoch: 0, wake }
    }

    fn take(&self, queues: &mut Queues<'_>) -> Result<Option<Job>, Broken> {
        let memory = queues.memory();
        let Some(chain) = queues.pop(0, &memory)? else { return Ok(None) };
        let stable = queues.features() & F_FLUSH == 0;
        let work = request(&self.config, &chain, &memory);
        Ok(Some(Job { work, stable, epoch: self.epoch, chain }))
    }

    fn answer(&self, job: &Job, result: &Result<Vec<u8>, ()>, queues: &mut Queues<'_>) -> Result<(), Broken> {
        if job.epoch != self.epoch || !queues.is_running(0) {
            return Ok(());
        }
        let memory = queues.memory();
        let written = job.write_back(&memory, result);
        queues.complete(0, &memory, job.chain.head(), written)
    }

    fn bytes(&self) -> [u8; 60] {
        let mut bytes = [0; 60];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &self.config.sectors.to_le_bytes());
        put(8, &BUFFER.to_le_bytes());
        put(12, &BUFFERS.to_le_bytes());
        put(20, &512_u32.to_le_bytes());
        // One segment each, and any sector may be the first.
        for at in [36, 48] {
            put(at, &LARGEST_CUT.to_le_bytes());
            put(at + 4, &1_u32.to_le_bytes());
        }
        put(44, &1_u32.to_le_bytes());
        put(56, &[1]);
        bytes
    }
}

impl VirtioMmio<Block> {
    /// The next thing that the driver asks for, if there is one.
    pub fn take(&mut self) -> Option<Job> {
        let mut job = None;
        self.with_queues(|device, queues| {
            job = device.take(queues)?;
            Ok(())
        });
        job
    }

    /// Answers a job with what was read, nothing for others, or that the disk could not do it. A driver that has gone
    /// meanwhile hears nothing.
    pub fn answer(&mut self, job: &Job, result: &Result<Vec<u8>, ()>) {
        self.with_queues(|device, queues| device.answer(job, result, queues));
    }
}

impl VirtioDevice for Block {
    const DEVICE_ID: u32 = VIRTIO_ID_BLOCK;

    type State = BlockState;

    fn state(&self) -> BlockState {
        BlockState { sectors: self.config.sectors }
    }

    fn restore(&mut self, state: &BlockState) -> Result<(), StateError> {
        let (here, there) = (self.config.sectors, state.sectors);
        StateError::unless(here == there, || format!("a disk has {here} sectors, and had {there}"))
    }

    fn queue_sizes(&self) -> &[u16] {
        &[128]
    }

    fn features(&self) -> u64 {
        let writes = if self.config.readonly { F_RO } else { F_FLUSH | F_DISCARD | F_WRITE_ZEROES };
        F_SIZE_MAX | F_SEG_MAX | F_BLK_SIZE | writes
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        register::copy(&self.bytes(), offset, data);
    }

    fn process(&mut self, _: usize, _: &mut Queues<'_>) -> Result<(), Broken> {
        (self.wake)();
        Ok(())
    }

    fn reset(&mut self) {
        self.epoch += 1;
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Block").field("config", &self.config).finish_non_exhaustive()
    }
}
