//! Children of this machine: processes of their own, whose memory begins as a copy of this one's.

use std::ffi::OsString;
use std::fs::File;
use std::sync::{Arc, mpsc};

use super::Machine;
use crate::cli::SerialArg;
use crate::control::{Forked, Refusal, Reply, ReplyTo};
use crate::events::{Hub, MachineEvent};
use crate::forked;
use crate::spec::{Backing, ForkSpec, MachineSpec, MemorySpec, SerialSpec, check_id};

/// Stack of the thread that waits for a child's end.
const STACK: usize = 128 << 10;

impl Machine {
    /// Starts a child that begins with `image`; another thread answers, and waits for the child's end.
    pub(super) fn start_child(&self, image: Arc<File>, fork: ForkSpec, reply: ReplyTo) {
        let (hub, arguments) = (self.hub.clone(), arguments(&fork, share(&self.spec.memory)));
        let (give, take) = mpsc::channel();
        let thread = std::thread::Builder::new().name("fork".to_owned()).stack_size(STACK);
        let started = thread.spawn(move || {
            if let Ok(reply) = take.recv() {
                follow(&image, &arguments, fork, reply, &hub);
            }
        });
        match started {
            Ok(_) => drop(give.send(reply)),
            Err(error) => drop(reply.send(Err(Refusal::Host(format!("a thread for the fork: {error}"))))),
        }
    }
}

/// Whether a child's memory can lie over an image. Otherwise it reads it, into memory that comes from where this one's does.
fn share(memory: &MemorySpec) -> bool {
    memory.backing == Backing::Anon && !memory.prealloc && !memory.reserve
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
    match (&fork.agent_socket, &machine.agent_socket) {
        (Some(_), None) => {
            return invalid("agent_socket", "this machine has no port for it, and so has its child");
        }
        (None, Some(_)) => {
            return invalid("agent_socket", "this machine has a port for it, and so has its child");
        }
        _ => {}
    }
    if fork.serial == SerialSpec::Stdio {
        return invalid("serial", "a child has no terminal: must be null, file=PATH or socket=PATH");
    }
    match &machine.memory.backing {
        Backing::File(path) if !path.is_dir() => Err(Refusal::Conflict(format!(
            "the memory of this machine is {}, which no other one can have",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn follow(image: &File, arguments: &[OsString], fork: ForkSpec, reply: ReplyTo, hub: &Hub) {
    let ForkSpec { id, api_socket, agent_socket, detached, .. } = fork;
    match forked::start(image, arguments, detached) {
        Ok(mut child) => {
            let pid = child.id();
            hub.machine(MachineEvent::Forked { id: id.clone(), pid });
            // Who asked may have gone away meanwhile.
            drop(reply.send(Ok(Reply::Forked(Forked { id: id.clone(), pid, api_socket, agent_socket }))));
            // Its end is its own affair, but for the process's number, which is free only once somebody has looked.
            let _ = child.wait();
        }
        Err(why) => drop(reply.send(Err(Refusal::Host(format!("{id}: {why}"))))),
    }
}

fn arguments(fork: &ForkSpec, share: bool) -> Vec<OsString> {
    // In one word: a name may begin with a dash.
    let mut arguments: Vec<OsString> = vec!["run".into(), format!("--forked={}", fork.id).into()];
    arguments.extend(["--restore-memory", if share { "map" } else { "copy" }].map(OsString::from));
    arguments.extend(["--api-socket".into(), fork.api_socket.clone().into()]);
    if let Some(path) = &fork.agent_socket {
        arguments.extend(["--agent-socket".into(), path.clone().into()]);
    }
    arguments.extend(["--serial".into(), SerialArg(fork.serial.clone()).words()]);
    arguments.extend(fork.paused.then(|| "--paused".into()));
    arguments
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::spec::sample::machine;
    use crate::spec::{Clock, RestoreSpec, RestoredMemory, Source, Start};
    use crate::units::MIB;

    fn fork() -> ForkSpec {
        ForkSpec {
            id: "child".to_owned(),
            api_socket: "/run/child.api".into(),
            agent_socket: None,
            serial: SerialSpec::Null,
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
        assert!(share(&memory));
        for backing in [Backing::Memfd, Backing::Hugetlb(2 * MIB), Backing::File("/dev/shm".into())] {
            assert!(!share(&MemorySpec { backing, ..memory.clone() }));
        }
        assert!(!share(&MemorySpec { prealloc: true, ..memory.clone() }));
        assert!(!share(&MemorySpec { reserve: true, ..memory }));
    }

    /// What the child's process makes of its arguments.
    fn understood(fork: &ForkSpec, share: bool) -> RestoreSpec {
        let words = std::iter::once("dimmer".into()).chain(arguments(fork, share));
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
        assert_eq!(understood(&fork(), true), plain);
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
            assert_eq!(understood(&fork, false), expected);
        }
    }
}
