//! The virtio persistent memory device (virtio 1.2, section 5.19), up to the file: it says where its memory lies, and what a
//! driver asks for is [taken](VirtioMmio::take) as a [`Job`], carried out by whoever has the file, on a thread of its own, and
//! [answered](VirtioMmio::answer).
//!
//! The memory itself is the machine's affair. `VIRTIO_PMEM_F_SHMEM_REGION` is not offered: it is for memory that lies in a
//! region of the transport's, and here its address says all.

use std::fmt;

use serde::{Deserialize, Serialize};
use virtio_bindings::virtio_ids::VIRTIO_ID_PMEM;

use super::chain::Chain;
use super::device::VirtioDevice;
use super::mmio::VirtioMmio;
use super::queue::{Broken, Queues};
use crate::memory::GuestRange;
use crate::memory_map::MemoryMap;
use crate::register;
use crate::state::StateError;

/// The only queue.
const REQUESTS: usize = 0;
/// The only type of request (section 5.19.6).
const FLUSH: u32 = 0;
/// Bytes of a request, and of its answer.
const WORD: usize = 4;
/// What the answer says (section 5.19.7): "0" or "-1".
const DONE: u32 = 0;
const FAILED: u32 = u32::MAX;

/// The device.
pub struct Pmem {
    region: GuestRange,
    /// Counts drivers: what one has asked for is not answered to the next.
    epoch: u64,
    wake: Box<dyn Fn() + Send>,
}

/// What is saved of it, when no job is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PmemState {
    /// Where its memory lies.
    pub region: GuestRange,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Whatever was written is to outlive the host's power.
    Flush,
    /// Nothing: the request is none that the device takes.
    Refuse,
}

/// A request that was taken and is to be answered.
#[derive(Debug)]
pub struct Job {
    /// What is to be done.
    pub work: Work,
    epoch: u64,
    chain: Chain,
}

impl Pmem {
    /// A device with the memory at `region`. `wake` is called, with the device's lock held, when there may be something to
    /// take.
    pub fn new(region: GuestRange, wake: Box<dyn Fn() + Send>) -> Self {
        Self { region, epoch: 0, wake }
    }

    fn take(&self, queues: &mut Queues<'_>) -> Result<Option<Job>, Broken> {
        let memory = queues.memory();
        let Some(chain) = queues.pop(REQUESTS, &memory)? else { return Ok(None) };
        Ok(Some(Job { work: work(&chain, &memory), epoch: self.epoch, chain }))
    }

    fn answer(&self, job: &Job, done: bool, queues: &mut Queues<'_>) -> Result<(), Broken> {
        if job.epoch != self.epoch || !queues.is_running(REQUESTS) {
            return Ok(());
        }
        let memory = queues.memory();
        let result = if done && job.work == Work::Flush { DONE } else { FAILED };
        // Half an answer would be another one.
        let has_room = job.chain.writable_length() >= WORD as u64;
        let written = if has_room { job.chain.write(&memory, &result.to_le_bytes()).unwrap_or(0) } else { 0 };
        queues.complete(REQUESTS, &memory, job.chain.head(), u32::try_from(written).unwrap_or(0))
    }
}

/// What the driver asks for.
fn work(chain: &Chain, memory: &MemoryMap) -> Work {
    let mut kind = [0; WORD];
    let is_whole = chain.read_at(memory, 0, &mut kind).is_ok_and(|read| read == WORD);
    let can_be_answered = chain.writable_length() >= WORD as u64;
    if is_whole && can_be_answered && u32::from_le_bytes(kind) == FLUSH { Work::Flush } else { Work::Refuse }
}

impl VirtioMmio<Pmem> {
    /// The next thing that the driver asks for, if there is one.
    pub fn take(&mut self) -> Option<Job> {
        let mut job = None;
        self.with_queues(|device, queues| {
            job = device.take(queues)?;
            Ok(())
        });
        job
    }

    /// Answers a job: that it is done, or could not be. A driver that has gone meanwhile hears nothing.
    pub fn answer(&mut self, job: &Job, done: bool) {
        self.with_queues(|device, queues| device.answer(job, done, queues));
    }
}

impl VirtioDevice for Pmem {
    const DEVICE_ID: u32 = VIRTIO_ID_PMEM;

    type State = PmemState;

    fn state(&self) -> PmemState {
        PmemState { region: self.region }
    }

    fn restore(&mut self, state: &PmemState) -> Result<(), StateError> {
        let (here, there) = (self.region, state.region);
        StateError::unless(here == there, || {
            let show = |range: GuestRange| format!("{:#x} bytes at {:#x}", range.size, range.start);
            format!("persistent memory is {}, and was {}", show(here), show(there))
        })
    }

    fn queue_sizes(&self) -> &[u16] {
        &[64]
    }

    fn features(&self) -> u64 {
        0
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.region.start.to_le_bytes());
        bytes[8..].copy_from_slice(&self.region.size.to_le_bytes());
        register::copy(&bytes, offset, data);
    }

    fn process(&mut self, _: usize, _: &mut Queues<'_>) -> Result<(), Broken> {
        (self.wake)();
        Ok(())
    }

    fn reset(&mut self) {
        self.epoch += 1;
    }
}

impl fmt::Debug for Pmem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pmem").field("region", &self.region).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
