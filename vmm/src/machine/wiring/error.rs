//! Why the machine's devices cannot be made.

use dimmer_devices::bus::Overlap;
use dimmer_devices::dimm::DimmError;
use dimmer_devices::virtio_mem::VirtioMemError;

use crate::machine::agent_port::AgentPortError;
use crate::machine::disk::DiskError;
use crate::machine::net::NetError;
use crate::machine::pmem::PmemError;
use crate::machine::serial_console::SerialConsoleError;
use crate::machine::vsock::VsockError;

/// A device could not be made.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// Two devices at one place.
    #[error(transparent)]
    Overlap(#[from] Overlap),
    /// The DIMM slots.
    #[error("--memory-hotplug method=acpi: {0}")]
    Slots(#[from] DimmError),
    /// A DIMM that is to be there at boot.
    #[error("--dimm id={id}: {error}")]
    Dimm {
        /// Its name.
        id: String,
        /// What is wrong.
        #[source]
        error: DimmError,
    },
    /// A virtio-mem device.
    #[error("--memory-hotplug method=virtio-mem,id={id}: {error}")]
    VirtioMem {
        /// Its name.
        id: String,
        /// What is wrong.
        #[source]
        error: VirtioMemError,
    },
    /// More virtio devices than interrupts.
    #[error("{flag}: {asked} more virtio devices are too many: there is room for {most}")]
    TooMany {
        /// What asked for them.
        flag: &'static str,
        /// How many were asked for.
        asked: usize,
        /// How many interrupts there are for them.
        most: usize,
    },
    /// The serial console.
    #[error(transparent)]
    Serial(#[from] SerialConsoleError),
    /// The guest agent's port.
    #[error(transparent)]
    Agent(#[from] AgentPortError),
    /// A disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A network device.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Persistent memory.
    #[error(transparent)]
    Pmem(#[from] PmemError),
    /// The socket device.
    #[error(transparent)]
    Vsock(#[from] VsockError),
}
