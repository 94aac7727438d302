//! The machine's state while its vCPUs are stopped: taken, and given to a machine that has not run yet.

use kvm_ioctls::VcpuFd;

use dimmer_devices::bus::lock;
use dimmer_devices::fault::FaultError;
use dimmer_devices::state::StateError;

use super::cpu::Surroundings;
use super::kvm_error::{KvmError, at};
use super::vcpu::{VcpuError, Vcpus};
use super::{Machine, cpu_setup};
use crate::snapshot::MachineState;
use crate::snapshot::state::{BoardState, CpuidLeaf, VcpuState};
use crate::spec::Clock;
use crate::topology::Topology;

mod board;
mod clock;
pub(super) mod msrs;
mod vcpu;

/// A counter may be this much faster or slower than it was, in millionths: what KVM itself takes for the same speed.
const SAME_SPEED: u64 = 250;
/// More than this is no inaccuracy of measuring it any more.
const OTHER_SPEED: u64 = 50_000;

/// A machine's state cannot be taken, or not be given to this one.
#[derive(Debug, thiserror::Error)]
pub enum StateProblem {
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The host refused a thread.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// A device cannot be in such a state.
    #[error("{0}")]
    Device(#[from] StateError),
    /// Nor can a fault.
    #[error("fault: {0}")]
    Fault(#[from] FaultError),
    /// Something else, in words.
    #[error("{0}")]
    Differs(String),
}

impl Machine {
    /// The state of the machine, whose vCPUs are stopped.
    pub(super) fn state(&self) -> Result<MachineState, StateProblem> {
        let ended = || StateProblem::Differs("the machine has ended".to_owned());
        let vcpus = self.vcpus.as_ref().ok_or_else(ended)?;
        let (board, vcpus) = self.kvm_state(vcpus)?;
        let mut spec = self.spec.clone();
        (spec.dimms, spec.faults) = (Vec::new(), Vec::new());
        // Who goes on from it has files as long as these, and makes none.
        spec.pmems.iter_mut().for_each(|pmem| pmem.size = None);
        Ok(MachineState {
            spec,
            resets: self.resets,
            events: self.hub.state(),
            panic: lock(&self.panic).clone(),
            faults: self.outside.faults.list(),
            memory: self.ram.state(),
            board,
            vcpus,
            devices: self.wiring.state(),
        })
    }

    fn kvm_state(&self, vcpus: &Vcpus) -> Result<(BoardState, Vec<VcpuState>), StateProblem> {
        let vm = self.board.vm();
        let topology = Topology::of(&self.spec);
        let cpus = vcpus.cpus();
        let moment = clock::now(&vm)?;
        let time_of_day = clock::time_of_day();
        let mut states = Vec::with_capacity(cpus.len());
        for (cpu, place) in cpus.iter().zip(&topology.places) {
            let cpuid = cpu_setup::cpuid(self.board.cpuid(), place.apic_id, &topology);
            let mut state = vcpu::save(&vm, cpu.vcpu(), &cpuid, self.board.msrs())?;
            state.tsc = moment.host_tsc.wrapping_add(clock::tsc_offset(cpu.vcpu())?);
            states.push(state);
        }
        let tsc_khz = cpus.first().map_or(Ok(0), |cpu| tsc_khz(cpu.vcpu()))?;
        let board = BoardState { chips: board::save(&vm)?, clock: moment.clock, time_of_day, tsc_khz };
        Ok((board, states))
    }

    /// vCPUs that go on from `state`, behind a closed gate; the devices and the memory have theirs.
    pub(super) fn restored_vcpus(
        &self,
        state: &MachineState,
        clock: Clock,
        surroundings: &Surroundings,
    ) -> Result<Vcpus, StateProblem> {
        let topology = Topology::of(&self.spec);
        if state.vcpus.len() != topology.places.len() {
            let (seen, wanted) = (state.vcpus.len(), topology.places.len());
            return Err(StateProblem::Differs(format!("there are {seen} vCPUs, and not {wanted}")));
        }
        let passed = match clock {
            Clock::Stay => 0,
            Clock::Jump => clock::time_of_day().saturating_sub(state.board.time_of_day),
        };
        let vm = self.board.vm();
        clock::set(&vm, state.board.clock.saturating_add(passed))?;
        let now = clock::now(&vm)?;
        let passed = now.clock.saturating_sub(state.board.clock);
        let ticks = clock::ticks(passed, state.board.tsc_khz);
        let set_up = |index: usize, vcpu: &VcpuFd| {
            let (state, place) = (&state.vcpus[index], &topology.places[index]);
            let cpuid = cpu_setup::cpuid(self.board.cpuid(), place.apic_id, &topology);
            check_cpuid(&state.cpuid, &vcpu::leaves(&cpuid))?;
            cpu_setup::set_up(&self.board, vcpu, place.apic_id, &topology, None)?;
            vcpu::restore(&vm, vcpu, state, state.tsc.wrapping_add(ticks).wrapping_sub(now.host_tsc))
        };
        let vcpus = Vcpus::new(&self.board, &topology, surroundings, set_up)?;
        if let Some(cpu) = vcpus.cpus().first() {
            check_speed(state.board.tsc_khz, tsc_khz(cpu.vcpu())?)?;
        }
        board::restore(&vm, &state.board.chips)?;
        self.board.drive_pins();
        Ok(vcpus)
    }
}

fn tsc_khz(vcpu: &VcpuFd) -> Result<u32, KvmError> {
    vcpu.get_tsc_khz().map_err(at("read the time-stamp counter's speed"))
}

/// Complains of processors that are not those of the snapshot: a guest has decided by CPUID what to use.
fn check_cpuid(saved: &[CpuidLeaf], here: &[CpuidLeaf]) -> Result<(), StateProblem> {
    if saved == here {
        return Ok(());
    }
    let differs = |what: String| {
        Err(StateProblem::Differs(format!(
            "the snapshot was taken on another processor, or with another kernel: {what}"
        )))
    };
    match saved.iter().zip(here).find(|(saved, here)| saved != here) {
        Some((saved, here)) => differs(format!(
            "CPUID leaf {:#x}, {} was {:#x?}, and is {:#x?} in leaf {:#x}, {} here",
            saved.function, saved.index, saved.registers, here.registers, here.function, here.index
        )),
        None => differs(format!("CPUID had {} leaves, and has {} here", saved.len(), here.len())),
    }
}

/// Complains of a host whose time-stamp counter is of another speed, as far as the guest cannot live with it.
fn check_speed(saved: u32, here: u32) -> Result<(), StateProblem> {
    let off = u64::from(saved.abs_diff(here)) * 1_000_000 / u64::from(saved.max(1));
    if off > OTHER_SPEED {
        return Err(StateProblem::Differs(format!(
            "the time-stamp counter ran at {saved} kHz where the snapshot was taken, and runs at {here} kHz here"
        )));
    }
    if off > SAME_SPEED {
        tracing::warn!(
            "the time-stamp counter ran at {saved} kHz where the snapshot was taken, and runs at {here} kHz here: a guest \
             that has no clock but this one counts seconds of another length"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(function: u32, eax: u32) -> CpuidLeaf {
        CpuidLeaf { function, index: 0, flags: 0, registers: [eax, 0, 0, 0] }
    }

    #[test]
    fn other_processors_are_told_by_their_first_difference() {
        let saved = [leaf(0, 7), leaf(1, 0x663)];
        check_cpuid(&saved, &saved).unwrap();
        let other = check_cpuid(&saved, &[leaf(0, 7), leaf(1, 0x664)]).unwrap_err().to_string();
        assert!(other.contains("CPUID leaf 0x1, 0 was"), "{other}");
        let fewer = check_cpuid(&saved, &saved[..1]).unwrap_err().to_string();
        assert!(fewer.ends_with("CPUID had 2 leaves, and has 1 here"), "{fewer}");
    }

    #[test]
    fn a_counter_of_another_speed_is_refused() {
        check_speed(1_000_000, 1_000_200).unwrap();
        check_speed(1_000_000, 1_040_000).unwrap();
        assert!(check_speed(1_000_000, 2_000_000).is_err());
        assert!(check_speed(0, 1).is_err());
    }
}
