//! A disk of the machine's: a virtio block device, and a thread that does what its driver asks for, one request after the other.
//!
//! No vCPU waits for the host's storage: it wakes the thread and goes on. While the machine is written down the thread takes
//! nothing new, and what it has begun comes to its end first.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dimmer_devices::bus::{Overlap, lock};
use dimmer_devices::state::StateError;
use dimmer_devices::virtio::block::{Block, BlockConfig, BlockState, SECTOR, Work};
use dimmer_devices::virtio::mmio::{MmioState, VirtioMmio};

use super::parts::Transports;
use super::rate::Rate;
use super::wake::{Wake, Waker};
use crate::control::DiskStatus;
use crate::defect;
use crate::sandbox::{self, Kind};
use crate::spec::DiskSpec;
use image::Image;

mod image;

/// How long what was begun may take until the machine is written down, or ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// A disk could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The host said no.
    #[error("--disk id={id},path={path}: {error}")]
    Host {
        /// Its name.
        id: String,
        /// Where it was to be.
        path: String,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// Two devices at one place.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

type Device = Arc<Mutex<VirtioMmio<Block>>>;

/// See the module.
#[derive(Debug)]
pub struct Disk {
    spec: DiskSpec,
    sectors: u64,
    device: Device,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the others have in common.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    /// There may be something to take.
    asked: bool,
    /// Nothing is to be taken.
    held: bool,
    /// Something is being done.
    busy: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Counts {
    reads: AtomicU64,
    writes: AtomicU64,
    flushes: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    errors: AtomicU64,
}

impl Disk {
    /// Opens the disk and puts its device on the next transport.
    ///
    /// # Errors
    /// [`DiskError`] names the flag.
    pub fn new(spec: &DiskSpec, waker: Waker, transports: &mut Transports<'_>) -> Result<Self, DiskError> {
        let (id, path) = (spec.id.clone(), spec.path.display().to_string());
        let host = move |error| DiskError::Host { id: id.clone(), path: path.clone(), error };
        let image = Image::open(spec).map_err(&host)?;
        let sectors = image.sectors();
        let shared = Arc::<Shared>::default();
        let bell = shared.clone();
        let config = BlockConfig { sectors, readonly: spec.readonly, serial: spec.serial.clone() };
        let device = transports.attach(Block::new(config, Box::new(move || bell.ask())))?;
        let (inside, worked) = (shared.clone(), device.clone());
        let name = spec.id.clone();
        let rate = Rate::new(spec.rate);
        let work = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| inside.work(&name, image, rate, &worked))) {
                waker.wake(Wake::Defect(defect::words(&*panic)));
            }
        };
        let thread = sandbox::spawn(Kind::Disk, "disk", work).map_err(host)?;
        Ok(Self { spec: spec.clone(), sectors, device, shared, thread: Some(thread) })
    }

    /// System reset.
    pub fn reset(&self) {
        lock(&self.device).system_reset();
    }

    /// What can be said of it.
    pub fn status(&self) -> DiskStatus {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (spec, counts) = (&self.spec, &self.shared.counts);
        DiskStatus {
            id: spec.id.clone(),
            path: spec.path.clone(),
            format: spec.format,
            readonly: spec.readonly,
            size: self.sectors * SECTOR,
            reads: count(&counts.reads),
            writes: count(&counts.writes),
            flushes: count(&counts.flushes),
            read_bytes: count(&counts.read_bytes),
            written_bytes: count(&counts.written_bytes),
            errors: count(&counts.errors),
        }
    }

    /// Its state, while it is held.
    pub fn state(&self) -> MmioState<BlockState> {
        lock(&self.device).state()
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed then.
    pub fn restore(&self, state: &MmioState<BlockState>) -> Result<(), StateError> {
        lock(&self.device).restore(state)?;
        lock(&self.device).go_on();
        Ok(())
    }

    /// While held it takes nothing.
    pub fn hold(&self, held: bool) {
        lock(&self.shared.state).held = held;
        self.shared.changed.notify_all();
    }

    /// Waits until nothing is under way, while it is held.
    ///
    /// # Errors
    /// Its name, when that takes too long.
    pub fn settle(&self) -> Result<(), &str> {
        if self.shared.settle() { Ok(()) } else { Err(&self.spec.id) }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.changed.notify_all();
        // A thread whose storage does not answer is left behind; the process is about to end.
        if self.shared.settle()
            && let Some(thread) = self.thread.take()
        {
            // Its panic was heard of when it came.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ask(&self) {
        lock(&self.state).asked = true;
        self.changed.notify_all();
    }

    fn settle(&self) -> bool {
        let waited = self.changed.wait_timeout_while(lock(&self.state), PATIENCE, |state| state.busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.busy
    }

    fn work(&self, id: &str, mut image: Image, mut rate: Rate, device: &Device) {
        while self.begin() {
            while self.rest(rate.wait(Instant::now())) {
                let Some(job) = lock(device).take() else { break };
                rate.carry(Instant::now(), size(&job.work));
                let result = image.carry_out(&job.work, job.stable);
                if let Err(error) = &result
                    && self.counts.errors.fetch_add(1, Ordering::Relaxed) == 0
                {
                    tracing::warn!(
                        "disk {id}: {error}; the guest is told, and further errors are counted only"
                    );
                }
                self.counts.add(&job.work, result.is_ok());
                lock(device).answer(&job, &result.map_err(drop));
            }
            lock(&self.state).busy = false;
            self.changed.notify_all();
        }
        if let Err(error) = image.flush() {
            tracing::warn!("disk {id}: {error}");
        }
    }

    /// Waits until there is something to do; `false` at the end.
    fn begin(&self) -> bool {
        let idle = |state: &mut State| !state.ended && (state.held || !state.asked);
        let mut state =
            self.changed.wait_while(lock(&self.state), idle).unwrap_or_else(PoisonError::into_inner);
        (state.asked, state.busy) = (false, !state.ended);
        state.busy
    }

    /// Waits so long; whether there may then be more to take. If not, there may be later.
    fn rest(&self, duration: Duration) -> bool {
        let goes_on = |state: &mut State| !state.held && !state.ended;
        let rested = self.changed.wait_timeout_while(lock(&self.state), duration, goes_on);
        let (mut state, _) = rested.unwrap_or_else(PoisonError::into_inner);
        let goes_on = goes_on(&mut state);
        state.asked |= !goes_on;
        goes_on
    }
}

impl Counts {
    fn add(&self, work: &Work, done: bool) {
        let (count, bytes) = match work {
            Work::Read(part) => (&self.reads, Some((&self.read_bytes, part.end - part.start))),
            Work::Write { bytes, .. } => (&self.writes, Some((&self.written_bytes, bytes.len() as u64))),
            Work::Flush => (&self.flushes, None),
            Work::Discard(_) | Work::Zero { .. } | Work::Say(_) | Work::Refuse(_) => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some((sum, bytes)) = bytes.filter(|_| done) {
            sum.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// Bytes that are carried.
const fn size(work: &Work) -> u64 {
    match work {
        Work::Read(part) => part.end - part.start,
        Work::Write { bytes, .. } => bytes.len() as u64,
        Work::Flush | Work::Discard(_) | Work::Zero { .. } | Work::Say(_) | Work::Refuse(_) => 0,
    }
}
