//! What is saved of a machine besides its memory: plain data, and input when it comes back.

use dimmer_devices::dimm::DimmSlotsState;
use dimmer_devices::fault::FaultStatus;
use dimmer_devices::ged::GedState;
use dimmer_devices::pci::PciState;
use dimmer_devices::places::PlaceState;
use dimmer_devices::power::PowerState;
use dimmer_devices::processors::ProcessorSlotsState;
use dimmer_devices::pvpanic::PvpanicState;
use dimmer_devices::serial::SerialState;
use dimmer_devices::virtio::balloon::BalloonState;
use dimmer_devices::virtio::block::BlockState;
use dimmer_devices::virtio::console::ConsoleState;
use dimmer_devices::virtio::mmio::MmioState;
use dimmer_devices::virtio::net::NetState;
use dimmer_devices::virtio::pmem::PmemState;
use dimmer_devices::virtio::vsock::VsockState;
use dimmer_devices::virtio_mem::VirtioMemState;
use dimmer_devices::watchdog::WatchdogState;
use serde::{Deserialize, Serialize};

use super::memory::Piece;
use crate::events::EventsState;
use crate::spec::MachineSpec;

mod file;
mod kvm;

pub use file::FileMark;
pub use kvm::{BoardState, CpuidLeaf, VcpuState};

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// The files that a reset boots.
    pub files: FilesState,
    /// All else.
    pub machine: MachineState,
}

/// A machine whose vCPUs are stopped.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineState {
    /// What it was asked to be; DIMMs and faults stand below as they are now.
    pub spec: MachineSpec,
    /// Times it was reset.
    pub resets: u64,
    /// Its events.
    pub events: EventsState,
    /// The words of a panic that were heard.
    pub panic: Option<String>,
    /// What is to go wrong.
    pub faults: Vec<FaultStatus>,
    /// Its memory.
    pub memory: MemoryState,
    /// Interrupt controllers and clock.
    pub board: BoardState,
    /// The vCPUs, by number.
    pub vcpus: Vec<VcpuState>,
    /// Everything on a bus.
    pub devices: DevicesState,
}

impl MachineState {
    /// Bytes of its memory, whose pieces are right.
    pub fn memory_length(&self) -> u64 {
        self.memory.pieces.iter().map(|piece| piece.range.size).sum()
    }
}

/// The files that a reset boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesState {
    /// The kernel.
    pub kernel: FileMark,
    /// The initial RAM file system.
    pub initramfs: Option<FileMark>,
}

/// Guest memory, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryState {
    /// What is plugged, ascending and apart: a piece for each KVM memory slot.
    pub pieces: Vec<Piece>,
    /// Accesses of the guest to places where nothing is plugged: of boot RAM, then of each window, then of persistent memory.
    pub strays: Vec<u64>,
}

/// Everything on a bus.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevicesState {
    /// The Generic Event Device.
    pub ged: GedState,
    /// Sleep and reset registers.
    pub power: PowerState,
    /// The pvpanic device.
    pub pvpanic: PvpanicState,
    /// The watchdog, if it has one.
    pub watchdog: Option<WatchdogState>,
    /// PCI configuration space.
    pub pci: PciState,
    /// The serial console.
    pub serial: SerialLineState,
    /// The guest agent's port, if the machine has one.
    pub agent: Option<AgentPortState>,
    /// The DIMM slots, if it has any.
    pub slots: Option<DimmSlotsState>,
    /// The places of processors, if they can come and go.
    pub processors: Option<ProcessorSlotsState>,
    /// The virtio-mem devices that are always there, in the order of the command line.
    pub virtio_mem: Vec<MmioState<VirtioMemState>>,
    /// The places of others, if it has any.
    pub places: Option<Vec<PlaceState>>,
    /// The disks, in the order of the command line; what is on them is not saved.
    pub disks: Vec<MmioState<BlockState>>,
    /// The network devices, likewise.
    pub nets: Vec<MmioState<NetState>>,
    /// Persistent memory, likewise; what is in it is not saved.
    #[serde(default)]
    pub pmems: Vec<MmioState<PmemState>>,
    /// The device with random bytes, if it has one.
    pub rng: Option<MmioState<()>>,
    /// The balloon, if it has one.
    pub balloon: Option<MmioState<BalloonState>>,
    /// The socket device, if it has one; its connections are not saved.
    pub vsock: Option<MmioState<VsockState>>,
}

/// The serial console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialLineState {
    /// The port.
    pub port: SerialState,
    /// Bytes for the guest that the port did not take yet, oldest first.
    pub input: Vec<u8>,
}

/// The guest agent's port. Who is connected to it is not saved: a machine that goes on has connections of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentPortState {
    /// The port.
    pub port: MmioState<ConsoleState>,
    /// Bytes for the guest that the port did not take yet, oldest first.
    pub input: Vec<u8>,
}

/// Reads a state, whose machine could be asked for on a command line.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(json: &[u8]) -> Result<Saved, String> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let saved: Saved = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| format!("is no state of a machine: {error}"))?;
    saved.machine.spec.check().map_err(|error| format!("is about a machine that cannot be: {error}"))?;
    Ok(saved)
}
