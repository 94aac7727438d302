//! One machine, from its specification to its end.
//!
//! ```text
//!            spec ── Layout::plan ──► Ram, devices on their buses ──► load kernel ──► vCPU threads
//!                                                                        ▲               │
//!   reset: stop vCPUs, reset devices, fresh VM, emptied RAM ─────────────┘               │
//!   event loop (main thread): commands, wake-ups from vCPUs, sockets, signals ◄──────────┘
//! ```
//!
//! Threads: the event loop, one per vCPU, and the API's. vCPU threads enter devices only through
//! the buses; only the event loop runs commands. Lock order: memory device, then the Generic Event
//! Device, then RAM.

use std::io;
use std::sync::Arc;

use crate::api;
use crate::control::{Mailbox, VmState};
use crate::events::{Hub, MachineEvent};
use crate::host::{self, HostProblem};
use crate::layout::{Layout, LayoutError};
use crate::spec::MachineSpec;
use crate::topology::Topology;
use dimmer_devices::bus::lock;

mod agent_port;
mod board;
mod boot;
mod commands;
mod cpu_setup;
mod event_loop;
mod gate;
mod mapping;
mod panic_watch;
mod platform;
mod ram;
mod serial_console;
mod shared_socket;
mod terminal;
mod vcpu;
mod wake;
mod wiring;

use board::{Board, KvmError};
use boot::Files;
use event_loop::{Signals, Sources};
use mapping::MappingSpec;
use panic_watch::PanicReason;
use ram::{Ram, RamError};
use vcpu::{Surroundings, VcpuError, Vcpus};
use wake::{Wake, Waker};
use wiring::{Wiring, WiringError};

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest powered off.
    PowerOff,
    /// The user ended it: through the API, a signal, or the terminal.
    Asked(String),
    /// The guest's kernel panicked.
    Panic(String),
    /// The guest met a triple fault.
    TripleFault,
    /// KVM or the host cannot go on.
    Failed(String),
}

impl End {
    /// Exit status of `dimmer run`: 0 when guest or user ended the machine, 1 otherwise.
    pub const fn status(&self) -> u8 {
        match self {
            Self::PowerOff | Self::Asked(_) => 0,
            Self::Panic(_) | Self::TripleFault | Self::Failed(_) => 1,
        }
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PowerOff => write!(f, "the guest powered off"),
            Self::Asked(how) => write!(f, "ended {how}"),
            Self::Panic(reason) => write!(f, "the guest's kernel panicked: {reason}"),
            Self::TripleFault => {
                write!(f, "the guest met a triple fault: its kernel lost control of the CPU")
            }
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

/// A machine could not be built.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The host has no KVM for us.
    #[error(transparent)]
    Host(#[from] HostProblem),
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// Too many CPUs for this host.
    #[error("--cpus: {asked} is more than this host's KVM can run: at most {most}")]
    Cpus {
        /// What was asked for.
        asked: u32,
        /// What KVM allows.
        most: usize,
    },
    /// Memory does not fit into the address space.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Memory could not be mapped.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// A device could not be made.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// Kernel or initramfs could not be loaded.
    #[error(transparent)]
    Boot(#[from] boot::BootError),
    /// vCPUs could not be started.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// A socket could not be listened on.
    #[error("{flag}: {error}")]
    Socket {
        /// The flag that names it.
        flag: &'static str,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// The event loop could not be set up.
    #[error("event loop: {0}")]
    EventLoop(String),
}

/// A machine that runs.
#[derive(Debug)]
struct Machine {
    // The order of the fields is the order in which they go: vCPUs first, memory last.
    vcpus: Option<Vcpus>,
    wiring: Wiring,
    ram: Arc<Ram>,
    board: Arc<Board>,
    spec: MachineSpec,
    files: Files,
    layout: Layout,
    hub: Arc<Hub>,
    waker: Waker,
    panic: PanicReason,
    state: VmState,
    resets: u64,
    end: Option<End>,
}

/// Runs the machine that `spec` describes until it ends.
///
/// # Errors
/// [`MachineError`] when it cannot be built; what happens to a running machine is an [`End`].
pub fn run(spec: MachineSpec) -> Result<End, MachineError> {
    host::check_kvm()?;
    let hub = Arc::new(Hub::default());
    let signals = Signals::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (mailbox, letters, bell) = Mailbox::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (waker, wakes, wake_bell) = Waker::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    // The socket first: a path that is in use is found before a guest starts. Requests wait.
    let server = match &spec.api_socket {
        Some(path) => Some(
            api::start(path, Arc::new(mailbox), hub.clone())
                .map_err(|error| MachineError::Socket { flag: "--api-socket", error })?,
        ),
        None => None,
    };
    let machine = Machine::new(spec, hub, waker)?;
    let sources = Sources { letters, bell, wakes, wake_bell, signals };
    let end = event_loop::run(machine, sources);
    drop(server);
    end
}

impl Machine {
    fn new(spec: MachineSpec, hub: Arc<Hub>, waker: Waker) -> Result<Self, MachineError> {
        let files = Files::open(&spec)?;
        let board = Arc::new(Board::new()?);
        if usize::try_from(spec.cpus).map_or(true, |cpus| cpus > board.max_vcpus()) {
            return Err(MachineError::Cpus { asked: spec.cpus, most: board.max_vcpus() });
        }
        let layout = Layout::plan(&spec, board.address_bits())?;
        let mapping = MappingSpec {
            backing: spec.memory.backing,
            prealloc: spec.memory.prealloc,
            thp: spec.memory.thp,
        };
        let ram = Arc::new(Ram::new(board.clone(), &layout.ram, &layout.windows, &mapping)?);
        let panic = PanicReason::default();
        let wiring = Wiring::new(&wiring::Parts {
            spec: &spec,
            layout: &layout,
            board: &board,
            ram: &ram,
            hub: &hub,
            waker: &waker,
            panic: &panic,
        })?;
        let (state, resets) = (VmState::Running, 0);
        let mut machine = Self {
            vcpus: None,
            wiring,
            ram,
            board,
            spec,
            files,
            layout,
            hub,
            waker,
            panic,
            state,
            resets,
            end: None,
        };
        machine.start()?;
        Ok(machine)
    }

    /// Loads the kernel into fresh memory and lets fresh vCPUs run it.
    fn start(&mut self) -> Result<(), MachineError> {
        let platform = platform::describe(&self.spec, &self.layout, self.wiring.transports());
        let state = self.files.load(&self.spec.cmdline, &self.layout, &self.ram.memory(), &platform)?;
        let surroundings = Surroundings {
            ports: self.wiring.ports.clone(),
            mmio: self.wiring.mmio.clone(),
            waker: self.waker.clone(),
        };
        let vcpus = Vcpus::new(&self.board, &Topology::of(&self.spec), &state, &surroundings)?;
        self.hub.machine(MachineEvent::Booting);
        vcpus.run();
        self.vcpus = Some(vcpus);
        self.state = VmState::Running;
        Ok(())
    }

    /// Starts the machine again with the same devices: DIMMs stay in, virtio-mem devices start
    /// empty and ask for their requested size again.
    fn reset(&mut self) -> Result<(), MachineError> {
        self.vcpus = None;
        self.hub.machine(MachineEvent::Resetting);
        self.resets += 1;
        self.wiring.reset();
        *lock(&self.panic) = None;
        self.board.replace()?;
        self.ram.reset()?;
        self.start()
    }

    fn pause(&mut self) {
        if let (VmState::Running, Some(vcpus)) = (self.state, &self.vcpus) {
            vcpus.pause();
            self.state = VmState::Paused;
            self.hub.machine(MachineEvent::Paused);
        }
    }

    fn resume(&mut self) {
        if let (VmState::Paused, Some(vcpus)) = (self.state, &self.vcpus) {
            vcpus.run();
            self.state = VmState::Running;
            self.hub.machine(MachineEvent::Resumed);
        }
    }

    /// Does what a wake-up asks for.
    fn take(&mut self, wake: Wake) {
        let said = lock(&self.panic).take();
        match (wake, said) {
            (Wake::PowerOff, _) => self.finish(End::PowerOff),
            (Wake::Panic(reason), _) | (Wake::Reset | Wake::TripleFault, Some(reason)) => {
                self.finish(End::Panic(reason));
            }
            (Wake::Reset, None) => {
                if let Err(error) = self.reset() {
                    self.finish(End::Failed(format!("cannot start again after a reset: {error}")));
                }
            }
            (Wake::TripleFault, None) => self.finish(End::TripleFault),
            (Wake::Quit, _) => self.finish(End::Asked("from the terminal".into())),
            (Wake::Failed(reason), _) => self.finish(End::Failed(reason)),
        }
    }

    /// Ends the machine; the first reason counts.
    fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.vcpus = None;
            self.hub.machine(MachineEvent::Ended { reason: end.to_string() });
            self.end = Some(end);
        }
    }
}
