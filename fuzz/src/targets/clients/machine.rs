//! A machine with nothing in it: it has the sockets of a machine, and an answer to every command.

use std::path::PathBuf;
use std::process;
use std::sync::{Arc, OnceLock};
use std::thread;

use clap::Parser;
use dimmer::access::Access;
use dimmer::cli::{Cli, Command as Subcommand};
use dimmer::control::{Command, Forked, Letter, Mailbox, Refusal, Reply};
use dimmer::events::Hub;
use dimmer::socket_server::{OnDefect, Server};
use dimmer::spec::{ForkSpec, MachineSpec, Start};
use dimmer::{api, qmp};
use dimmer_devices::memory::{EventSink, GuestRange, Kind, Last, MemoryEvent, MemoryStatus, Outcome, State};

/// The machine, which lives as long as the process.
#[derive(Debug)]
pub struct Machine {
    pub api: PathBuf,
    pub qmp: PathBuf,
    _servers: [Server; 2],
    _directory: tempfile::TempDir,
}

/// The one that there is.
pub fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(Machine::new)
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [api, qmp] = ["api", "qmp"].map(|name| directory.path().join(name));
        let hub = Arc::new(Hub::default());
        let (mailbox, letters, _bell) = Mailbox::new().expect("an eventfd");
        let access = Access { mailbox: Arc::new(mailbox), hub: Arc::clone(&hub), spec: Arc::new(spec()) };
        let servers = [
            api::start(&api, access.clone(), on_defect()).expect("the API"),
            qmp::start(&qmp, access, on_defect()).expect("QMP"),
        ];
        thread::spawn(move || {
            for Letter { command, reply } in letters {
                // Who asked may be gone.
                let _ = reply.send(answer(command, &hub));
            }
        });
        Self { api, qmp, _servers: servers, _directory: directory }
    }
}

/// A server that is gone is what is looked for; the engine keeps the input of a process that aborts.
fn on_defect() -> OnDefect {
    Box::new(|words| {
        eprintln!("a server's thread panicked: {words}");
        process::abort();
    })
}

fn spec() -> MachineSpec {
    let arguments = "dimmer run --kernel /k --cpus 2,max=4 --balloon size=0 \
        --memory-hotplug method=acpi,slots=4,size=16G --memory-hotplug method=virtio-mem,size=8G,id=vmem0";
    let cli = Cli::try_parse_from(arguments.split_whitespace()).expect("a command line");
    let Subcommand::Run(run) = cli.command else { unreachable!("it says run") };
    match run.into_start() {
        Ok(Start::Boot(spec)) => *spec,
        other => unreachable!("{other:?}"),
    }
}

fn answer(command: Command, hub: &Hub) -> Result<Reply, Refusal> {
    let known = |id: String| {
        let unknown = || Refusal::NotFound(format!("there is no memory device {id:?}"));
        (id == "vmem0").then_some(()).ok_or_else(unknown)
    };
    match command {
        Command::Devices => Ok(Reply::Devices(vec![device("vmem0")])),
        Command::Device(id) => known(id).map(|()| Reply::Device(device("vmem0"))),
        Command::AddDimm(dimm) => Ok(at_once(hub, &dimm.dimm.id)),
        Command::AddVirtioMem(new) => Ok(at_once(hub, &new.id)),
        Command::Resize { id, .. } => known(id).map(|()| at_once(hub, "vmem0")),
        Command::ResizeTotal(_) => Ok(at_once(hub, "vmem0")),
        Command::Remove(id) => known(id).and(Err(Refusal::Conflict("it stays".to_owned()))),
        Command::Ost(id) => known(id).map(|()| Reply::Ost(Vec::new())),
        Command::AllOst => Ok(Reply::Ost(Vec::new())),
        Command::Requests(id) => known(id).map(|()| Reply::Requests(Vec::new())),
        Command::Faults | Command::SetFaults(_) => Ok(Reply::Faults(Vec::new())),
        Command::Vcpus => Ok(Reply::Vcpus(Vec::new())),
        Command::Fork(ForkSpec { id, api_socket, agent_socket, .. }) => {
            Ok(Reply::Forked(Forked { id, pid: 1, api_socket, agent_socket }))
        }
        Command::Info | Command::Counts | Command::Audit | Command::Cpus | Command::ResizeCpus(_) => {
            Err(Refusal::Conflict("not this machine".to_owned()))
        }
        _ => Ok(Reply::Done),
    }
}

/// Accepts a change, which has ended by then.
fn at_once(hub: &Hub, id: &str) -> Reply {
    let (end, device) = (hub.follow(id), device(id));
    hub.memory(MemoryEvent::Accepted { device: device.clone() });
    let last = Some(Last { outcome: Outcome::Done, reason: None });
    hub.memory(MemoryEvent::Finished { device: MemoryStatus { last, ..device.clone() } });
    Reply::Accepted { device, end }
}

fn device(id: &str) -> MemoryStatus {
    MemoryStatus {
        id: id.to_owned(),
        kind: Kind::VirtioMem,
        node: 0,
        ranges: vec![GuestRange::new(6 << 30, 8 << 30)],
        slot: None,
        block_size: 2 << 20,
        usable_size: 8 << 30,
        requested_size: 1 << 30,
        plugged_size: 1 << 30,
        state: State::Plugged,
        last: None,
        waits_for: None,
    }
}
