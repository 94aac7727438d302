//! The machine's socket device: a virtio socket device, UNIX sockets of the host's, and a thread that carries between them.
//!
//! As Firecracker has it: a client of the host's connects to the socket, says `CONNECT PORT` and a newline, and once the guest has
//! taken it gets `OK` with a port of its own; what the guest connects to with port N is the socket of the same name with `_N`
//! behind it, on which a program of the host's listens. While the machine is written down, nothing is carried; a machine that
//! goes on elsewhere begins without connections, which its guest is told.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::{Overlap, lock};
use dimmer_devices::virtio::mmio::VirtioMmio;
use dimmer_devices::virtio::vsock::Vsock as Device;
use rustix::event::{PollFd, PollFlags};

use super::door::Door;
use super::parts::Transports;
use super::threaded::Threaded;
use super::turns::{Bell, Turns, Work};
use super::wake::Waker;
use crate::control::VsockStatus;
use crate::sandbox::Kind;
use crate::socket::SocketFile;
use crate::spec::VsockSpec;
use connections::Connections;
use hello::{Hello, Said};

mod connection;
mod connections;
mod hello;

/// Packets of the guest's that are taken before the host has its turn.
const TURN: usize = 64;
/// Clients that have not said what they want. One more takes the place of the oldest.
const MOST_HELLOS: usize = 32;

/// The socket device could not be had.
#[derive(Debug, thiserror::Error)]
pub enum VsockError {
    /// The host said no.
    #[error("--vsock: {0}")]
    Host(#[from] io::Error),
    /// Two devices at one place.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

type Shared = Arc<Mutex<VirtioMmio<Device>>>;

/// See the module.
#[derive(Debug)]
pub struct Vsock {
    spec: VsockSpec,
    /// The device.
    pub device: Threaded<Device>,
    counts: Arc<Counts>,
    _file: Option<SocketFile>,
}

#[derive(Debug, Default)]
struct Counts {
    connections: AtomicUsize,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Vsock {
    /// Listens, and puts the device on the next transport.
    ///
    /// # Errors
    /// [`VsockError`].
    pub fn new(spec: &VsockSpec, waker: Waker, transports: &mut Transports<'_>) -> Result<Self, VsockError> {
        let mut door = Door::bind(&spec.path)?;
        // In its sandbox the thread removes nothing.
        let file = door.take_file();
        let bell = Bell::new()?;
        let ring = bell.clone();
        let device = transports.attach(Device::new(spec.cid, Box::new(move || ring.ring())))?;
        let counts = Arc::<Counts>::default();
        let carrier = Carrier {
            door,
            hellos: VecDeque::new(),
            connections: Connections::new(spec.cid, spec.path.clone()),
            epoch: 0,
            device: device.clone(),
            counts: counts.clone(),
        };
        let turns = Turns::begin(Kind::Vsock, "vsock", bell, waker, carrier)?;
        let device = Threaded::new("vsock".to_owned(), device, turns);
        Ok(Self { spec: spec.clone(), device, counts, _file: file })
    }

    /// What can be said of it.
    pub fn status(&self) -> VsockStatus {
        VsockStatus {
            cid: self.spec.cid,
            path: self.spec.path.clone(),
            connections: self.counts.connections.load(Ordering::Relaxed),
            sent_bytes: self.counts.sent.load(Ordering::Relaxed),
            received_bytes: self.counts.received.load(Ordering::Relaxed),
        }
    }
}

/// The thread's own.
struct Carrier {
    door: Door,
    hellos: VecDeque<Hello>,
    connections: Connections,
    /// The driver that knows of the connections.
    epoch: u64,
    device: Shared,
    counts: Arc<Counts>,
}

impl Work for Carrier {
    fn turn(&mut self) -> bool {
        let epoch = lock(&self.device).device().epoch();
        if std::mem::replace(&mut self.epoch, epoch) != epoch {
            self.connections.cut();
        }
        let mut left = TURN;
        while left > 0 && !self.connections.owe_much() {
            let Some(packet) = lock(&self.device).sent() else { break };
            self.counts.sent.fetch_add(packet.data.len() as u64, Ordering::Relaxed);
            self.connections.receive(&packet);
            left -= 1;
        }
        let waits = self.connections.owe_much();
        self.take_in();
        let device = &self.device;
        let given = self.connections.carry(&mut |header, data| lock(device).deliver(header, data));
        self.counts.received.fetch_add(given, Ordering::Relaxed);
        self.counts.connections.store(self.connections.count(), Ordering::Relaxed);
        left == 0 || given > 0 || (waits && !self.connections.owe_much())
    }

    fn watched(&self) -> Vec<PollFd<'_>> {
        let mut all = vec![PollFd::new(&self.door, PollFlags::IN)];
        all.extend(self.hellos.iter().map(|hello| PollFd::new(&hello.stream, PollFlags::IN)));
        all.extend(self.connections.watched());
        all
    }
}

impl Carrier {
    /// Hears clients that have not said what they want, and those that have come.
    fn take_in(&mut self) {
        while let Some(stream) = self.door.next() {
            self.hellos.push_back(Hello::new(stream));
            if self.hellos.len() > MOST_HELLOS {
                self.hellos.pop_front();
            }
        }
        for mut hello in std::mem::take(&mut self.hellos) {
            match hello.hear() {
                Said::Nothing => self.hellos.push_back(hello),
                Said::Port(port) => self.connections.ask(hello.stream, port),
                Said::Nonsense => {}
            }
        }
    }
}
