//! Children of this machine: processes of their own, whose memory begins as a copy of this one's.

use std::ffi::OsString;
use std::fs::File;
use std::sync::{Arc, mpsc};

use super::Machine;
use crate::control::{Forked, Refusal, Reply, ReplyTo};
use crate::events::{Hub, MachineEvent};
use crate::forked;
use crate::spec::{Backing, ForkSpec, SerialSpec, check_id};

/// Stack of the thread that waits for a child's end.
const STACK: usize = 128 << 10;

impl Machine {
    /// Refuses what no child of this machine can be.
    pub(super) fn check_fork(&self, fork: &ForkSpec) -> Result<(), Refusal> {
        let invalid = |field: &str, what: &str| Err(Refusal::Invalid(format!("{field}: {what}")));
        check_id(&fork.id).map_err(|bad| Refusal::Invalid(bad.to_string()))?;
        if !fork.api_socket.is_absolute() || fork.agent_socket.iter().any(|path| !path.is_absolute()) {
            return invalid("api_socket, agent_socket", "paths must begin with /");
        }
        match (&fork.agent_socket, &self.spec.agent_socket) {
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
        match &self.spec.memory.backing {
            Backing::File(path) if !path.is_dir() => Err(Refusal::Conflict(format!(
                "the memory of this machine is {}, which no other one can have",
                path.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Whether a child's memory can lie over an image. Otherwise it reads it, into memory that comes from where this one's does.
    pub(super) fn forks_share(&self) -> bool {
        let memory = &self.spec.memory;
        memory.backing == Backing::Anon && !memory.prealloc && !memory.reserve
    }

    /// Starts a child that begins with `image`; another thread answers, and waits for the child's end.
    pub(super) fn start_child(&self, image: Arc<File>, fork: ForkSpec, reply: ReplyTo) {
        let (hub, arguments) = (self.hub.clone(), arguments(&fork, self.forks_share()));
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
    let mut arguments: Vec<OsString> = ["run", "--forked"].map(OsString::from).into();
    arguments.push((&fork.id).into());
    arguments.extend(["--restore-memory", if share { "map" } else { "copy" }].map(OsString::from));
    arguments.extend(["--api-socket".into(), fork.api_socket.clone().into()]);
    if let Some(path) = &fork.agent_socket {
        arguments.extend(["--agent-socket".into(), path.clone().into()]);
    }
    let mut serial = OsString::from(match &fork.serial {
        SerialSpec::File(_) => "file=",
        SerialSpec::Socket(_) => "socket=",
        SerialSpec::Null | SerialSpec::Stdio => "null",
    });
    if let SerialSpec::File(path) | SerialSpec::Socket(path) = &fork.serial {
        serial.push(path);
    }
    arguments.extend(["--serial".into(), serial]);
    arguments.extend(fork.paused.then(|| "--paused".into()));
    arguments
}
