//! The guest agent's port: a virtio console port on one side, a UNIX socket on the other. The VMM
//! carries lines and never looks at what they say.

use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::{Overlap, lock};
use dimmer_devices::state::StateError;
use dimmer_devices::virtio::console::{Console, PortOutput};
use dimmer_devices::virtio::mmio::VirtioMmio;
use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};
use vmm_sys_util::eventfd::EventFd;

use super::event_loop::{drain, forget, watch};
use super::parts::Transports;
use super::shared_socket::{self, Merge, SharedSocket};
use crate::snapshot::state::AgentPortState;

/// Name of the port in the guest: `/sys/class/virtio-ports/*/name`.
const NAME: &str = "dimmer.agent";

/// The port's socket could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AgentPortError {
    /// The host said no.
    #[error("--agent-socket {path}: {error}")]
    Host {
        /// The flag's value.
        path: PathBuf,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// Two devices at one place.
    #[error(transparent)]
    Overlap(#[from] Overlap),
}

/// See the module.
#[derive(Debug)]
pub struct AgentPort {
    console: Arc<Mutex<VirtioMmio<Console>>>,
    socket: Arc<SharedSocket>,
    /// Rings when the guest can take more, or has more to say.
    wake: EventFd,
    /// Whether the guest was told that somebody is connected.
    open: bool,
    /// Whether the guest gets nothing at present.
    held: bool,
}

impl AgentPort {
    /// Listens at `path` and puts the port on the next transport.
    ///
    /// # Errors
    /// [`AgentPortError`] names the flag and its value.
    pub fn new(path: &Path, transports: &mut Transports<'_>) -> Result<Self, AgentPortError> {
        let host = |error| AgentPortError::Host { path: path.to_owned(), error };
        let socket = SharedSocket::bind(path, Merge::Lines).map_err(host)?;
        let wake = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(host)?;
        let bell = wake.try_clone().map_err(host)?;
        let output = Box::new(ToClients(socket.clone()));
        let console = Console::new(NAME, output, Box::new(move || ring(&bell)));
        let console = transports.attach(console)?;
        Ok(Self { console, socket, wake, open: false, held: false })
    }

    /// System reset; clients stay connected.
    pub fn reset(&mut self) {
        lock(&self.console).system_reset();
    }

    /// Its state.
    pub fn state(&self) -> AgentPortState {
        AgentPortState { port: lock(&self.console).state(), input: self.socket.waiting() }
    }

    /// Goes on from `state`: what clients said before and the guest did not take comes first. That nobody is connected any
    /// more is the first thing that the guest hears.
    ///
    /// # Errors
    /// [`StateError`] when no port can be in that state; nothing has changed then.
    pub fn restore(&mut self, state: &AgentPortState) -> Result<(), StateError> {
        if state.input.len() > shared_socket::MOST_WAITING {
            return Err(StateError("agent port: more input waits than there can be".to_owned()));
        }
        lock(&self.console).restore(&state.port)?;
        self.socket.set_waiting(&state.input);
        self.hold(false);
        Ok(())
    }

    /// While held, the guest gets nothing.
    pub fn hold(&mut self, held: bool) {
        self.held = held;
        if !held {
            ring(&self.wake);
        }
    }

    /// Moves bytes both ways as far as they go.
    fn pump(&mut self, ops: &mut EventOps) {
        for fresh in self.socket.accept() {
            watch(ops, &fresh, CLIENT, EventSet::IN | EventSet::OUT | EventSet::EDGE_TRIGGERED);
        }
        if self.held {
            return;
        }
        self.tell_guest();
        let gone = self.socket.pump(|bytes| lock(&self.console).receive(bytes));
        for stream in gone {
            forget(ops, stream.as_raw_fd());
        }
        self.tell_guest();
        lock(&self.console).carry_on();
    }

    fn tell_guest(&mut self) {
        let open = self.socket.connected() > 0;
        if open != self.open {
            self.open = open;
            lock(&self.console).set_host_open(open);
        }
    }
}

/// Makes the event loop come to the port.
fn ring(bell: &EventFd) {
    if let Err(error) = bell.write(1) {
        tracing::warn!("agent port: {error}");
    }
}

const LISTENER: u32 = 0;
const WAKE: u32 = 1;
const CLIENT: u32 = 2;

impl MutEventSubscriber for AgentPort {
    fn init(&mut self, ops: &mut EventOps) {
        watch(ops, &self.socket.listener(), LISTENER, EventSet::IN);
        watch(ops, &self.wake, WAKE, EventSet::IN);
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        if events.data() == WAKE {
            drain(&self.wake);
        }
        self.pump(ops);
    }
}

/// Hands the guest's bytes to every client. Never full: a client that does not read is cut off.
#[derive(Debug)]
struct ToClients(Arc<SharedSocket>);

impl PortOutput for ToClients {
    fn write(&mut self, bytes: &[u8]) -> usize {
        self.0.send(bytes);
        bytes.len()
    }
}
