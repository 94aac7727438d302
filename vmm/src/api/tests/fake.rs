//! A machine that is a function from commands to replies, behind a real API socket.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dimmer_devices::bus::lock;
use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::memory::{EventSink, GuestRange, Kind, Last, MemoryEvent, MemoryStatus, Outcome, State};
use dimmer_devices::processors::{ProcessorEvent, ProcessorSink, ProcessorsStatus};

use crate::access::Access;
use crate::api::Server;
use crate::api::limits::Limits;
use crate::api::server::start_within;
use crate::control::{
    BalloonStatus, Command, DiskStatus, Forked, Mailbox, NetStatus, PmemStatus, Refusal, Reply, VmInfo,
    VmState, VsockStatus,
};
use crate::events::Hub;
use crate::qmp;
use crate::spec::{BalloonSpec, DimmSpec, DiskFormat, ForkSpec, MachineSpec, SerialSpec, WindowSpec, sample};
use crate::units::{GIB, MIB};

/// What the machine says to a command.
pub type Answer = Result<Reply, Refusal>;
/// What it is made of.
type Answers = Box<dyn FnMut(&Command, &Hub) -> Answer + Send>;

/// Longest time that a test waits for something that has to come.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The machine; its fields go in the order that a real machine's end has.
pub struct FakeMachine {
    server: Option<Server>,
    qmp: Option<Server>,
    access: Option<Access>,
    thread: Option<JoinHandle<()>>,
    seen: Mutex<mpsc::Receiver<Command>>,
    pub hub: Arc<Hub>,
    pub socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl FakeMachine {
    /// A machine that answers every command with `answer`.
    pub fn new(answer: impl FnMut(&Command, &Hub) -> Answer + Send + 'static) -> Self {
        Self::within(Limits::default(), answer)
    }

    /// The same for clients who may take this much.
    pub fn within(limits: Limits, answer: impl FnMut(&Command, &Hub) -> Answer + Send + 'static) -> Self {
        Self::start(limits, Box::new(answer))
    }

    fn start(limits: Limits, mut answer: Answers) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api");
        let hub = Arc::new(Hub::default());
        let (mailbox, letters, _bell) = Mailbox::new().unwrap();
        let access = Access { mailbox: Arc::new(mailbox), hub: hub.clone(), spec: Arc::new(spec()) };
        let server = start_within(limits, &socket, access.clone(), Box::new(|_| ())).unwrap();
        let (saw, seen) = mpsc::channel();
        let machine_hub = Arc::clone(&hub);
        let thread = thread::spawn(move || {
            for letter in letters {
                let reply = answer(&letter.command, &machine_hub);
                // A test need not look at the commands, and a client need not wait for its answer.
                let _ = saw.send(letter.command);
                let _ = letter.reply.send(reply);
            }
        });
        let (server, thread, seen) = (Some(server), Some(thread), Mutex::new(seen));
        Self { server, qmp: None, access: Some(access), thread, seen, hub, socket, _dir: dir }
    }

    /// Serves QMP as well; where.
    pub fn serve_qmp(&mut self) -> PathBuf {
        let path = self.socket.with_extension("qmp");
        let access = self.access.clone().expect("the machine is there");
        self.qmp = Some(qmp::start(&path, access, Box::new(|_| ())).unwrap());
        path
    }

    /// A machine that is not asked anything.
    pub fn silent() -> Self {
        Self::new(|command, _| panic!("no command was expected, got {command:?}"))
    }

    /// The next command that it was given.
    pub fn command(&self) -> Command {
        lock(&self.seen).recv_timeout(DEADLINE).expect("a command")
    }

    /// Ends the server while the test goes on.
    pub fn stop(&mut self) {
        (self.server, self.qmp, self.access) = (None, None, None);
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        self.stop();
        let thread = self.thread.take().expect("dropped once");
        assert!(thread.join().is_ok() || thread::panicking(), "the fake machine got an unexpected command");
    }
}

/// The machine as it was asked for: what [`info`] is about.
pub fn spec() -> MachineSpec {
    let windows = vec![sample::acpi(16 * GIB), WindowSpec::VirtioMem(sample::virtio_mem(8 * GIB, 2 * MIB))];
    let balloon =
        BalloonSpec { size: GIB, deflate_on_oom: true, free_page_reporting: false, statistics: Some(5) };
    MachineSpec { cpus: 2, max_cpus: 4, windows, balloon: Some(balloon), ..sample::machine() }
}

/// Its processors.
pub fn processors(plugged: u16, requested: u16) -> ProcessorsStatus {
    let state = if plugged == requested { State::Plugged } else { State::Plugging };
    ProcessorsStatus { max: 4, requested, plugged, state, last: None }
}

/// The machine's generation ID.
pub const GENERATION_ID: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// The machine's description with these devices.
pub fn info(state: VmState, memory_devices: Vec<MemoryStatus>) -> VmInfo {
    VmInfo {
        id: None,
        state,
        cpus: 2,
        processors: Box::new(processors(2, 2)),
        boot_memory: 4 * GIB,
        memory_actual_size: 5 * GIB,
        resets: 1,
        generation_id: GENERATION_ID.to_owned(),
        tracked_since: None,
        last_event: 7,
        memory_devices,
        places: Vec::new(),
        balloon: None,
        disks: Vec::new(),
        pmems: Vec::new(),
        nets: Vec::new(),
        vsock: None,
        faults: Vec::new(),
    }
}

/// A disk that counts from 1 in the order of its fields.
pub fn disk() -> DiskStatus {
    DiskStatus {
        id: "disk0".to_owned(),
        path: "/disk".into(),
        format: DiskFormat::Raw,
        readonly: false,
        size: GIB,
        reads: 1,
        writes: 2,
        flushes: 3,
        read_bytes: 4,
        written_bytes: 5,
        errors: 6,
    }
}

/// Persistent memory that counts likewise.
pub fn pmem() -> PmemStatus {
    PmemStatus {
        id: "pmem0".to_owned(),
        path: "/pmem".into(),
        readonly: true,
        start: 16 * GIB,
        size: 64 * MIB,
        flushes: 12,
        errors: 13,
        dropped_writes: 14,
    }
}

/// A network device that goes on counting.
pub fn net() -> NetStatus {
    NetStatus { id: "net0".to_owned(), mac: "02:00:00:00:00:01".to_owned(), sent: 7, received: 8, dropped: 9 }
}

/// A socket device.
pub fn vsock() -> VsockStatus {
    VsockStatus { cid: 3, path: "/v".into(), connections: 2, sent_bytes: 10, received_bytes: 11 }
}

/// The description of a machine whose guest has given away three quarters of what its balloon is to have.
pub fn with_balloon() -> VmInfo {
    let statistics = [("free_memory", 4096), ("swap_in", 3)].map(|(name, value)| (name.to_owned(), value));
    let balloon = BalloonStatus {
        target_size: GIB,
        actual_size: 768 * MIB,
        deflate_on_oom: true,
        free_page_reporting: false,
        given_back: GIB,
        reported: 0,
        statistics_interval: Some(5),
        statistics: statistics.into(),
    };
    VmInfo { balloon: Some(balloon), ..info(VmState::Running, vec![device("vmem0", State::Plugged)]) }
}

/// A DIMM of one range, as it is asked for.
pub fn new_dimm(id: &str, size: u64, node: u32) -> DimmSpec {
    let ranges = vec![DimmRange { size, gap: 0 }];
    let dimm = Dimm { node, ..Dimm::new(id, ranges) };
    DimmSpec { dimm, notify: Notify::DeviceCheck }
}

/// A virtio-mem device in `state`.
pub fn device(id: &str, state: State) -> MemoryStatus {
    let plugged = if matches!(state, State::Idle | State::Plugging) { 0 } else { GIB };
    let requested = if matches!(state, State::Idle | State::Unplugging) { 0 } else { GIB };
    MemoryStatus {
        id: id.to_owned(),
        kind: Kind::VirtioMem,
        node: 0,
        ranges: vec![GuestRange::new(6 * GIB, 8 * GIB)],
        slot: None,
        block_size: 2 * MIB,
        usable_size: 8 * GIB,
        requested_size: requested,
        plugged_size: plugged,
        state,
        last: None,
        waits_for: None,
    }
}

/// The same device after its change ended.
pub fn ended(id: &str, state: State, outcome: Outcome, reason: Option<&str>) -> MemoryStatus {
    let last = Last { outcome, reason: reason.map(str::to_owned) };
    MemoryStatus { last: Some(last), ..device(id, state) }
}

/// A child as it is asked for, with its console.
pub fn child(serial: SerialSpec) -> ForkSpec {
    ForkSpec {
        id: "child".to_owned(),
        api_socket: "/run/child.api".into(),
        agent_socket: None,
        serial,
        memory: None,
        paused: false,
        detached: true,
    }
}

/// A machine whose children are process 4711, and which takes snapshots.
pub fn parent() -> FakeMachine {
    FakeMachine::new(|command, _| match command {
        Command::Fork(ForkSpec { id, api_socket, agent_socket, .. }) => Ok(Reply::Forked(Forked {
            id: id.clone(),
            pid: 4711,
            api_socket: api_socket.clone(),
            agent_socket: agent_socket.clone(),
        })),
        Command::Snapshot(_) => Ok(Reply::Done),
        other => panic!("unexpected {other:?}"),
    })
}

/// Accepts that there are to be so many processors, in the same way.
pub fn accept_cpus(hub: &Hub, count: u16) -> Answer {
    let (end, cpus) = (hub.follow_cpus(), processors(2, count));
    hub.processors(ProcessorEvent::CpusAccepted { cpus: cpus.clone() });
    Ok(Reply::AcceptedCpus { cpus, end })
}

/// Accepts a change of `id` as the real machine does: the event first, then the reply.
pub fn accept(hub: &Hub, id: &str, state: State) -> Answer {
    let end = hub.follow(id);
    let device = device(id, state);
    hub.memory(MemoryEvent::Accepted { device: device.clone() });
    Ok(Reply::Accepted { device, end })
}
