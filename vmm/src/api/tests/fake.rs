//! A machine that is a function from commands to replies, behind a real API socket.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dimmer_devices::bus::lock;
use dimmer_devices::dimm::{Dimm, DimmRange, Notify};
use dimmer_devices::memory::{EventSink, GuestRange, Kind, Last, MemoryEvent, MemoryStatus, Outcome, State};

use crate::api::{Server, start};
use crate::control::{Command, Mailbox, Refusal, Reply, VmInfo, VmState};
use crate::events::Hub;
use crate::spec::DimmSpec;
use crate::units::{GIB, MIB};

/// What the machine says to a command.
pub type Answer = Result<Reply, Refusal>;

/// Longest time that a test waits for something that has to come.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The machine; its fields go in the order that a real machine's end has.
pub struct FakeMachine {
    server: Option<Server>,
    thread: Option<JoinHandle<()>>,
    seen: Mutex<mpsc::Receiver<Command>>,
    pub hub: Arc<Hub>,
    pub socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl FakeMachine {
    /// A machine that answers every command with `answer`.
    pub fn new(mut answer: impl FnMut(&Command, &Hub) -> Answer + Send + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api");
        let hub = Arc::new(Hub::default());
        let (mailbox, letters, _bell) = Mailbox::new().unwrap();
        let server = start(&socket, Arc::new(mailbox), Arc::clone(&hub), |_| ()).unwrap();
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
        Self { server: Some(server), thread: Some(thread), seen: Mutex::new(seen), hub, socket, _dir: dir }
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
        self.server = None;
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        self.server = None;
        let thread = self.thread.take().expect("dropped once");
        assert!(thread.join().is_ok() || thread::panicking(), "the fake machine got an unexpected command");
    }
}

/// The machine's generation ID.
pub const GENERATION_ID: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// The machine's description with these devices.
pub fn info(state: VmState, memory_devices: Vec<MemoryStatus>) -> VmInfo {
    VmInfo {
        id: None,
        state,
        cpus: 2,
        boot_memory: 4 * GIB,
        memory_actual_size: 5 * GIB,
        resets: 1,
        generation_id: GENERATION_ID.to_owned(),
        tracked_since: None,
        last_event: 7,
        memory_devices,
        faults: Vec::new(),
    }
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

/// Accepts a change of `id` as the real machine does: the event first, then the reply.
pub fn accept(hub: &Hub, id: &str, state: State) -> Answer {
    let end = hub.follow(id);
    let device = device(id, state);
    hub.memory(MemoryEvent::Accepted { device: device.clone() });
    Ok(Reply::Accepted { device, end })
}
