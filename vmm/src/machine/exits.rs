//! How often vCPUs came out of the guest, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use kvm_ioctls::VcpuExit;

/// Why a vCPU came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It read an I/O port.
    PortRead,
    /// It wrote to an I/O port.
    PortWrite,
    /// It read where no memory is.
    MmioRead,
    /// It wrote where no memory is.
    MmioWrite,
    /// It used a model-specific register.
    Msr,
    /// It was kicked, or waits for its start.
    Kick,
    /// Anything else.
    Other,
}

const ALL: [(Reason, &str); 7] = [
    (Reason::PortRead, "port-read"),
    (Reason::PortWrite, "port-write"),
    (Reason::MmioRead, "mmio-read"),
    (Reason::MmioWrite, "mmio-write"),
    (Reason::Msr, "msr"),
    (Reason::Kick, "kick"),
    (Reason::Other, "other"),
];

/// A number that shares no cache line with another one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Count(AtomicU64);

/// The numbers, since this process has the machine.
#[derive(Debug, Default)]
pub struct Exits([Count; ALL.len()]);

impl Exits {
    /// One more.
    pub fn count(&self, reason: Reason) {
        self.0[reason as usize].0.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them by name.
    pub fn list(&self) -> Vec<(&'static str, u64)> {
        ALL.iter().map(|(reason, name)| (*name, self.0[*reason as usize].0.load(Ordering::Relaxed))).collect()
    }
}

impl From<&VcpuExit<'_>> for Reason {
    fn from(exit: &VcpuExit<'_>) -> Self {
        match exit {
            VcpuExit::IoIn(..) => Self::PortRead,
            VcpuExit::IoOut(..) => Self::PortWrite,
            VcpuExit::MmioRead(..) => Self::MmioRead,
            VcpuExit::MmioWrite(..) => Self::MmioWrite,
            VcpuExit::X86Rdmsr(_) | VcpuExit::X86Wrmsr(_) => Self::Msr,
            VcpuExit::Intr => Self::Kick,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_number_of_its_own() {
        let exits = Exits::default();
        for (times, (reason, _)) in (1..).zip(ALL) {
            (0..times).for_each(|_| exits.count(reason));
        }
        let expected: Vec<_> = ALL.iter().map(|(_, name)| *name).zip(1..).collect();
        assert_eq!(exits.list(), expected);
        exits.count(Reason::from(&VcpuExit::IoOut(0x3f8, b"x")));
        assert_eq!(exits.list()[1], ("port-write", 3));
    }
}
