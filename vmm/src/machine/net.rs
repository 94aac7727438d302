//! A network device of the machine's: a virtio network device, a wire, and a thread that carries frames between the two.
//!
//! No vCPU waits for the wire. A peer that reads nothing holds up what the guest sends, and a guest without buffers what comes:
//! one frame waits in each direction, and the rest where it is. While the machine is written down, nothing is carried.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dimmer_devices::bus::{Overlap, lock};
use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::virtio::net::{Delivered, Net as Device, NetConfig};
use rustix::event::{PollFd, PollFlags};

use super::parts::Transports;
use super::rate::Rate;
use super::threaded::Threaded;
use super::turns::{Bell, Turns, Work};
use super::wake::Waker;
use crate::control::NetStatus;
use crate::sandbox::Kind;
use crate::spec::NetSpec;
use wire::Wire;

mod tap;
mod wire;

/// Frames that are carried in one direction before the other has its turn.
const TURN: usize = 64;

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
    /// The device.
    pub device: Threaded<Device>,
    counts: Arc<Counts>,
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
        let bell = Bell::new().map_err(host)?;
        let ring = bell.clone();
        let config = NetConfig { mac: spec.mac.0, mtu: spec.mtu, offloads: wire.has_offloads() };
        let device = transports.attach(Device::new(config, Box::new(move || ring.ring())))?;
        let counts = Arc::<Counts>::default();
        let carrier = Carrier {
            id: spec.id.clone(),
            wire: Some(wire),
            waiting: None,
            device: device.clone(),
            counts: counts.clone(),
            sending: Rate::new(spec.rate),
            receiving: Rate::new(spec.rate),
        };
        let turns = Turns::begin(Kind::Net, "net", bell, waker, carrier).map_err(host)?;
        Ok(Self { spec: spec.clone(), device: Threaded::new(spec.id.clone(), device, turns), counts })
    }

    /// What can be said of it.
    pub fn status(&self) -> NetStatus {
        let counts = &self.counts;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        NetStatus {
            id: self.spec.id.clone(),
            mac: self.spec.mac.to_string(),
            sent: count(&counts.sent),
            received: count(&counts.received),
            dropped: count(&counts.dropped),
        }
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
    counts: Arc<Counts>,
    sending: Rate,
    receiving: Rate,
}

impl Work for Carrier {
    fn turn(&mut self) -> bool {
        self.carry().unwrap_or_else(|error| self.lose(&error))
    }

    fn watched(&self) -> Vec<PollFd<'_>> {
        let Some(wire) = &self.wire else { return Vec::new() };
        let may_receive = self.waiting.is_none() && self.receiving.wait(Instant::now()).is_zero();
        let room = if may_receive { PollFlags::IN } else { PollFlags::empty() };
        let flags = if wire.is_full() { room | PollFlags::OUT } else { room };
        if flags.is_empty() { Vec::new() } else { vec![PollFd::from_borrowed_fd(wire.fd(), flags)] }
    }

    fn rest(&self) -> Option<Duration> {
        let now = Instant::now();
        [&self.sending, &self.receiving]
            .map(|rate| rate.wait(now))
            .into_iter()
            .filter(|wait| !wait.is_zero())
            .min()
    }
}

impl Carrier {
    /// Carries some frames both ways; returns whether there may be more.
    fn carry(&mut self) -> io::Result<bool> {
        let Some(wire) = &mut self.wire else {
            // As a cable that was pulled: what the driver sends is gone, a turn of it at a time.
            let gone = (0..TURN).take_while(|_| lock(&self.device).sent().is_some()).count();
            self.counts.dropped.fetch_add(gone as u64, Ordering::Relaxed);
            return Ok(gone == TURN);
        };
        wire.flush()?;
        let mut left = TURN;
        while left > 0 && !wire.is_full() && self.sending.wait(Instant::now()).is_zero() {
            let Some(frame) = lock(&self.device).sent() else { break };
            self.sending.carry(Instant::now(), frame.len() as u64);
            wire.send(&frame)?;
            self.counts.sent.fetch_add(1, Ordering::Relaxed);
            left -= 1;
        }
        let mut room = TURN;
        while room > 0 && self.receiving.wait(Instant::now()).is_zero() {
            let next = self.waiting.take().map_or_else(|| wire.receive(), |frame| Ok(Some(frame)))?;
            let Some(mut frame) = next else { break };
            let length = frame.len() as u64;
            match lock(&self.device).deliver(&mut frame) {
                Delivered::NoRoom => {
                    self.waiting = Some(frame);
                    break;
                }
                Delivered::Taken => self.counts.received.fetch_add(1, Ordering::Relaxed),
                Delivered::Dropped => self.counts.dropped.fetch_add(1, Ordering::Relaxed),
            };
            self.receiving.carry(Instant::now(), length);
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
}
