//! vCPU threads: each runs its vCPU and passes the gate between two runs.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use dimmer_devices::bus::lock;
use kvm_ioctls::VcpuFd;

use super::board::Board;
use super::cpu::{Cpu, Surroundings};
use super::gate::{Gate, NotStill};
use super::hold::Hold;
use super::kvm_error::KvmError;
use super::wake::{Wake, Waker};
use crate::defect;
use crate::sandbox::{self, Kind};
use crate::topology::Topology;

/// vCPUs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum VcpuError {
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The host has no thread left, or no signal to kick one.
    #[error("vCPU thread: {0}")]
    Thread(#[source] io::Error),
    /// They do not stop, although they were kicked.
    #[error("the machine cannot be stopped: {0}")]
    NotStill(#[from] NotStill),
}

/// How long vCPUs have to come out of the guest and of the devices; microseconds are usual.
const PATIENCE: Duration = Duration::from_secs(60);

/// The vCPUs of one VM and their threads, also of those that are not there (see [`super::presence`]).
#[derive(Debug)]
pub struct Vcpus {
    gate: Arc<Gate>,
    hold: Arc<Hold>,
    /// Each is locked by its thread between the gate and the next.
    cpus: Vec<Arc<Mutex<Cpu>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Vcpus {
    /// Makes the vCPUs of `topology` on the board, each with the state that `set_up` gives it by its number, and starts
    /// their threads behind a closed gate.
    ///
    /// # Errors
    /// [`VcpuError`] when KVM or the host refuses, and what `set_up` says.
    pub fn new<E: From<VcpuError>>(
        board: &Board,
        topology: &Topology,
        surroundings: &Surroundings,
        set_up: impl Fn(usize, &VcpuFd) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut cpus = Vec::new();
        for (index, place) in topology.places.iter().enumerate() {
            let vcpu = board.vcpu(place.apic_id).map_err(VcpuError::from)?;
            set_up(index, &vcpu)?;
            cpus.push(Arc::new(Mutex::new(Cpu::new(index, vcpu, surroundings.clone()))));
        }
        let gate = Arc::new(Gate::closed(cpus.len()));
        surroundings.waker.watch(&gate);
        surroundings.presence.watch(&gate);
        let spawn = |(index, cpu): (usize, &Arc<Mutex<Cpu>>)| {
            let thread =
                Thread { index, cpu: cpu.clone(), gate: gate.clone(), surroundings: surroundings.clone() };
            let name = format!("vcpu{index}");
            sandbox::spawn(Kind::Vcpu, &name, move || thread.run()).map_err(VcpuError::Thread)
        };
        let threads = cpus.iter().enumerate().map(spawn).collect::<Result<_, _>>();
        if threads.is_err() {
            gate.end();
        }
        Ok(Self { threads: threads?, cpus, gate, hold: surroundings.hold.clone() })
    }

    /// Lets the guest run.
    pub fn run(&self) {
        self.gate.open();
    }

    /// Stops the guest, and returns once no vCPU runs. None of them is in the middle of an
    /// instruction then.
    ///
    /// # Errors
    /// [`VcpuError::NotStill`]: a vCPU may still be at work on devices and guest memory.
    pub fn pause(&self) -> Result<(), VcpuError> {
        self.gate.close();
        Ok(self.gate.wait_until_still(PATIENCE, || self.hold.kick())?)
    }

    /// Whether the guest is to be reset, or has ended: it does not run on.
    pub fn are_done(&self) -> bool {
        self.gate.is_shut()
    }

    /// Stops the guest for good.
    ///
    /// # Errors
    /// As [`pause`](Self::pause); the threads are then left behind, with all that they use.
    pub fn end(mut self) -> Result<(), VcpuError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), VcpuError> {
        let threads = std::mem::take(&mut self.threads);
        let still = if threads.is_empty() { Ok(()) } else { self.pause() };
        self.gate.end();
        still?;
        for thread in threads {
            // What panicked was caught and told.
            let _ = thread.join();
        }
        Ok(())
    }

    /// The vCPUs. The caller has stopped them: otherwise it waits for their threads.
    pub fn cpus(&self) -> Vec<MutexGuard<'_, Cpu>> {
        self.cpus.iter().map(|cpu| lock(cpu)).collect()
    }
}

impl Drop for Vcpus {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!("{error}");
        }
    }
}

struct Thread {
    index: usize,
    cpu: Arc<Mutex<Cpu>>,
    gate: Arc<Gate>,
    surroundings: Surroundings,
}

impl Thread {
    fn run(self) {
        let _seat = self.surroundings.hold.seat();
        guarded(&self.gate, &self.surroundings.waker, || {
            let there = || self.surroundings.presence.has(self.index);
            while self.gate.enter(there, || self.wake_on_error(Cpu::settle)) {
                self.wake_on_error(Cpu::run);
            }
        });
    }

    fn wake_on_error(&self, act: impl FnOnce(&mut Cpu) -> Result<(), Wake>) {
        let end = act(&mut lock(&self.cpu));
        if let Err(wake) = end {
            self.surroundings.waker.wake(wake);
        }
    }
}

/// Does a thread's work, which counts as running at the gate whenever it can panic. A panic is told, and nobody waits for
/// the thread any more. Locks are taken whether or not they are poisoned; what a panic leaves behind is not used any more.
fn guarded(gate: &Gate, waker: &Waker, work: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
        gate.leave();
        waker.wake(Wake::Defect(defect::words(&*panic)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_told_of_and_not_waited_for() {
        let (waker, wakes, _bell) = Waker::new().unwrap();
        let gate = Arc::new(Gate::closed(1));
        waker.watch(&gate);
        gate.open();
        guarded(&gate, &waker, || {
            assert!(gate.enter(|| true, || ()));
            panic!("a rule is broken");
        });
        assert_eq!(wakes.try_iter().collect::<Vec<_>>(), [Wake::Defect("a rule is broken".to_owned())]);
        assert_eq!(gate.wait_until_still(Duration::ZERO, || ()), Ok(()));
    }
}
