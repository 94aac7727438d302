//! What people see of the vCPUs, how many there are to be, and the interrupt that people can send them: one that reaches a guest
//! which does nothing else.

use dimmer_devices::bus::lock;
use dimmer_devices::memory::State;
use dimmer_devices::memory_map::MemoryMap;
use dimmer_devices::processors::ProcessorsStatus;
use kvm_bindings::{
    KVM_MP_STATE_HALTED, KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
    kvm_lapic_state,
};
use kvm_ioctls::VcpuFd;

use super::Machine;
use super::callers::callers;
use super::cpu::Cpu;
use super::kvm_error::{KvmError, at};
use crate::control::{Activity, Refusal, Registers, Reply, VcpuStatus, VmState};
use crate::events::MachineEvent;

/// The local APIC's register for its second line, which non-maskable interrupts come in by (Intel SDM volume 3, section 11.5.1):
/// where it is, what is delivered, and whether it is masked.
const LINT1: usize = 0x360;
const DELIVERY: u32 = 7 << 8;
const NMI: u32 = 4 << 8;
const MASKED: u32 = 1 << 16;

/// RFLAGS.IF.
const INTERRUPTS: u64 = 1 << 9;

impl Machine {
    /// How many vCPUs there are, and may be.
    pub(super) fn cpus_status(&self) -> ProcessorsStatus {
        let slots = self.wiring.processors.as_ref().map(|slots| lock(slots).status());
        slots.unwrap_or_else(|| {
            let count = u16::try_from(self.spec.cpus).unwrap_or(u16::MAX);
            ProcessorsStatus {
                max: count,
                requested: count,
                plugged: count,
                state: State::Plugged,
                last: None,
            }
        })
    }

    /// Whether the vCPU with this number is there.
    pub(super) fn has_cpu(&self, number: u32) -> bool {
        usize::try_from(number).is_ok_and(|number| self.presence.has(number))
    }

    /// Asks the guest to have `count` vCPUs.
    ///
    /// # Errors
    /// [`Refusal`] when there cannot be so many.
    pub(super) fn resize_cpus(&mut self, count: u32) -> Result<Reply, Refusal> {
        let end = self.hub.follow_cpus();
        let wrong = |rule: String| Refusal::Invalid(format!("desired_vcpus={count}: {rule}"));
        if !self.spec.can_have(count) {
            return Err(wrong(self.spec.cpu_rule()));
        }
        let cpus = match &self.wiring.processors {
            Some(slots) => {
                let count = u16::try_from(count).unwrap_or(u16::MAX);
                lock(slots).request(count).map_err(|bad| wrong(bad.to_string()))?
            }
            None => self.cpus_status(),
        };
        Ok(Reply::AcceptedCpus { cpus, end })
    }

    /// Where all vCPUs are that are there.
    ///
    /// # Errors
    /// [`Refusal`] when the machine has ended, or KVM does not tell.
    pub(super) fn vcpus_status(&self) -> Result<Vec<VcpuStatus>, Refusal> {
        self.with_still(|cpus| {
            // Not before they stand still: one may be about to take memory away, and waits for those who look at it.
            let memory = self.ram.memory();
            let there = (0..).zip(cpus).filter(|(_, cpu)| cpu.is_there());
            there.map(|(id, cpu)| status(id, cpu.vcpu(), &memory)).collect()
        })
    }

    /// Sends a non-maskable interrupt to each vCPU that takes it from its local APIC's line, as the line of a real machine reaches
    /// all of them; with Linux, that is the first one alone.
    ///
    /// # Errors
    /// [`Refusal`] when none would take it.
    pub(super) fn inject_nmi(&self) -> Result<(), Refusal> {
        let sent = self.with_still(|cpus| {
            let mut sent = 0;
            for cpu in cpus {
                let apic = cpu.vcpu().get_lapic().map_err(at("read a local APIC"))?;
                // One that waits for its start would wait no longer, and yet do nothing.
                let started = activity(cpu.vcpu())? != Activity::NotStarted;
                if started && takes_nmi(&apic) {
                    cpu.vcpu().nmi().map_err(at("send a non-maskable interrupt"))?;
                    sent += 1;
                }
            }
            Ok(sent)
        })?;
        if sent == 0 {
            let why = "the guest takes no non-maskable interrupt: no local APIC of its vCPUs has LINT1 set up for one";
            return Err(Refusal::Conflict(why.to_owned()));
        }
        self.hub.machine(MachineEvent::Nmi);
        Ok(())
    }

    /// Does something with the vCPUs, none of which runs meanwhile.
    fn with_still<T>(&self, act: impl FnOnce(&[&Cpu]) -> Result<T, KvmError>) -> Result<T, Refusal> {
        let host = |error: &dyn std::error::Error| Refusal::Host(error.to_string());
        let ended = || Refusal::Conflict("the machine has ended".to_owned());
        let vcpus = self.vcpus.as_ref().ok_or_else(ended)?;
        vcpus.pause().map_err(|error| host(&error))?;
        let locked = vcpus.cpus();
        let done = act(&locked.iter().map(|cpu| &**cpu).collect::<Vec<_>>());
        drop(locked);
        if self.state == VmState::Running {
            vcpus.run();
        }
        done.map_err(|error| host(&error))
    }
}

fn status(id: u32, vcpu: &VcpuFd, memory: &MemoryMap) -> Result<VcpuStatus, KvmError> {
    let regs = vcpu.get_regs().map_err(at("read registers"))?;
    let sregs = vcpu.get_sregs().map_err(at("read system registers"))?;
    // The current privilege level is that of the stack segment (Intel SDM volume 3, section 5.5).
    let user = sregs.ss.dpl == 3;
    Ok(VcpuStatus {
        id,
        activity: activity(vcpu)?,
        rip: regs.rip,
        user,
        interrupts: regs.rflags & INTERRUPTS != 0,
        cr3: sregs.cr3,
        callers: if user { Vec::new() } else { callers(vcpu, memory, regs.rsp) },
        registers: Registers::from(&regs),
    })
}

fn activity(vcpu: &VcpuFd) -> Result<Activity, KvmError> {
    Ok(match vcpu.get_mp_state().map_err(at("read a vCPU's state"))?.mp_state {
        KVM_MP_STATE_RUNNABLE => Activity::Running,
        KVM_MP_STATE_HALTED => Activity::Halted,
        KVM_MP_STATE_UNINITIALIZED | KVM_MP_STATE_INIT_RECEIVED => Activity::NotStarted,
        _ => Activity::Other,
    })
}

fn takes_nmi(apic: &kvm_lapic_state) -> bool {
    let byte = |offset: usize| apic.regs[LINT1 + offset].to_ne_bytes()[0];
    let entry = u32::from_le_bytes(std::array::from_fn(byte));
    entry & DELIVERY == NMI && entry & MASKED == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_apic_takes_what_its_line_is_set_up_for() {
        let apic = |entry: u32| {
            let mut apic = kvm_lapic_state::default();
            for (register, byte) in apic.regs[LINT1..].iter_mut().zip(entry.to_le_bytes()) {
                *register = i8::from_ne_bytes([byte]);
            }
            apic
        };
        assert!(takes_nmi(&apic(NMI)));
        assert!(!takes_nmi(&apic(NMI | MASKED)), "Linux masks it on all but the first");
        assert!(!takes_nmi(&apic(0)), "an ordinary interrupt");
        assert!(!takes_nmi(&apic(7 << 8)), "what an 8259 sends");
    }
}
