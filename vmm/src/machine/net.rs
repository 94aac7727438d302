//! A network device of the machine's: a virtio network device, a wire, and a thread that carries frames between the two.
//!
//! No vCPU waits for the wire. A peer that reads nothing holds up what the guest sends, and a guest without buffers what comes:
//! one frame waits in each direction, and the rest where it is. While the machine is written down, nothing is carried.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dimmer_devices::bus::{Overlap, lock};
use dimmer_devices::state::StateError;
use dimmer_devices::virtio::mmio::{MmioState, VirtioMmio};
use dimmer_devices::virtio::net::{Delivered, Net as Device, NetConfig, NetState};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use super::parts::Transports;
use super::wake::{Wake, Waker};
use crate::control::NetStatus;
use crate::defect;
use crate::spec::NetSpec;
use wire::Wire;

mod tap;
mod wire;

/// Frames that are carried in one direction before the other has its turn.
const TURN: usize = 64;
/// How long the thread may take to see that it is held, or to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// A network device could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The host said no.
    #[error("--net id={id},{wire}: {error}")]
    Host {
        /// Its name.
        id: String,
        /// Its wire, as on the command line.
        wire: String,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// Two devices at one place.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

type Shared = Arc<Mutex<VirtioMmio<Device>>>;

/// See the module.
#[derive(Debug)]
pub struct Net {
    spec: NetSpec,
    device: Shared,
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and the others have in common.
#[derive(Debug)]
struct Control {
    state: Mutex<State>,
    changed: Condvar,
    bell: OwnedFd,
    counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    busy: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
}

impl Net {
    /// Opens the wire and puts the device on the next transport.
    ///
    /// # Errors
    /// [`NetError`] names the flag.
    pub fn new(spec: &NetSpec, waker: Waker, transports: &mut Transports<'_>) -> Result<Self, NetError> {
        let host = |error| NetError::Host { id: spec.id.clone(), wire: spec.wire.to_string(), error };
        let wire = Wire::open(&spec.wire).map_err(host)?;
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let bell = bell.map_err(|error| host(error.into()))?;
        let (state, changed, counts) = (Mutex::default(), Condvar::new(), Counts::default());
        let control = Arc::new(Control { state, changed, bell, counts });
        let ring = control.clone();
        let config = NetConfig { mac: spec.mac.0, mtu: spec.mtu, offloads: wire.has_offloads() };
        let device = transports.attach(Device::new(config, Box::new(move || ring.ring())))?;
        let carrier =
            Carrier { id: spec.id.clone(), wire: Some(wire), waiting: None, device: device.clone() };
        let inside = control.clone();
        let work = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| carrier.run(&inside))) {
                waker.wake(Wake::Defect(defect::words(&*panic)));
            }
        };
        let thread = thread::Builder::new().name("net".to_owned()).spawn(work).map_err(host)?;
        Ok(Self { spec: spec.clone(), device, control, thread: Some(thread) })
    }

    /// System reset.
    pub fn reset(&self) {
        lock(&self.device).system_reset();
    }

    /// What can be said of it.
    pub fn status(&self) -> NetStatus {
        let counts = &self.control.counts;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        NetStatus {
            id: self.spec.id.clone(),
            mac: self.spec.mac.to_string(),
            sent: count(&counts.sent),
            received: count(&counts.received),
            dropped: count(&counts.dropped),
        }
    }

    /// Its state, while it is held.
    pub fn state(&self) -> MmioState<NetState> {
        lock(&self.device).state()
    }

    /// Goes on from `state`.
    ///
    /// # Errors
    /// [`StateError`]; nothing has changed then.
    pub fn restore(&self, state: &MmioState<NetState>) -> Result<(), StateError> {
        lock(&self.device).restore(state)?;
        lock(&self.device).go_on();
        Ok(())
    }

    /// While held it carries nothing.
    pub fn hold(&self, held: bool) {
        lock(&self.control.state).held = held;
        self.control.ring();
    }

    /// Waits until nothing is under way, while it is held.
    ///
    /// # Errors
    /// Its name, when that takes too long.
    pub fn settle(&self) -> Result<(), &str> {
        if self.control.settle() { Ok(()) } else { Err(&self.spec.id) }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        lock(&self.control.state).ended = true;
        self.control.ring();
        if let Some(thread) = self.thread.take() {
            // It blocks on nothing but the bell. Its panic was heard of when it came.
            let _ = thread.join();
        }
    }
}

impl Control {
    fn ring(&self) {
        // It fails only when it has rung more often than can be counted.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn settle(&self) -> bool {
        let waited = self.changed.wait_timeout_while(lock(&self.state), PATIENCE, |state| state.busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.busy
    }

    /// Whether a turn may begin; `None` at the end.
    fn begin(&self) -> Option<bool> {
        let mut state = lock(&self.state);
        state.busy = !state.held && !state.ended;
        (!state.ended).then_some(state.busy)
    }

    fn end(&self) {
        lock(&self.state).busy = false;
        self.changed.notify_all();
    }
}

/// The thread's own.
struct Carrier {
    id: String,
    /// Gone once nobody is at its other end.
    wire: Option<Wire>,
    /// A frame for which the driver has no buffer.
    waiting: Option<Vec<u8>>,
    device: Shared,
}

impl Carrier {
    fn run(mut self, control: &Control) {
        let mut again = true;
        while let Some(may) = control.begin() {
            if may {
                let turn = self.turn(control);
                again = turn.unwrap_or_else(|error| self.lose(&error));
            }
            control.end();
            if !(may && again) {
                self.wait(control, may);
            }
        }
    }

    /// Carries some frames both ways; returns whether there may be more.
    fn turn(&mut self, control: &Control) -> io::Result<bool> {
        let Some(wire) = &mut self.wire else {
            // As a cable that was pulled: what the driver sends is gone, a turn of it at a time.
            let gone = (0..TURN).take_while(|_| lock(&self.device).sent().is_some()).count();
            control.counts.dropped.fetch_add(gone as u64, Ordering::Relaxed);
            return Ok(gone == TURN);
        };
        wire.flush()?;
        let mut left = TURN;
        while left > 0 && !wire.is_full() {
            let Some(frame) = lock(&self.device).sent() else { break };
            wire.send(&frame)?;
            control.counts.sent.fetch_add(1, Ordering::Relaxed);
            left -= 1;
        }
        let mut room = TURN;
        while room > 0 {
            let next = self.waiting.take().map_or_else(|| wire.receive(), |frame| Ok(Some(frame)))?;
            let Some(mut frame) = next else { break };
            match lock(&self.device).deliver(&mut frame) {
                Delivered::NoRoom => {
                    self.waiting = Some(frame);
                    break;
                }
                Delivered::Taken => control.counts.received.fetch_add(1, Ordering::Relaxed),
                Delivered::Dropped => control.counts.dropped.fetch_add(1, Ordering::Relaxed),
            };
            room -= 1;
        }
        Ok(left == 0 || room == 0)
    }

    /// Nobody is at the other end: the link is down from now on.
    fn lose(&mut self, error: &io::Error) -> bool {
        tracing::warn!("network device {}: the link is down: {error}", self.id);
        (self.wire, self.waiting) = (None, None);
        lock(&self.device).set_up(false);
        true
    }

    fn wait(&self, control: &Control, may: bool) {
        let mut fds = vec![PollFd::new(&control.bell, PollFlags::IN)];
        if let Some(wire) = self.wire.as_ref().filter(|_| may) {
            let room = if self.waiting.is_none() { PollFlags::IN } else { PollFlags::empty() };
            let flags = if wire.is_full() { room | PollFlags::OUT } else { room };
            fds.extend((!flags.is_empty()).then(|| PollFd::from_borrowed_fd(wire.fd(), flags)));
        }
        // An interruption is a reason to look again.
        let _ = poll(&mut fds, None);
        // Nothing is there to read when it has not rung.
        let _ = rustix::io::read(&control.bell, &mut [0; 8]);
    }
}
