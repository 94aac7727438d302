//! Children of this machine: processes of their own, whose memory begins as a copy of this one's.

use std::fs::File;
use std::sync::{Arc, mpsc};

use super::Machine;
use crate::control::{Forked, Refusal, Reply, ReplyTo};
use crate::events::{Hub, MachineEvent};
use crate::forked::{self, launcher::Launcher};
use crate::sandbox::{self, Kind};
use crate::spec::{Backing, ForkSpec, MachineSpec, MemorySpec, RestoredMemory, SerialSpec, check_id};

impl Machine {
    /// Starts a child that begins with `image`; another thread waits until it is there, and answers.
    pub(super) fn start_child(&self, image: Arc<File>, mut fork: ForkSpec, reply: ReplyTo) {
        let Some(launcher) = self.launcher.clone() else {
            let text = "only a machine with --api-socket can have children";
            return drop(reply.send(Err(Refusal::Conflict(text.to_owned()))));
        };
        let hub = self.hub.clone();
        fork.memory = fork.memory.or_else(|| Some(usual(&self.spec.memory)));
        let (give, take) = mpsc::channel();
        let started = sandbox::spawn(Kind::Fork, "fork", move || {
            if let Ok(reply) = take.recv() {
                follow(&launcher, &image, fork, reply, &hub);
            }
        });
        match started {
            Ok(_) => drop(give.send(reply)),
            Err(error) => drop(reply.send(Err(Refusal::Host(format!("a thread for the fork: {error}"))))),
        }
    }
}

/// A child's memory lies over the image where it can. Otherwise it reads it, into memory that comes from where this one's does.
const fn usual(memory: &MemorySpec) -> RestoredMemory {
    match memory.backing {
        Backing::Anon if !memory.prealloc && !memory.reserve => RestoredMemory::Map,
        _ => RestoredMemory::Copy,
    }
}

/// Refuses what no child of a machine can be.
pub(super) fn check_fork(fork: &ForkSpec, machine: &MachineSpec) -> Result<(), Refusal> {
    let invalid = |field: &str, what: &str| Err(Refusal::Invalid(format!("{field}: {what}")));
    check_id(&fork.id).map_err(|bad| Refusal::Invalid(bad.to_string()))?;
    let serial = match &fork.serial {
        SerialSpec::File(path) | SerialSpec::Socket(path) => Some(path),
        SerialSpec::Null | SerialSpec::Stdio => None,
    };
    let paths = [
        ("api_socket", Some(&fork.api_socket)),
        ("agent_socket", fork.agent_socket.as_ref()),
        ("serial", serial),
    ];
    for (field, path) in paths {
        if path.is_some_and(|path| !path.is_absolute()) {
            return invalid(field, "the path must begin with /: the machine has a directory of its own");
        }
    }
    check_sandbox(fork)?;
    match (&fork.agent_socket, &machine.agent_socket) {
        (Some(_), None) => {
            return invalid("agent_socket", "this machine has no port for it, and so has its child");
        }
        (None, Some(_)) => {
            return invalid("agent_socket", "this machine has a port for it, and so has its child");
        }
        _ => {}
    }
    check_devices(machine)?;
    if fork.serial == SerialSpec::Stdio {
        return invalid("serial", "a child has no terminal: must be null, file=PATH or socket=PATH");
    }
    if fork.memory == Some(RestoredMemory::Map) && usual(&machine.memory) == RestoredMemory::Copy {
        let what = "this machine's memory cannot lie over an image, which takes backing=anon, prealloc=off and reserve=off: must be copy";
        return invalid("restore_memory", what);
    }
    match &machine.memory.backing {
        Backing::File(path) if !path.is_dir() => Err(Refusal::Conflict(format!(
            "the memory of this machine is {}, which no other one can have",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// Refuses what a child in this machine's sandbox could not have.
fn check_sandbox(fork: &ForkSpec) -> Result<(), Refusal> {
    sandbox::check_socket("api_socket", &fork.api_socket)?;
    fork.agent_socket.iter().try_for_each(|path| sandbox::check_socket("agent_socket", path))?;
    match &fork.serial {
        SerialSpec::File(path) => sandbox::check("serial", path),
        SerialSpec::Socket(path) => sandbox::check_socket("serial", path),
        SerialSpec::Null | SerialSpec::Stdio => Ok(()),
    }
}

/// Refuses what holds something of the host's that can be of one machine only.
fn check_devices(machine: &MachineSpec) -> Result<(), Refusal> {
    if let Some(disk) = machine.disks.iter().find(|disk| !disk.readonly) {
        return Err(Refusal::Conflict(format!(
            "disk {} is written by this machine, and no other one can have it (with readonly=on both can)",
            disk.id
        )));
    }
    if let Some(pmem) = machine.pmems.iter().find(|pmem| !pmem.readonly) {
        return Err(Refusal::Conflict(format!(
            "persistent memory {} is written by this machine, and no other one can have it (with readonly=on both can)",
            pmem.id
        )));
    }
    if let Some(net) = machine.nets.first() {
        return Err(Refusal::Conflict(format!(
            "network device {} is on a wire that no other machine can have",
            net.id
        )));
    }
    if let Some(vsock) = &machine.vsock {
        let path = vsock.path.display();
        return Err(Refusal::Conflict(format!("the socket {path} (--vsock) can be of one machine only")));
    }
    Ok(())
}

fn follow(launcher: &Launcher, image: &File, fork: ForkSpec, reply: ReplyTo, hub: &Hub) {
    match forked::start(launcher, image, &fork) {
        Ok(pid) => {
            let ForkSpec { id, api_socket, agent_socket, .. } = fork;
            hub.machine(MachineEvent::Forked { id: id.clone(), pid });
            // Who asked may have gone away meanwhile.
            drop(reply.send(Ok(Reply::Forked(Forked { id, pid, api_socket, agent_socket }))));
        }
        Err(why) => drop(reply.send(Err(Refusal::Host(format!("{}: {why}", fork.id))))),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::spec::sample::machine;
    use crate::spec::{Clock, RestoreSpec, Source, Start};
    use crate::units::MIB;

    fn fork() -> ForkSpec {
        ForkSpec {
            id: "child".to_owned(),
            api_socket: "/run/child.api".into(),
            agent_socket: None,
            serial: SerialSpec::Null,
            memory: None,
            paused: false,
            detached: true,
        }
    }

    #[test]
    fn what_no_child_can_be_is_refused_with_the_field() {
        let with_port = MachineSpec { agent_socket: Some("/run/agent".into()), ..machine() };
        check_fork(&fork(), &machine()).unwrap();
        let agent = |path: &str| ForkSpec { agent_socket: Some(path.into()), ..fork() };
        check_fork(&agent("/run/child.agent"), &with_port).unwrap();
        let serial = |serial| ForkSpec { serial, ..fork() };
        let table = [
            (ForkSpec { id: String::new(), ..fork() }, machine(), "id=\"\": must be 1 to 64 letters"),
            (ForkSpec { id: "a/b".to_owned(), ..fork() }, machine(), "id=\"a/b\": must be"),
            (
                ForkSpec { memory: Some(RestoredMemory::Map), ..fork() },
                MachineSpec {
                    memory: MemorySpec { backing: Backing::Memfd, ..machine().memory },
                    ..machine()
                },
                "restore_memory: this machine's memory cannot lie over an image",
            ),
            (
                ForkSpec { api_socket: "api".into(), ..fork() },
                machine(),
                "api_socket: the path must begin with /",
            ),
            (agent("agent"), with_port.clone(), "agent_socket: the path must begin with /"),
            (agent("/agent"), machine(), "agent_socket: this machine has no port for it"),
            (fork(), with_port, "agent_socket: this machine has a port for it"),
            (serial(SerialSpec::Stdio), machine(), "serial: a child has no terminal"),
            (serial(SerialSpec::File("log".into())), machine(), "serial: the path must begin with /"),
            (serial(SerialSpec::Socket("s".into())), machine(), "serial: the path must begin with /"),
        ];
        for (fork, machine, expected) in table {
            let refusal = check_fork(&fork, &machine).unwrap_err();
            assert!(matches!(refusal, Refusal::Invalid(_)), "{refusal:?}");
            assert!(refusal.to_string().starts_with(expected), "{refusal}");
        }
    }

    #[test]
    fn memory_that_is_a_named_file_is_no_other_machines() {
        let dir = tempfile::tempdir().unwrap();
        let on = |path: &std::path::Path| {
            let mut machine = machine();
            machine.memory.backing = Backing::File(path.to_owned());
            check_fork(&fork(), &machine)
        };
        on(dir.path()).unwrap();
        let refusal = on(&dir.path().join("ram")).unwrap_err();
        assert!(matches!(refusal, Refusal::Conflict(_)), "{refusal:?}");
        assert!(refusal.to_string().ends_with("ram, which no other one can have"), "{refusal}");
    }

    #[test]
    fn only_memory_that_is_nowhere_else_and_taken_when_it_is_touched_is_shared() {
        let memory = machine().memory;
        assert_eq!(usual(&memory), RestoredMemory::Map);
        for backing in [Backing::Memfd, Backing::Hugetlb(2 * MIB), Backing::File("/dev/shm".into())] {
            assert_eq!(usual(&MemorySpec { backing, ..memory.clone() }), RestoredMemory::Copy);
        }
        assert_eq!(usual(&MemorySpec { prealloc: true, ..memory.clone() }), RestoredMemory::Copy);
        assert_eq!(usual(&MemorySpec { reserve: true, ..memory }), RestoredMemory::Copy);
    }

    /// What the child's process makes of its arguments.
    fn understood(fork: &ForkSpec, memory: &MemorySpec) -> RestoreSpec {
        let memory = fork.memory.or_else(|| Some(usual(memory)));
        let words =
            std::iter::once("dimmer".into()).chain(forked::arguments(&ForkSpec { memory, ..fork.clone() }));
        let Command::Run(run) = Cli::try_parse_from(words).unwrap().command else { panic!("it runs") };
        match run.into_start().unwrap() {
            Start::Restore(how) => how,
            Start::Boot(spec) => panic!("{spec:?} boots"),
        }
    }

    #[test]
    fn a_child_understands_what_its_parent_was_asked_for() {
        let plain = RestoreSpec {
            source: Source::Parent("child".to_owned()),
            memory: RestoredMemory::Map,
            clock: Clock::Stay,
            paused: false,
            track: false,
            kernel: None,
            initramfs: None,
            api_socket: Some("/run/child.api".into()),
            agent_socket: None,
            serial: Some(SerialSpec::Null),
        };
        let anonymous = machine().memory;
        assert_eq!(understood(&fork(), &anonymous), plain);
        for how in [RestoredMemory::Copy, RestoredMemory::Map] {
            let fork = ForkSpec { memory: Some(how), ..fork() };
            assert_eq!(understood(&fork, &anonymous).memory, how);
        }
        let table = [
            SerialSpec::Null,
            SerialSpec::File("/var/log/a=b,c".into()),
            SerialSpec::Socket("/run/child.console".into()),
        ];
        for serial in table {
            let agent_socket = Some("/run/child.agent".into());
            let fork = ForkSpec {
                agent_socket: agent_socket.clone(),
                serial: serial.clone(),
                memory: Some(RestoredMemory::Copy),
                paused: true,
                id: "-child".to_owned(),
                ..fork()
            };
            let expected = RestoreSpec {
                source: Source::Parent("-child".to_owned()),
                memory: RestoredMemory::Copy,
                paused: true,
                agent_socket,
                serial: Some(serial),
                ..plain.clone()
            };
            assert_eq!(understood(&fork, &anonymous), expected);
        }
    }
}
