//! Machine checks: a hardware memory error is reported to the guest the way a processor of its vendor does from which software
//! can recover: Intel's with software error recovery (Intel SDM volume 3, chapter 16), AMD's with SUCCOR (AMD APM volume 2,
//! chapter 9).
//!
//! KVM does what it is told, also where that ends the guest or is lost without a word. So what the
//! vCPUs would do is looked at first (`plan`), while they are stopped, and an error that would not
//! arrive is refused.

pub(super) mod kvm;
mod plan;
mod registers;

use std::thread;
use std::time::Duration;

use vm_memory::{GuestAddress, GuestMemoryBackend};

use self::plan::{Cpu, Problem};
use super::Machine;
use super::kvm_error::{KvmError, at};
use super::vcpu::{VcpuError, Vcpus};
use crate::control::{MceSeverity, Refusal, VmState};
use crate::events::MachineEvent;
use crate::spec::CpuVendor;

pub use kvm::{MCG_CAP, set_up};

/// How often vCPUs run on, and for how long, in search of a moment when no interrupt is about to arrive.
const ATTEMPTS: u32 = 100;
const RUNS_ON: Duration = Duration::from_millis(1);

/// What is to be reported, and in whose format.
#[derive(Debug, Clone, Copy)]
struct MemoryError {
    vendor: CpuVendor,
    address: u64,
    severity: MceSeverity,
}

/// The error could not be reported.
#[derive(Debug, thiserror::Error)]
enum MceError {
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error(transparent)]
    Kvm(#[from] KvmError),
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
}

impl Machine {
    /// Reports a hardware error at a guest-physical address. The guest meets it when the vCPUs run
    /// next, which is at once unless the machine is paused.
    ///
    /// # Errors
    /// [`Refusal`] when nothing was reported: it says what the guest would have done instead.
    pub(super) fn inject_mce(&mut self, address: u64, severity: MceSeverity) -> Result<(), Refusal> {
        let conflict = |problem: Problem| Refusal::Conflict(problem.to_string());
        let vendor = plan::format(self.board.cpuid(), self.board.mcg_cap()).map_err(conflict)?;
        if !self.ram.memory().address_in_range(GuestAddress(address)) {
            return Err(conflict(Problem::NoMemory { address }));
        }
        let ended = || Refusal::Conflict("the machine has ended".to_owned());
        let vcpus = self.vcpus.as_ref().ok_or_else(ended)?;
        vcpus.pause().map_err(|error| Refusal::Host(error.to_string()))?;
        let error = MemoryError { vendor, address, severity };
        let done = if self.state == VmState::Running {
            let done = report_between_interrupts(vcpus, error);
            vcpus.run();
            done
        } else {
            report(vcpus, error)
        };
        done.map_err(|error| match error {
            MceError::Problem(problem) => conflict(problem),
            MceError::Kvm(error) => Refusal::Host(error.to_string()),
            MceError::Vcpu(error) => Refusal::Host(error.to_string()),
        })?;
        self.hub.machine(MachineEvent::MachineCheck { address, severity });
        Ok(())
    }
}

/// Reports the error to the vCPUs, which are stopped, or to none. One that was stopped at a bad moment
/// runs on a little before.
fn report_between_interrupts(vcpus: &Vcpus, error: MemoryError) -> Result<(), MceError> {
    let mut done = report(vcpus, error);
    for _ in 0..ATTEMPTS {
        let Err(MceError::Problem(Problem::Delivering { .. })) = done else { break };
        vcpus.run();
        thread::sleep(RUNS_ON);
        vcpus.pause()?;
        done = report(vcpus, error);
    }
    done
}

/// Reports the error to the vCPUs, which are stopped, or to none.
fn report(vcpus: &Vcpus, error: MemoryError) -> Result<(), MceError> {
    let cpus = vcpus.cpus();
    let seen = cpus.iter().map(|cpu| kvm::look(cpu.vcpu())).collect::<Result<Vec<Cpu>, KvmError>>()?;
    for (index, check) in plan::plan(error.vendor, &seen, error.address, error.severity)? {
        kvm::set(cpus[index].vcpu(), &check).map_err(at("report a machine check"))?;
    }
    Ok(())
}
