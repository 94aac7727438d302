//! Persistent memory of the machine's: a file that the guest has mapped, a virtio device that says where, and a thread that
//! brings to the host's storage what the guest has written when its driver asks for that.
//!
//! No vCPU waits for the host's storage: it wakes the thread and goes on. While the machine is written down the thread begins
//! nothing new. What is in the file is no part of a snapshot.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::{Overlap, lock};
use dimmer_devices::memory::GuestRange;
use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::virtio::pmem::{Job, Pmem as Device, Work as Asked};
use rustix::event::PollFd;

use super::parts::Transports;
use super::ram::Ram;
use super::threaded::Threaded;
use super::turns::{Bell, Turns, Work};
use super::wake::Waker;
use crate::control::PmemStatus;
use crate::sandbox::Kind;
use crate::spec::PmemSpec;

pub use file::open_all;

mod file;

/// Requests that are answered after one and the same flush, at most: as many as the queue has.
const TOGETHER: usize = 64;

/// Persistent memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PmemError {
    /// The host said no, or the file is not what it is to be.
    #[error("--pmem id={id},file={path}: {error}")]
    Host {
        /// Its name.
        id: String,
        /// Where it was to be.
        path: String,
        /// What is wrong.
        #[source]
        error: io::Error,
    },
    /// Two devices at one place.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

impl PmemError {
    /// For `map_err`: names the flag.
    fn host(spec: &PmemSpec) -> impl Fn(io::Error) -> Self + use<> {
        let (id, path) = (spec.id.clone(), spec.path.display().to_string());
        move |error| Self::Host { id: id.clone(), path: path.clone(), error }
    }
}

type Shared = Arc<Mutex<VirtioMmio<Device>>>;

/// See the module.
#[derive(Debug)]
pub struct Pmem {
    spec: PmemSpec,
    range: GuestRange,
    /// The device.
    pub device: Threaded<Device>,
    ram: Arc<Ram>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    flushes: AtomicU64,
    errors: AtomicU64,
}

impl Pmem {
    /// Puts the device for the memory at `range`, which is mapped from `file`, on the next transport.
    ///
    /// # Errors
    /// [`PmemError`] names the flag.
    pub fn new(
        spec: &PmemSpec,
        range: GuestRange,
        file: &Arc<File>,
        ram: &Arc<Ram>,
        waker: Waker,
        transports: &mut Transports<'_>,
    ) -> Result<Self, PmemError> {
        let host = PmemError::host(spec);
        let bell = Bell::new().map_err(&host)?;
        let ring = bell.clone();
        let device = transports.attach(Device::new(range, Box::new(move || ring.ring())))?;
        let counts = Arc::<Counts>::default();
        let flusher = Flusher {
            spec: spec.clone(),
            range,
            file: file.clone(),
            ram: ram.clone(),
            dropped: 0,
            device: device.clone(),
            counts: counts.clone(),
        };
        let turns = Turns::begin(Kind::Pmem, "pmem", bell, waker, flusher).map_err(host)?;
        let device = Threaded::new(spec.id.clone(), device, turns);
        Ok(Self { spec: spec.clone(), range, device, ram: ram.clone(), counts })
    }

    /// What can be said of it.
    pub fn status(&self) -> PmemStatus {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        PmemStatus {
            id: self.spec.id.clone(),
            path: self.spec.path.clone(),
            readonly: self.spec.readonly,
            start: self.range.start,
            size: self.range.size,
            flushes: count(&self.counts.flushes),
            errors: count(&self.counts.errors),
            dropped_writes: self.ram.strays(self.range.start),
        }
    }
}

/// The thread's own.
struct Flusher {
    spec: PmemSpec,
    range: GuestRange,
    file: Arc<File>,
    ram: Arc<Ram>,
    /// Writes to memory that can only be read, as far as the driver was told of them.
    dropped: u64,
    device: Shared,
    counts: Arc<Counts>,
}

impl Work for Flusher {
    fn turn(&mut self) -> bool {
        // Whatever was written before a request was made is on its way by the time that it is taken.
        let take = |_| lock(&self.device).take();
        let jobs: Vec<Job> = (0..TOGETHER).map_while(take).collect();
        let wanted = jobs.iter().filter(|job| job.work == Asked::Flush).count();
        let done = wanted == 0 || self.flush(wanted as u64);
        for job in &jobs {
            lock(&self.device).answer(job, done);
        }
        !jobs.is_empty()
    }

    fn watched(&self) -> Vec<PollFd<'_>> {
        Vec::new()
    }
}

impl Flusher {
    /// Does what `wanted` requests ask for; whether it is done.
    fn flush(&mut self, wanted: u64) -> bool {
        let result = if self.spec.readonly {
            self.tell_dropped()
        } else {
            file::check_length(&self.file, self.range.size).and_then(|()| self.file.sync_all())
        };
        self.counts.flushes.fetch_add(wanted, Ordering::Relaxed);
        if let Err(error) = &result
            && self.counts.errors.fetch_add(wanted, Ordering::Relaxed) == 0
        {
            let id = &self.spec.id;
            tracing::warn!(
                "persistent memory {id}: {error}; the guest is told, and further errors are counted only"
            );
        }
        result.is_ok()
    }

    /// What was written to memory that can only be read is nowhere.
    fn tell_dropped(&mut self) -> io::Result<()> {
        let dropped = self.ram.strays(self.range.start);
        let more = dropped.saturating_sub(std::mem::replace(&mut self.dropped, dropped));
        if more == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("the guest can only read it, and {more} of its writes are lost")))
    }
}
