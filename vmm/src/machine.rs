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
use std::sync::Arc;

use crate::control::VmState;
use crate::events::{Hub, MachineEvent};
use crate::forked::launcher::Launcher;
use crate::layout::Layout;
use crate::snapshot::Origin;
use crate::spec::MachineSpec;
use crate::topology::Topology;
use dimmer_devices::fault::Faults;
use dimmer_devices::memory::Outside;
use kvm_ioctls::VcpuFd;

mod agent_port;
mod alarms;
mod audit;
mod balloon;
mod board;
mod boot;
mod callers;
mod commands;
mod confinement;
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
mod gone;
mod hold;
mod kvm_error;
mod last_words;
mod life;
mod locked;
mod mapping;
mod mce;
mod net;
mod panic_watch;
mod parts;
mod places;
mod platform;
mod pmem;
mod preparing;
mod presence;
mod process;
mod processors;
mod ram;
mod rate;
mod reserve;
mod resetting;
mod restoring;
mod saving;
mod serial_console;
mod shared_socket;
pub mod signals;
mod state;
mod sync;
mod terminal;
#[cfg(test)]
mod tests;
mod threaded;
mod tracking;
mod turns;
mod vcpu;
mod vsock;
mod wake;
mod wiring;

pub use end::End;
pub use error::MachineError;
pub use process::{Own, run};

use alarms::Alarms;
use board::Board;
use boot::{Booted, Files};
use cpu::Surroundings;
use exits::Exits;
use generation::GenerationId;
use hold::Hold;
use mapping::MappingSpec;
use panic_watch::PanicReason;
use preparing::Preparing;
use presence::Presence;
use process::Outsiders;
use ram::{AreaSpec, Bindings, Ram};
use reserve::Reserve;
use resetting::Resetting;
use saving::{Saving, Writer};
use vcpu::{VcpuError, Vcpus};
use wake::Waker;
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
    /// Writes snapshots and images.
    writer: Writer,
    /// Starts children.
    launcher: Option<Arc<Launcher>>,
}

/// How many vCPUs the machine can have, which the host can run.
fn vcpus(spec: &MachineSpec, board: &Board) -> Result<usize, MachineError> {
    let cpus = usize::try_from(spec.max_cpus).unwrap_or(usize::MAX);
    let most = board.max_vcpus();
    if cpus <= most { Ok(cpus) } else { Err(MachineError::Cpus { asked: spec.max_cpus, most }) }
}

/// Where everything lies, and the files of persistent memory, whose sizes are in `spec` from then on.
fn plan(
    spec: &mut MachineSpec,
    files: &Files,
    board: &Board,
) -> Result<(Layout, Vec<Arc<File>>), MachineError> {
    let persistent = pmem::open_all(&mut spec.pmems)?;
    let layout = Layout::plan(spec, board.address_bits())?;
    files.warn_of_far_windows(spec, &layout);
    Ok((layout, persistent))
}

fn new_ram(
    spec: &MachineSpec,
    layout: &Layout,
    kvm: Arc<Board>,
    hold: Arc<Hold>,
    faults: Arc<Faults>,
    files: Vec<Arc<File>>,
) -> Result<Arc<Ram>, MachineError> {
    let (mapping, bindings) = (MappingSpec::new(&spec.memory), Bindings::new(spec, layout));
    let areas = AreaSpec::all(spec, layout);
    Ok(Arc::new(Ram::new(ram::Parts { kvm, hold, faults, mapping, bindings, areas, files })?))
}

impl Machine {
    /// The machine, with a kernel that does not run yet.
    fn boot(spec: MachineSpec, outside: Outsiders) -> Result<Self, MachineError> {
        let mut machine = Self::assemble(spec, outside)?;
        machine.load()?;
        Ok(machine)
    }

    /// All of the machine but what runs.
    fn assemble(mut spec: MachineSpec, outside: Outsiders) -> Result<Self, MachineError> {
        let Outsiders { hub, waker, kvm, launcher } = outside;
        let writer = Writer::start(waker.clone()).map_err(VcpuError::Thread)?;
        let files = Arc::new(Files::open(&spec)?);
        let board = Arc::new(Board::new(kvm, spec.cpu_vendor, spec.nested)?);
        let cpus = vcpus(&spec, &board)?;
        let hold = Arc::new(Hold::new().map_err(VcpuError::Thread)?);
        let presence = Arc::new(Presence::new(spec.cpus, spec.max_cpus, hold.clone()));
        let (layout, persistent) = plan(&mut spec, &files, &board)?;
        let (faults, panic) = (Arc::new(Faults::default()), PanicReason::default());
        faults.set(spec.faults.clone())?;
        let ram = new_ram(&spec, &layout, board.clone(), hold.clone(), faults.clone(), persistent.clone())?;
        let alarms = Arc::new(Alarms::new().map_err(|error| MachineError::EventLoop(error.to_string()))?);
        let outside = Outside { host: ram.clone(), events: hub.clone(), faults, alarm: alarms.clone() };
        let wiring = Wiring::new(&parts::Parts {
            spec: &spec,
            layout: &layout,
            files: &persistent,
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
            writer,
            launcher,
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
        self.load()?;
        self.let_run();
        Ok(())
    }

    /// Loads the kernel into fresh memory, for fresh vCPUs, which do not run yet.
    fn load(&mut self) -> Result<(), MachineError> {
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
        self.vcpus = Some(vcpus);
        Ok(())
    }

    /// Lets vCPUs run that have not yet.
    fn let_run(&mut self) {
        self.vcpus.iter().for_each(Vcpus::run);
        self.state = VmState::Running;
    }
}
