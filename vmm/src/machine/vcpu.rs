//! vCPU threads: each runs its vCPU, takes accesses to the devices on the bus, and passes the gate
//! between two runs.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use dimmer_devices::bus::Bus;
use dimmer_guest_firmware::CpuState;
use kvm_ioctls::{VcpuExit, VcpuFd};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use super::board::{Board, KvmError};
use super::cpu_setup;
use super::gate::Gate;
use super::wake::{Wake, Waker};
use crate::topology::Topology;

/// What a vCPU thread needs.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// I/O ports.
    pub ports: Arc<Bus>,
    /// Device registers in memory.
    pub mmio: Arc<Bus>,
    /// Where the thread says why it stopped.
    pub waker: Waker,
}

/// vCPUs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The host has no thread left, or no signal.
    #[error("vCPU thread: {0}")]
    Thread(#[source] io::Error),
}

/// The vCPU threads of one VM.
#[derive(Debug)]
pub struct Vcpus {
    gate: Arc<Gate>,
    threads: Vec<JoinHandle<()>>,
}

impl Vcpus {
    /// Makes the vCPUs of `topology` on the board, the first one with `state`, and starts their
    /// threads behind a closed gate.
    ///
    /// # Errors
    /// [`VcpuError`] when KVM or the host refuses.
    pub fn new(
        board: &Board,
        topology: &Topology,
        state: &CpuState,
        surroundings: &Surroundings,
    ) -> Result<Self, VcpuError> {
        register_signal_handler(SIGRTMIN(), on_kick).map_err(|e| VcpuError::Thread(e.into()))?;
        let mut vcpus = Vec::new();
        for (index, place) in topology.places.iter().enumerate() {
            let vcpu = board.vcpu(place.apic_id)?;
            cpu_setup::set_up(board, &vcpu, place.apic_id, topology, (index == 0).then_some(state))?;
            vcpus.push(vcpu);
        }
        let gate = Arc::new(Gate::closed(vcpus.len()));
        surroundings.waker.watch(&gate);
        let spawn = |(index, vcpu)| {
            let thread = Thread { vcpu, gate: gate.clone(), surroundings: surroundings.clone() };
            let builder = std::thread::Builder::new().name(format!("vcpu{index}"));
            builder.spawn(move || thread.run()).map_err(VcpuError::Thread)
        };
        let threads = vcpus.into_iter().enumerate().map(spawn).collect::<Result<_, _>>();
        if threads.is_err() {
            gate.end();
        }
        Ok(Self { threads: threads?, gate })
    }

    /// Lets the guest run.
    pub fn run(&self) {
        self.gate.open();
    }

    /// Stops the guest, and returns once no vCPU runs.
    pub fn pause(&self) {
        self.gate.close();
        self.gate.wait_until_still(|| self.kick());
    }

    fn kick(&self) {
        for thread in &self.threads {
            // A thread that has ended already needs no kick.
            let _ = thread.kill(SIGRTMIN());
        }
    }
}

impl Drop for Vcpus {
    fn drop(&mut self) {
        self.pause();
        self.gate.end();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a vCPU thread panicked");
            }
        }
    }
}

/// Makes a blocking `KVM_RUN` return with EINTR; there is nothing else to do.
extern "C" fn on_kick(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

struct Thread {
    vcpu: VcpuFd,
    gate: Arc<Gate>,
    surroundings: Surroundings,
}

impl Thread {
    fn run(mut self) {
        while self.gate.enter() {
            if let Err(wake) = self.run_once() {
                self.surroundings.waker.wake(wake);
            }
        }
    }

    /// Runs the guest until something happens that concerns the host.
    fn run_once(&mut self) -> Result<(), Wake> {
        let Surroundings { ports, mmio, .. } = &self.surroundings;
        let exit = match self.vcpu.run() {
            Ok(exit) => exit,
            // A kick, or a vCPU that waits for its start-up interrupt.
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => return Ok(()),
            Err(error) => return Err(Wake::Failed(format!("KVM cannot run a vCPU: {error}"))),
        };
        match exit {
            VcpuExit::IoIn(port, data) => ports.read(port.into(), data),
            VcpuExit::IoOut(port, data) => ports.write(port.into(), data),
            VcpuExit::MmioRead(address, data) => mmio.read(address, data),
            VcpuExit::MmioWrite(address, data) => mmio.write(address, data),
            VcpuExit::Shutdown => return Err(Wake::TripleFault),
            VcpuExit::Hlt | VcpuExit::Intr | VcpuExit::IrqWindowOpen => {}
            other => return Err(Wake::Failed(format!("KVM stopped a vCPU: {other:?}"))),
        }
        Ok(())
    }
}
