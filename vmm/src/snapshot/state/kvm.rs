//! What KVM keeps of a machine. Registers are kept as KVM's own structures (Linux, arch/x86/include/uapi/asm/kvm.h), which
//! JSON has as arrays of bytes.

use kvm_bindings::{
    kvm_debugregs, kvm_irqchip, kvm_lapic_state, kvm_mp_state, kvm_regs, kvm_sregs, kvm_vcpu_events,
    kvm_xcrs, kvm_xsave,
};
use serde::{Deserialize, Serialize};

/// Interrupt controllers and clock.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardState {
    /// Both 8259s and the I/O APIC.
    pub chips: [kvm_irqchip; 3],
    /// KVM's clock (`KVM_GET_CLOCK`), in nanoseconds.
    pub clock: u64,
    /// The host's time of day at that moment, in nanoseconds since 1970.
    pub time_of_day: u64,
    /// How fast the vCPUs' time-stamp counters count, in kHz.
    pub tsc_khz: u32,
}

/// One vCPU.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VcpuState {
    /// What it says of itself.
    pub cpuid: Vec<CpuidLeaf>,
    /// Whether it runs, halts, or waits for its start-up interrupt.
    pub mp_state: kvm_mp_state,
    /// General registers.
    pub regs: kvm_regs,
    /// Segments, control registers, the local APIC's base.
    pub sregs: kvm_sregs,
    /// Floating point and vectors: the area of XSAVE, or what KVM makes of FXSAVE's where the processor has no other.
    pub xsave: Box<kvm_xsave>,
    /// XCR0, of processors with XSAVE.
    pub xcrs: Option<Box<kvm_xcrs>>,
    /// The local APIC.
    pub lapic: kvm_lapic_state,
    /// Model-specific registers but for the time-stamp counter: number and value.
    pub msrs: Vec<(u32, u64)>,
    /// Exceptions, interrupts and NMIs on their way.
    pub events: kvm_vcpu_events,
    /// Debug registers.
    pub debug: kvm_debugregs,
    /// Its time-stamp counter when KVM's clock was read.
    pub tsc: u64,
}

/// A leaf of CPUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuidLeaf {
    /// EAX that asks for it.
    pub function: u32,
    /// ECX that asks for it, where `flags` says that it matters.
    pub index: u32,
    /// `KVM_CPUID_FLAG_*`.
    pub flags: u32,
    /// EAX, EBX, ECX and EDX of the answer.
    pub registers: [u32; 4],
}
