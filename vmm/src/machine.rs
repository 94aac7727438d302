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

use std::sync::Arc;

use crate::api;
use crate::control::{Mailbox, VmState};
use crate::events::{Hub, MachineEvent};
use crate::host;
use crate::layout::Layout;
use crate::spec::MachineSpec;
use crate::topology::Topology;
use dimmer_devices::bus::lock;
use dimmer_devices::fault::Faults;
use dimmer_devices::memory::Outside;

mod agent_port;
mod alarms;
mod audit;
mod board;
mod boot;
mod commands;
mod console_output;
mod cpu;
mod cpu_nested;
mod cpu_setup;
mod cpu_vendor;
mod end;
mod error;
mod event_loop;
mod gate;
mod hold;
mod kvm_error;
mod mapping;
mod mce;
mod panic_watch;
mod parts;
mod platform;
mod preparing;
mod ram;
mod reserve;
mod serial_console;
mod shared_socket;
mod signals;
mod terminal;
mod vcpu;
mod wake;
mod wiring;

pub use end::End;
pub use error::MachineError;

use alarms::Alarms;
use board::Board;
use boot::Files;
use cpu::Surroundings;
use event_loop::Sources;
use hold::Hold;
use mapping::MappingSpec;
use panic_watch::PanicReason;
use preparing::Preparing;
use ram::{AreaSpec, Bindings, Ram};
use reserve::Reserve;
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
    wiring: Wiring,
    ram: Arc<Ram>,
    board: Arc<Board>,
    spec: MachineSpec,
    files: Files,
    layout: Layout,
    hub: Arc<Hub>,
    outside: Outside,
    alarms: Arc<Alarms>,
    waker: Waker,
    panic: PanicReason,
    /// What a reset needs.
    reserve: Reserve,
    preparing: Preparing,
    state: VmState,
    resets: u64,
    end: Option<End>,
}

/// Runs the machine that `spec` describes until it ends.
///
/// # Errors
/// [`MachineError`] when it cannot be built; what happens to a running machine is an [`End`].
pub fn run(spec: MachineSpec) -> Result<End, MachineError> {
    reserve::raise_limit();
    host::check_kvm()?;
    host::check_nodes(&spec.numa)?;
    let hub = Arc::new(Hub::default());
    let signals = Signals::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let starting = signals.while_starting().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (mailbox, letters, bell) = Mailbox::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let (waker, wakes, wake_bell) = Waker::new().map_err(|e| MachineError::EventLoop(e.to_string()))?;
    let on_defect = {
        let waker = waker.clone();
        move |what| waker.wake(Wake::Defect(what))
    };
    // The socket first: a path that is in use is found before a guest starts. Requests wait.
    let server = match &spec.api_socket {
        Some(path) => Some(
            api::start(path, Arc::new(mailbox), hub.clone(), on_defect)
                .map_err(|error| MachineError::Socket { flag: "--api-socket", error })?,
        ),
        None => None,
    };
    let machine = Machine::new(spec, hub, waker)?;
    drop(starting);
    let sources = Sources { letters, bell, wakes, wake_bell, signals };
    let end = event_loop::run(machine, sources);
    drop(server);
    end
}

/// How many vCPUs the machine is to have, which the host can run.
fn vcpus(spec: &MachineSpec, board: &Board) -> Result<usize, MachineError> {
    let cpus = usize::try_from(spec.cpus).unwrap_or(usize::MAX);
    let most = board.max_vcpus();
    if cpus <= most { Ok(cpus) } else { Err(MachineError::Cpus { asked: spec.cpus, most }) }
}

impl Machine {
    fn new(spec: MachineSpec, hub: Arc<Hub>, waker: Waker) -> Result<Self, MachineError> {
        let files = Files::open(&spec)?;
        let board = Arc::new(Board::new(spec.cpu_vendor, spec.nested)?);
        let cpus = vcpus(&spec, &board)?;
        let hold = Arc::new(Hold::new().map_err(VcpuError::Thread)?);
        let layout = Layout::plan(&spec, board.address_bits())?;
        files.warn_of_far_windows(&spec, &layout);
        let faults = Arc::new(Faults::default());
        faults.set(spec.faults.clone())?;
        let ram = Arc::new(Ram::new(ram::Parts {
            kvm: board.clone(),
            hold: hold.clone(),
            faults: faults.clone(),
            mapping: MappingSpec::new(&spec.memory),
            bindings: Bindings::new(&spec, &layout),
            areas: AreaSpec::all(&spec, &layout),
        })?);
        let alarms = Arc::new(Alarms::new().map_err(|error| MachineError::EventLoop(error.to_string()))?);
        let outside = Outside { host: ram.clone(), events: hub.clone(), faults, alarm: alarms.clone() };
        let panic = PanicReason::default();
        let wiring = Wiring::new(&parts::Parts {
            spec: &spec,
            layout: &layout,
            board: &board,
            ram: &ram,
            outside: &outside,
            waker: &waker,
            panic: &panic,
        })?;
        let reserve = Reserve::new(cpus).map_err(MachineError::Descriptors)?;
        let (state, resets) = (VmState::Running, 0);
        let mut machine = Self {
            vcpus: None,
            hold,
            wiring,
            ram,
            board,
            spec,
            files,
            layout,
            hub,
            outside,
            alarms,
            waker,
            panic,
            reserve,
            preparing: Preparing::default(),
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
            ram: self.ram.clone(),
            hold: self.hold.clone(),
            mcg_cap: self.board.mcg_cap(),
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
        self.vcpus.take().map_or(Ok(()), Vcpus::end)?;
        self.hub.machine(MachineEvent::Resetting);
        self.resets += 1;
        self.wiring.reset();
        *lock(&self.panic) = None;
        self.reserve.release();
        self.board.replace()?;
        self.ram.reset()?;
        self.start()?;
        if let Err(error) = self.reserve.fill() {
            tracing::warn!("the next reset may fail for want of descriptors: {error}");
        }
        Ok(())
    }

    fn pause(&mut self) {
        if let (VmState::Running, Some(vcpus)) = (self.state, &self.vcpus) {
            match vcpus.pause() {
                Ok(()) => {
                    self.state = VmState::Paused;
                    self.hub.machine(MachineEvent::Paused);
                }
                Err(error) => self.finish(End::Failed(error.to_string())),
            }
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
        if wake == Wake::Prepared {
            return self.prepared();
        }
        let said = lock(&self.panic).take();
        match (wake, said) {
            (Wake::Prepared, _) => {}
            (Wake::PowerOff, _) => self.finish(End::PowerOff),
            (Wake::CrashLoaded, said) => {
                *lock(&self.panic) = said;
                self.hub.machine(MachineEvent::CrashLoaded);
            }
            (Wake::Panicked, said) => {
                self.hub.machine(MachineEvent::Panicked);
                self.finish(End::Panic(said));
            }
            (Wake::Panic(reason), _) | (Wake::Reset | Wake::TripleFault, Some(reason)) => {
                self.finish(End::Panic(Some(reason)));
            }
            (Wake::Reset, None) => {
                if let Err(error) = self.reset() {
                    self.finish(End::Failed(format!("cannot start again after a reset: {error}")));
                }
            }
            (Wake::TripleFault, None) => self.finish(End::TripleFault),
            (Wake::Quit, _) => self.finish(End::Asked("from the terminal".into())),
            (Wake::Failed(reason), _) => self.finish(End::Failed(reason)),
            (Wake::Defect(what), _) => self.finish(End::Defect(what)),
        }
    }

    /// Ends the machine; the first reason counts.
    fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.vcpus = None; // Threads that do not stop are left behind, and end with the process.
            self.hub.machine(MachineEvent::Ended { reason: end.to_string() });
            self.end = Some(end);
        }
    }
}
