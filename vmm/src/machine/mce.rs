//! Machine checks: a hardware memory error is reported to the guest the way an Intel processor with
//! software error recovery does (Intel SDM volume 3, chapter 16).
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
use super::board::Board;
use super::cpu_vendor;
use super::kvm_error::{KvmError, at};
use super::vcpu::{VcpuError, Vcpus};
use crate::control::{MceSeverity, Refusal, VmState};
use crate::events::MachineEvent;
use crate::spec::CpuVendor;

pub use kvm::{MCG_CAP, set_up};

/// How often vCPUs run on, and for how long, in search of a moment when no interrupt is about to arrive.
const ATTEMPTS: u32 = 100;
const RUNS_ON: Duration = Duration::from_millis(1);

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
        if cpu_vendor::of(self.board.cpuid()) != Some(CpuVendor::Intel) {
            return Err(Refusal::Conflict(Problem::Vendor.to_string()));
        }
        if !self.ram.memory().address_in_range(GuestAddress(address)) {
            return Err(Refusal::Conflict(Problem::NoMemory { address }.to_string()));
        }
        let ended = || Refusal::Conflict("the machine has ended".to_owned());
        let vcpus = self.vcpus.as_ref().ok_or_else(ended)?;
        vcpus.pause().map_err(|error| Refusal::Host(error.to_string()))?;
        let done = if self.state == VmState::Running {
            let done = report_between_interrupts(&self.board, vcpus, address, severity);
            vcpus.run();
            done
        } else {
            report(&self.board, vcpus, address, severity)
        };
        done.map_err(|error| match error {
            MceError::Problem(problem) => Refusal::Conflict(problem.to_string()),
            MceError::Kvm(error) => Refusal::Host(error.to_string()),
            MceError::Vcpu(error) => Refusal::Host(error.to_string()),
        })?;
        self.hub.machine(MachineEvent::MachineCheck { address, severity });
        Ok(())
    }
}

/// Reports the error to the vCPUs, which are stopped, or to none. One that was stopped at a bad moment
/// runs on a little before.
fn report_between_interrupts(
    board: &Board,
    vcpus: &Vcpus,
    address: u64,
    severity: MceSeverity,
) -> Result<(), MceError> {
    let mut done = report(board, vcpus, address, severity);
    for _ in 0..ATTEMPTS {
        let Err(MceError::Problem(Problem::Delivering { .. })) = done else { break };
        vcpus.run();
        thread::sleep(RUNS_ON);
        vcpus.pause()?;
        done = report(board, vcpus, address, severity);
    }
    done
}

/// Reports the error to the vCPUs, which are stopped, or to none.
fn report(board: &Board, vcpus: &Vcpus, address: u64, severity: MceSeverity) -> Result<(), MceError> {
    let cpus = vcpus.cpus();
    let seen = cpus.iter().map(|cpu| kvm::look(cpu.vcpu())).collect::<Result<Vec<Cpu>, KvmError>>()?;
    for (index, check) in plan::plan(board.mcg_cap(), &seen, address, severity)? {
        kvm::set(cpus[index].vcpu(), &check).map_err(at("report a machine check"))?;
    }
    Ok(())
}
