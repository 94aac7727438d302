//! From the API to the machine: a typed command with its own reply channel, run by the event loop.

use dimmer_devices::fault::{Fault, FaultStatus};
use dimmer_devices::hotplug::OstReport;
use dimmer_devices::memory::MemoryStatus;
use dimmer_devices::places::{NewVirtioMem, PlaceStatus};
use dimmer_devices::processors::ProcessorsStatus;
use dimmer_devices::virtio_mem::{RequestCounts, RequestRecord};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc;
use tokio::sync::oneshot;
use utoipa::ToSchema;
use vmm_sys_util::eventfd::EventFd;

use crate::audit::Audit;
use crate::events::Followed;
use crate::spec::{DimmSpec, ForkSpec, SnapshotSpec};
pub use devices::{BalloonStatus, DiskStatus, NetStatus, PmemStatus, VsockStatus};
pub use vcpus::{Activity, MceSeverity, Registers, VcpuStatus};

mod devices;
mod vcpus;

/// What the machine can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Describe the machine.
    Info,
    /// Show all memory devices.
    Devices,
    /// Show one memory device.
    Device(String),
    /// Plug an ACPI memory device.
    AddDimm(DimmSpec),
    /// Put a virtio-mem device into a place.
    AddVirtioMem(NewVirtioMem),
    /// Ask for a virtio-mem device's plugged size.
    Resize {
        /// The device.
        id: String,
        /// Bytes wanted.
        size: u64,
    },
    /// Ask for an amount of RAM in all: boot RAM and memory devices.
    ResizeTotal(u64),
    /// Ask the guest to let a memory device go.
    Remove(String),
    /// Ask the guest to have so many vCPUs.
    ResizeCpus(u32),
    /// Show how many vCPUs there are.
    Cpus,
    /// Ask the guest to have so many bytes in the balloon.
    SetBalloon(u64),
    /// Ask the guest every so many seconds how its memory is.
    SetBalloonInterval(u32),
    /// Show the `_OST` reports about a DIMM, which may be gone by now.
    Ost(String),
    /// Show the `_OST` reports about all DIMMs and slots.
    AllOst,
    /// Show what a virtio-mem device's driver asked for.
    Requests(String),
    /// Count what the drivers of the virtio-mem devices asked for, and why vCPUs came out of the guest.
    Counts,
    /// Hold the machine's books against each other.
    Audit,
    /// Show the faults that are set.
    Faults,
    /// Set faults in place of all earlier ones.
    SetFaults(Vec<Fault>),
    /// Start a child that begins as a copy of the machine; the answer comes when it is there.
    Fork(ForkSpec),
    /// Write the machine to a directory; the answer comes when it is there.
    Snapshot(SnapshotSpec),
    /// Report a hardware memory error to the guest.
    InjectMce {
        /// Guest-physical address.
        address: u64,
        /// How bad it is.
        severity: MceSeverity,
    },
    /// Send the guest a non-maskable interrupt.
    InjectNmi,
    /// Show where the vCPUs are, which stand still meanwhile.
    Vcpus,
    /// Stop the vCPUs.
    Pause,
    /// Let the vCPUs run.
    Resume,
    /// Reset the machine; it starts again with the same devices.
    Reboot,
    /// Press the power button.
    PowerButton,
    /// End the machine at once.
    Shutdown,
}

impl Command {
    /// Whether it changes nothing of the machine, or ends it.
    pub const fn only_looks(&self) -> bool {
        matches!(
            self,
            Self::Info
                | Self::Devices
                | Self::Device(_)
                | Self::Cpus
                | Self::Ost(_)
                | Self::AllOst
                | Self::Requests(_)
                | Self::Counts
                | Self::Audit
                | Self::Faults
                | Self::Shutdown
        )
    }
}

/// What the machine answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It is done.
    Done,
    /// The machine's description.
    Info(Box<VmInfo>),
    /// All memory devices.
    Devices(Vec<MemoryStatus>),
    /// One memory device.
    Device(MemoryStatus),
    /// `_OST` reports, oldest first.
    Ost(Vec<OstReport>),
    /// Requests of a virtio-mem driver, oldest first.
    Requests(Vec<RequestRecord>),
    /// What was counted.
    Counts(Counts),
    /// What the audit found.
    Audit(Audit),
    /// The faults that are set now.
    Faults(Vec<FaultStatus>),
    /// Where the vCPUs are.
    Vcpus(Vec<VcpuStatus>),
    /// The child that there is now.
    Forked(Forked),
    /// The guest was asked to change a memory device.
    Accepted {
        /// The device's state right after. When it is already as asked (`device.state` is `idle` or
        /// `plugged`), there is nothing to wait for.
        device: MemoryStatus,
        /// Where the change's end shows.
        end: Followed,
    },
    /// How many vCPUs there are.
    Cpus(ProcessorsStatus),
    /// The guest was asked to have another number of vCPUs.
    AcceptedCpus {
        /// The state right after; `plugged` when nothing has to change.
        cpus: ProcessorsStatus,
        /// Where the change's end shows.
        end: Followed,
    },
}

/// What was counted since this process has the machine.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// How often the driver asked for what and was answered how, by virtio-mem device.
    pub requests: Vec<(String, RequestCounts)>,
    /// How often vCPUs came out of the guest, by reason.
    pub exits: Vec<(&'static str, u64)>,
}

/// A child of the machine; the answer of `POST /vm.fork`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Forked {
    /// Its name.
    pub id: String,
    /// Its process.
    pub pid: u32,
    /// The socket of its API.
    #[schema(value_type = String)]
    pub api_socket: PathBuf,
    /// The socket of its guest's agent.
    #[schema(value_type = Option<String>)]
    pub agent_socket: Option<PathBuf>,
}

/// The body of `GET /vm.info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VmInfo {
    /// Its name, if it is a fork.
    pub id: Option<String>,
    /// Running, paused, …
    pub state: VmState,
    /// Number of virtual CPUs that there are.
    pub cpus: u32,
    /// How many there are and may be, and what becomes of them.
    pub processors: Box<ProcessorsStatus>,
    /// Bytes of boot RAM.
    pub boot_memory: u64,
    /// Bytes of boot RAM and of all plugged memory, less what is in the balloon.
    pub memory_actual_size: u64,
    /// Times the machine was reset.
    pub resets: u64,
    /// The generation ID, a GUID: another one on each machine that goes on from a snapshot.
    pub generation_id: String,
    /// The snapshot since which it is marked what is written, if it is: later ones can be differences to it.
    #[schema(value_type = Option<String>)]
    pub tracked_since: Option<PathBuf>,
    /// Number of the latest event, 0 before the first one.
    pub last_event: u64,
    /// The memory devices.
    pub memory_devices: Vec<MemoryStatus>,
    /// The places for virtio-mem devices that come and go.
    pub places: Vec<PlaceStatus>,
    /// The balloon, if there is one.
    pub balloon: Option<BalloonStatus>,
    /// The disks.
    pub disks: Vec<DiskStatus>,
    /// Persistent memory.
    pub pmems: Vec<PmemStatus>,
    /// The network devices.
    pub nets: Vec<NetStatus>,
    /// The socket device, if there is one.
    pub vsock: Option<VsockStatus>,
    /// What is to go wrong.
    pub faults: Vec<FaultStatus>,
}

/// Whether the vCPUs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum VmState {
    /// They run.
    Running,
    /// They are stopped.
    Paused,
}

/// Why the machine refused a command; the detail names the field and what would be valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such device.
    #[error("{0}")]
    NotFound(String),
    /// The value can never be right for this machine.
    #[error("{0}")]
    Invalid(String),
    /// Right in itself, but not in the present state.
    #[error("{0}")]
    Conflict(String),
    /// The host could not do it.
    #[error("{0}")]
    Host(String),
}

/// A command on its way, with the place for its answer.
#[derive(Debug)]
pub struct Letter {
    /// What to do.
    pub command: Command,
    /// Where the answer goes.
    pub reply: ReplyTo,
}

/// Where an answer goes.
pub type ReplyTo = oneshot::Sender<Result<Reply, Refusal>>;

/// The sending side: hands commands to the event loop.
#[derive(Debug)]
pub struct Mailbox {
    letters: Mutex<mpsc::Sender<Letter>>,
    bell: EventFd,
}

impl Mailbox {
    /// A mailbox, its receiving end, and the eventfd that rings when a letter is there.
    ///
    /// # Errors
    /// When the host has no eventfd left.
    pub fn new() -> std::io::Result<(Self, mpsc::Receiver<Letter>, EventFd)> {
        let bell = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        let (sender, receiver) = mpsc::channel();
        let ring = bell.try_clone()?;
        Ok((Self { letters: Mutex::new(sender), bell }, receiver, ring))
    }

    /// Hands over `command` and waits for the answer.
    ///
    /// # Errors
    /// The machine's [`Refusal`], or [`Refusal::Conflict`] when the machine has ended.
    pub async fn call(&self, command: Command) -> Result<Reply, Refusal> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| Refusal::Conflict("the machine has ended".to_owned());
        dimmer_devices::bus::lock(&self.letters).send(Letter { command, reply }).map_err(|_| gone(()))?;
        self.bell.write(1).map_err(|error| Refusal::Host(format!("event loop: {error}")))?;
        answer.await.map_err(|_| gone(()))?
    }
}
