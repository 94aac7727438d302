//! Why a machine cannot be built.

use std::io;

use dimmer_devices::fault::FaultError;

use super::board::BoardError;
use super::boot::BootError;
use super::kvm_error::KvmError;
use super::pmem::PmemError;
use super::ram::RamError;
use super::restoring::RestoreError;
use super::vcpu::VcpuError;
use super::wiring::WiringError;
use crate::host::{HostNodeProblem, HostProblem};
use crate::layout::LayoutError;
use crate::sandbox::{SandboxError, limits::LimitError};
use crate::spec::Source;

/// A machine could not be built.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The host has no KVM for us.
    #[error(transparent)]
    Host(#[from] HostProblem),
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// KVM refused, or has no such processors.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// A node cannot be bound to the host's.
    #[error(transparent)]
    HostNode(#[from] HostNodeProblem),
    /// What is to go wrong makes no sense.
    #[error("--fault: {0}")]
    Fault(#[from] FaultError),
    /// Too many CPUs for this host.
    #[error("--cpus: {asked} is more than this host's KVM can run: at most {most}")]
    Cpus {
        /// What was asked for.
        asked: u32,
        /// What KVM allows.
        most: usize,
    },
    /// Persistent memory could not be had.
    #[error(transparent)]
    Pmem(#[from] PmemError),
    /// Memory does not fit into the address space.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Memory could not be mapped.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// A device could not be made.
    #[error(transparent)]
    Wiring(#[from] WiringError),
    /// Kernel or initramfs could not be loaded.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A machine cannot go on from a snapshot.
    #[error("{from}: {error}")]
    Restore {
        /// Where the snapshot is.
        from: Source,
        /// Why not.
        #[source]
        error: RestoreError,
    },
    /// The machine has no generation ID.
    #[error("no random bytes for the generation ID: {0}")]
    GenerationId(#[source] io::Error),
    /// vCPUs could not be started.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
    /// A socket could not be listened on.
    #[error("{flag}: {error}")]
    Socket {
        /// The flag that names it.
        flag: &'static str,
        /// What the host said.
        #[source]
        error: io::Error,
    },
    /// There are too few file descriptors.
    #[error("this machine needs more file descriptors: raise the limit of open files (ulimit -n): {0}")]
    Descriptors(#[source] io::Error),
    /// A limit of the process's cannot be had.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The sandbox could not be made.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Forks could not be started later.
    #[error("a process that starts forks: {0}")]
    Launcher(#[source] io::Error),
    /// The event loop could not be set up.
    #[error("event loop: {0}")]
    EventLoop(String),
}
