//! One machine, from its specification to its end.
//!
//! ```text
//!            spec ── Layout::plan ──► Ram, devices on their buses ──► load kernel ──► vCPU threads
//!                                                                        ▲               │
//!   reset: stop vCPUs, reset devices, fresh VM, emptied RAM ─────────────┘               │
//!   event loop (main thread): commands, wake-ups from vCPUs, sockets, signals ◄──────────┘
//! ```
//!
//! Threads: the event loop, one per vCPU, the API's and QMP's. vCPU threads enter devices only through
//! the buses; only the event loop runs commands. Lock order: memory device, then the Generic Event
//! Device, then RAM.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::access::Access;
use crate::api;
use crate::control::{Mailbox, VmState};
use crate::events::{Hub, MachineEvent};
use crate::host;
use crate::layout::Layout;
use crate::qmp;
use crate::snapshot::Origin;
use crate::socket_server::{OnDefect, Server};
use crate::spec::{MachineSpec, Start};
use crate::topology::Topology;
use dimmer_devices::fault::Faults;
use dimmer_devices::memory::Outside;
use kvm_ioctls::VcpuFd;
use vmm_sys_util::timerfd::TimerFd;

mod agent_port;
mod alarms;
mod audit;
mod balloon;
mod board;
mod boot;
mod commands;
mod console_output;
mod cpu;
mod cpu_nested;
mod cpu_setup;
mod cpu_vendor;
mod disk;
mod door;
mod end;
mod error;
mod event_loop;
mod exits;
mod forking;
mod gate;
mod generation;
mod hold;
mod kvm_error;
mod last_words;
mod life;
mod mapping;
mod mce;
mod net;
mod panic_watch;
mod parts;
mod platform;
mod preparing;
mod presence;
mod processors;
mod ram;
mod rate;
mod reserve;
mod resetting;
mod restoring;
mod saving;
mod serial_console;
mod shared_socket;
mod signals;
mod state;
mod terminal;
mod threaded;
mod tracking;
mod turns;
mod vcpu;
mod vsock;
mod wake;
mod wiring;

pub use end::End;
pub use error::MachineError;

use alarms::Alarms;
use board::Board;
use boot::{Booted, Files};
use cpu::Surroundings;
use event_loop::Sources;
use exits::Exits;
use generation::GenerationId;
use hold::Hold;
use mapping::MappingSpec;
use panic_watch::PanicReason;
use preparing::Preparing;
use presence::Presence;
use ram::{AreaSpec, Bindings, Ram};
use reserve::Reserve;
use resetting::Resetting;
use saving::Saving;
use signals::Signals;
use vcpu::{VcpuError, Vcpus};
use wake::{Wake, Waker};
use wiring::Wiring;

/// A machine that runs.
#[derive(Debug)]
struct Machine {
    // The order of the fields is the order in which they go: vCPUs first, memory last.
    vcpus: Option<Vcpus>,
    hold: Arc<Hold>,
    exits: Arc<Exits>,
    presence: Arc<Presence>,
    wiring: Wiring,
    ram: Arc<Ram>,
    board: Arc<Board>,
    spec: MachineSpec,
    files: Arc<Files>,
    layout: Layout,
    generation_id: GenerationId,
    hub: Arc<Hub>,
    outside: Outside,
    alarms: Arc<Alarms>,
    waker: Waker,
    panic: PanicReason,
    /// What a reset needs.
    reserve: Reserve,
    preparing: Preparing,
    saving: Option<Saving>,
    resetting: Option<Resetting>,
    /// What children begin with, as long as nothing of this machine changes.
    image: Option<Arc<File>>,
    /// The snapshot since which it is marked what is written, if it is.
    tracked: Option<Origin>,
    /// Its name, if it is a fork.
    id: Option<String>,
    state: VmState,
    resets: u64,
    end: Option<End>,
}

/// What is this process's, whichever machine it runs.
#[derive(Debug)]
pub struct Own {
    /// Where QMP is served, if it is.
    pub qmp: Option<PathBuf>,
    /// How long SIGTERM gives the guest to power off.
    pub stop_timeout: Duration,
}

/// Runs a machine until it ends; `ready` is called once it is there.
///
/// # Errors
/// [`MachineError`] when it cannot be built; what happens to a running machine is an [`End`].
pub fn run(start: Start, own: &Own, ready: impl FnOnce()) -> Result<End, MachineError> {
    reserve::raise_limit();
    let (spec, snapshot) = match start {
        Start::Boot(spec) => (*spec, None),
        Start::Restore(how) => {
            let failed = |error| MachineError::Restore { from: how.source.clone(), error };
            let snapshot = restoring::open(&how.source).map_err(failed)?;
            (restoring::spec(&snapshot, &how).map_err(failed)?, Some((snapshot, how)))
        }
    };
    host::check_kvm()?;
    host::check_nodes(&spec.numa)?;
    let hub = Arc::new(Hub::default());
    let signals = Signals::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let starting = signals.while_starting().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (mailbox, letters, bell) = Mailbox::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (waker, wakes, wake_bell) = Waker::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let access = Access { mailbox: Arc::new(mailbox), hub: hub.clone(), spec: Arc::new(spec.clone()) };
    // The sockets first: a path that is in use is found before a guest starts. Requests wait.
    let servers = listen(access, own.qmp.as_deref(), &waker)?;
    let machine = match &snapshot {
        None => Machine::boot(spec, hub, waker)?,
        Some((snapshot, how)) => Machine::restore(spec, snapshot, how, hub, waker)?,
    };
    drop(snapshot);
    ready();
    drop(starting);
    let overdue = TimerFd::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let patience = own.stop_timeout;
    let sources = Sources { letters, bell, wakes, wake_bell, signals, overdue, patience };
    let end = event_loop::run(machine, sources);
    drop(servers);
    end
}

/// Begins to listen to whoever talks to the machine from outside.
fn listen(access: Access, qmp: Option<&Path>, waker: &Waker) -> Result<Vec<Server>, MachineError> {
    let on_defect = || -> OnDefect {
        let waker = waker.clone();
        Box::new(move |what| waker.wake(Wake::Defect(what)))
    };
    let named = |flag| move |error| MachineError::Socket { flag, error };
    let mut servers = Vec::new();
    if let Some(path) = &access.spec.api_socket {
        servers.push(api::start(path, access.clone(), on_defect()).map_err(named("--api-socket"))?);
    }
    if let Some(path) = qmp {
        servers.push(qmp::start(path, access, on_defect()).map_err(named("--qmp"))?);
    }
    Ok(servers)
}

/// How many vCPUs the machine can have, which the host can run.
fn vcpus(spec: &MachineSpec, board: &Board) -> Result<usize, MachineError> {
    let cpus = usize::try_from(spec.max_cpus).unwrap_or(usize::MAX);
    let most = board.max_vcpus();
    if cpus <= most { Ok(cpus) } else { Err(MachineError::Cpus { asked: spec.max_cpus, most }) }
}

impl Machine {
    fn boot(spec: MachineSpec, hub: Arc<Hub>, waker: Waker) -> Result<Self, MachineError> {
        let mut machine = Self::assemble(spec, hub, waker)?;
        machine.start()?;
        Ok(machine)
    }

    /// All of the machine but what runs.
    fn assemble(spec: MachineSpec, hub: Arc<Hub>, waker: Waker) -> Result<Self, MachineError> {
        let files = Arc::new(Files::open(&spec)?);
        let board = Arc::new(Board::new(spec.cpu_vendor, spec.nested)?);
        let cpus = vcpus(&spec, &board)?;
        let hold = Arc::new(Hold::new().map_err(VcpuError::Thread)?);
        let presence = Arc::new(Presence::new(spec.cpus, spec.max_cpus, hold.clone()));
        let layout = Layout::plan(&spec, board.address_bits())?;
        files.warn_of_far_windows(&spec, &layout);
        let (faults, panic) = (Arc::new(Faults::default()), PanicReason::default());
        faults.set(spec.faults.clone())?;
        let (kvm, mapping) = (board.clone(), MappingSpec::new(&spec.memory));
        let (bindings, areas) = (Bindings::new(&spec, &layout), AreaSpec::all(&spec, &layout));
        let parts = ram::Parts { kvm, hold: hold.clone(), faults: faults.clone(), mapping, bindings, areas };
        let ram = Arc::new(Ram::new(parts)?);
        let alarms = Arc::new(Alarms::new().map_err(|error| MachineError::EventLoop(error.to_string()))?);
        let outside = Outside { host: ram.clone(), events: hub.clone(), faults, alarm: alarms.clone() };
        let wiring = Wiring::new(&parts::Parts {
            spec: &spec,
            layout: &layout,
            board: &board,
            ram: &ram,
            presence: &presence,
            hub: &hub,
            outside: &outside,
            waker: &waker,
            panic: &panic,
        })?;
        Ok(Self {
            vcpus: None,
            hold,
            exits: Arc::default(),
            presence,
            wiring,
            ram,
            board,
            spec,
            files,
            layout,
            generation_id: GenerationId::fresh().map_err(MachineError::GenerationId)?,
            hub,
            outside,
            alarms,
            waker,
            panic,
            reserve: Reserve::new(cpus).map_err(MachineError::Descriptors)?,
            preparing: Preparing::default(),
            saving: None,
            resetting: None,
            image: None,
            tracked: None,
            id: None,
            state: VmState::Running,
            resets: 0,
            end: None,
        })
    }

    /// What a vCPU needs.
    fn surroundings(&self) -> Surroundings {
        Surroundings {
            ports: self.wiring.ports.clone(),
            mmio: self.wiring.mmio.clone(),
            ram: self.ram.clone(),
            hold: self.hold.clone(),
            presence: self.presence.clone(),
            exits: self.exits.clone(),
            mcg_cap: self.board.mcg_cap(),
            waker: self.waker.clone(),
        }
    }

    /// Loads the kernel into fresh memory and lets fresh vCPUs run it.
    fn start(&mut self) -> Result<(), MachineError> {
        let there = |number| self.has_cpu(number);
        let platform = platform::describe(&self.spec, &self.layout, self.wiring.transports(), there);
        let boot = Booted {
            cmdline: &self.spec.cmdline,
            layout: &self.layout,
            platform: &platform,
            generation_id: self.generation_id,
        };
        let state = self.files.load(&boot, &self.ram.memory())?;
        let topology = Topology::of(&self.spec);
        let set_up = |index: usize, vcpu: &VcpuFd| {
            let boot = (index == 0).then_some(&state);
            cpu_setup::set_up(&self.board, vcpu, topology.places[index].apic_id, &topology, boot)
                .map_err(VcpuError::from)
        };
        let vcpus = Vcpus::new(&self.board, &topology, &self.surroundings(), set_up)?;
        self.hub.machine(MachineEvent::Booting);
        vcpus.run();
        self.vcpus = Some(vcpus);
        self.state = VmState::Running;
        Ok(())
    }
}
