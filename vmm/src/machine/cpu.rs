//! One vCPU and what happens when it comes out of the guest: accesses to the devices on the buses,
//! and the ways in which a guest can lose control of its processor.

use std::sync::Arc;

use dimmer_devices::bus::Bus;
use kvm_bindings::{
    KVM_INTERNAL_ERROR_DELIVERY_EV, KVM_INTERNAL_ERROR_EMULATION, KVM_MP_STATE_UNINITIALIZED, kvm_mp_state,
};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::exits::{Exits, Reason};
use super::hold::Hold;
use super::kvm_error::{KvmError, at};
use super::mce;
use super::presence::Presence;
use super::ram::Ram;
use super::wake::{Wake, Waker};

/// #UD, invalid opcode (Intel SDM volume 3, section 6.15).
const INVALID_OPCODE: u8 = 6;

/// What a vCPU needs.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// I/O ports.
    pub ports: Arc<Bus>,
    /// Device registers in memory.
    pub mmio: Arc<Bus>,
    /// Guest memory: what no device claims is counted there.
    pub ram: Arc<Ram>,
    /// What holds the guest for a step.
    pub hold: Arc<Hold>,
    /// Which vCPUs are there.
    pub presence: Arc<Presence>,
    /// Where it is counted why vCPUs come out.
    pub exits: Arc<Exits>,
    /// IA32_MCG_CAP, where KVM leaves the answer to the machine.
    pub mcg_cap: u64,
    /// Where the thread says why it stopped.
    pub waker: Waker,
}

/// See the module.
#[derive(Debug)]
pub struct Cpu {
    index: usize,
    vcpu: VcpuFd,
    surroundings: Surroundings,
    /// Whether it was said that the guest runs what KVM cannot emulate.
    said: bool,
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// The guest did something, which is handled.
    Out,
    /// Nothing: a kick, or a vCPU that waits for its start-up interrupt.
    Back,
}

impl Cpu {
    /// A vCPU whose state is set up, with its number.
    pub const fn new(index: usize, vcpu: VcpuFd, surroundings: Surroundings) -> Self {
        Self { index, vcpu, surroundings, said: false }
    }

    /// The vCPU, for whoever has stopped it.
    pub const fn vcpu(&self) -> &VcpuFd {
        &self.vcpu
    }

    /// Runs the guest until something happens that concerns the host, and handles that.
    ///
    /// # Errors
    /// The [`Wake`] says why the guest must not run on.
    pub fn run(&mut self) -> Result<(), Wake> {
        self.step(Self::is_there).map(|_| ())
    }

    /// Finishes the instruction whose access was handled last, without starting another: until then
    /// registers and memory do not show it (Linux, Documentation/virt/kvm/api.rst, `KVM_RUN`).
    ///
    /// # Errors
    /// The [`Wake`] says why the guest must not run on.
    pub fn settle(&mut self) -> Result<(), Wake> {
        self.vcpu.set_kvm_immediate_exit(1);
        let end = loop {
            match self.step(|_| true) {
                // An instruction may access devices several times.
                Ok(Came::Out) => {}
                Ok(Came::Back) => break Ok(()),
                Err(wake) => break Err(wake),
            }
        };
        self.vcpu.set_kvm_immediate_exit(0);
        if !self.is_there() {
            self.await_start().map_err(|error| Wake::Failed(error.to_string()))?;
        }
        end
    }

    /// Whether it is there; one that is not runs nothing.
    pub fn is_there(&self) -> bool {
        self.surroundings.presence.has(self.index)
    }

    /// One that was taken out begins as all do: with the guest's start-up interrupt.
    fn await_start(&self) -> Result<(), KvmError> {
        let state = kvm_mp_state { mp_state: KVM_MP_STATE_UNINITIALIZED };
        self.vcpu.set_mp_state(state).map_err(at("have a vCPU wait for its start"))
    }

    /// Enters the guest once, unless it may not.
    fn step(&mut self, may: impl FnOnce(&Self) -> bool) -> Result<Came, Wake> {
        let pass = self.surroundings.hold.enter();
        // Asked inside: who takes a vCPU out waits for all that are, and those that come later see it here.
        if !may(self) {
            return Ok(Came::Back);
        }
        let exit = self.vcpu.run();
        drop(pass);
        let exits = &self.surroundings.exits;
        match &exit {
            Ok(exit) => exits.count(exit.into()),
            Err(_) => exits.count(Reason::Kick),
        }
        match exit {
            Ok(VcpuExit::InternalError) => self.internal_error()?,
            Ok(exit) => self.surroundings.handle(exit)?,
            Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => return Ok(Came::Back),
            Err(error) => return Err(Wake::Failed(unable(error))),
        }
        Ok(Came::Out)
    }

    /// KVM gave up on what the guest does.
    fn internal_error(&mut self) -> Result<(), Wake> {
        let (suberror, data) = self.suberror();
        match suberror {
            KVM_INTERNAL_ERROR_EMULATION => {
                self.refuse_instruction().map_err(|error| Wake::Failed(error.to_string()))
            }
            // The guest's interrupt table or stack lies where no memory is. A processor would read all
            // ones there, meet a fault for each fault, and shut down.
            KVM_INTERNAL_ERROR_DELIVERY_EV => Err(Wake::TripleFault),
            other => Err(Wake::Failed(format!("KVM: internal error {other}: {data:x?}"))),
        }
    }

    #[expect(unsafe_code, reason = "reads the part of a union that goes with the exit reason")]
    fn suberror(&mut self) -> (u32, Vec<u64>) {
        // SAFETY: the exit reason was KVM_EXIT_INTERNAL_ERROR, for which KVM fills `internal`; and it
        // is plain numbers, valid whatever was written.
        let internal = unsafe { self.vcpu.get_kvm_run().__bindgen_anon_1.internal };
        let length = usize::try_from(internal.ndata).unwrap_or(usize::MAX).min(internal.data.len());
        (internal.suberror, internal.data[..length].to_vec())
    }

    /// Lets the guest have an invalid-opcode exception for an instruction that KVM cannot emulate: one
    /// in a place without memory, or one that accesses such a place in a way KVM does not know. KVM
    /// has queued the exception itself in most cases (Linux, arch/x86/kvm/x86.c,
    /// `handle_emulation_failure`).
    fn refuse_instruction(&mut self) -> Result<(), KvmError> {
        if !std::mem::replace(&mut self.said, true) {
            let rip = self.vcpu.get_regs().map_err(at("read registers"))?.rip;
            tracing::warn!("the guest runs an instruction at {rip:#x} that KVM cannot emulate: it gets #UD");
        }
        let mut events = self.vcpu.get_vcpu_events().map_err(at("read pending exceptions"))?;
        if events.exception.injected == 0 {
            (events.exception.injected, events.exception.nr) = (1, INVALID_OPCODE);
            events.exception.has_error_code = 0;
            self.vcpu.set_vcpu_events(&events).map_err(at("queue an exception"))?;
        }
        Ok(())
    }
}

/// Why KVM cannot run a vCPU.
fn unable(error: kvm_ioctls::Error) -> String {
    let why = match error.errno() {
        libc::EFAULT => {
            ": the host has nothing behind memory that the guest uses (was a file cut short, or is its storage full?)"
        }
        _ => "",
    };
    format!("KVM cannot run a vCPU: {error}{why}")
}

impl Surroundings {
    fn handle(&self, exit: VcpuExit<'_>) -> Result<(), Wake> {
        match exit {
            VcpuExit::IoIn(port, data) => {
                self.ports.read(port.into(), data);
            }
            VcpuExit::IoOut(port, data) => {
                self.ports.write(port.into(), data);
            }
            VcpuExit::MmioRead(address, data) => self.claimed(self.mmio.read(address, data), address),
            VcpuExit::MmioWrite(address, data) => self.claimed(self.mmio.write(address, data), address),
            VcpuExit::X86Rdmsr(read) => {
                (*read.data, *read.error) = (self.mcg_cap, u8::from(read.index != mce::MCG_CAP));
            }
            VcpuExit::Hlt | VcpuExit::Intr | VcpuExit::IrqWindowOpen => {}
            VcpuExit::Shutdown => return Err(Wake::TripleFault),
            other => return Err(Wake::Failed(format!("KVM stopped a vCPU: {other:?}"))),
        }
        Ok(())
    }

    fn claimed(&self, claimed: bool, address: u64) {
        if !claimed {
            self.ram.stray(address);
        }
    }
}
