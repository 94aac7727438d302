//! Answering requests: a thread each, so that one which the kernel keeps waiting holds up no other.

use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use serde::Serialize;
use serde_json::Value;

use crate::groups::{Groups, GroupsError, Membership};
use crate::pending::InFlight;
use crate::pin::Pins;
use crate::port::{self, Line, LineWriter};
use crate::protocol::{Action, Failure, MAX_REQUEST, Outcome, Pong, Request, Response};
use crate::report::Layout;
use crate::tree::Tree;
use crate::{exec, hotplug, kernel_log, kexec, modules, physical, pid1};

/// Most requests that are worked on at the same time.
const MAX_REQUESTS: usize = 64;

/// Answers every request that comes over `port` about the machine below `tree`. Comes back only
/// when the port itself is gone; a host side that leaves is waited for.
///
/// # Errors
/// What the port said at last.
pub fn serve(port: File, tree: Tree) -> io::Result<Infallible> {
    let (mut reader, writer) = port::split(port)?;
    let server = Arc::new(Server {
        kernel_log: tree.path("dev/kmsg"),
        memory: tree.path("dev/mem"),
        pins: Pins::default(),
        groups: OnceLock::new(),
        tree,
        in_flight: InFlight::default(),
        writer: Mutex::new(writer),
        requests: AtomicUsize::new(0),
    });
    loop {
        match reader.next_line()? {
            Line::Whole(line) if line.trim_ascii().is_empty() => {}
            Line::Whole(line) => server.accept(&line),
            Line::TooLong => {
                let text = format!("The request is longer than {MAX_REQUEST} bytes");
                server.refuse(Value::Null, Failure::new(text));
            }
        }
    }
}

/// What the threads of all requests share.
#[derive(Debug)]
struct Server {
    tree: Tree,
    kernel_log: PathBuf,
    memory: PathBuf,
    pins: Pins,
    /// Where the kernel has its memory groups, once somebody asked.
    groups: OnceLock<Result<Groups, GroupsError>>,
    in_flight: InFlight,
    writer: Mutex<LineWriter>,
    requests: AtomicUsize,
}

impl Server {
    /// Starts work on the request in `line`, or answers why there is none.
    fn accept(self: &Arc<Self>, line: &[u8]) {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => return self.refuse(id_of(line), Failure::new(format!("Not a request: {error}"))),
        };
        if self.requests.fetch_add(1, Ordering::Relaxed) >= MAX_REQUESTS {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            let text = format!("The agent is at work on {MAX_REQUESTS} requests already");
            return self.refuse(request.id, Failure::new(text));
        }
        let id = request.id.clone();
        let server = self.clone();
        let work = move || {
            server.answer(request);
            server.requests.fetch_sub(1, Ordering::Relaxed);
        };
        if let Err(error) = thread::Builder::new().name("request".to_owned()).spawn(work) {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            self.refuse(id, Failure::from_io("start a thread", &error));
        }
    }

    /// Carries out `request` and sends the answer.
    fn answer(&self, Request { id, action }: Request) {
        let tree = &self.tree;
        match action {
            Action::Ping => self.send(id, self.ping()),
            Action::Layout => self.send(id, self.layout()),
            Action::Groups => self.send(id, self.groups()),
            Action::Exec { argv, stdin } => self.send(id, exec::run(&argv, &stdin)),
            Action::Online { blocks, zone } => {
                let ticket = self.in_flight.begin(format!("online {blocks}"));
                let results = hotplug::online(tree, &blocks, zone);
                drop(ticket);
                self.send(id, Ok(results));
            }
            Action::Offline { blocks } => {
                let ticket = self.in_flight.begin(format!("offline {blocks}"));
                let results = hotplug::offline(tree, &blocks);
                drop(ticket);
                self.send(id, Ok(results));
            }
            Action::Set { name, value } => self.send(id, hotplug::set(tree, name, &value)),
            Action::Eject { slot } => self.send(id, hotplug::eject(tree, slot)),
            Action::KernelLog { since } => {
                let log = kernel_log::read(&self.kernel_log, since);
                self.send(id, log.map_err(|error| Failure::from_io("read the kernel's log", &error)));
            }
            Action::LoadModule { name } => self.send(id, modules::load(tree, &name)),
            Action::UnloadModule { name } => self.send(id, modules::unload(tree, &name)),
            Action::Peek { address, count } => self.send(id, physical::peek(&self.memory, address, count)),
            Action::Poke { address, bytes } => self.send(id, physical::poke(&self.memory, address, &bytes.0)),
            Action::Pin { blocks } => self.send(id, self.pins.hold(tree, &blocks)),
            Action::Unpin { address } => self.send(id, self.pins.release(address)),
            Action::KexecLoad(load) => self.send(id, kexec::load(&load)),
            Action::Kexec => match kexec::is_loaded(tree) {
                Ok(()) => self.end(id, "start the loaded kernel", kexec::spawn),
                Err(failure) => self.refuse(id, failure),
            },
            Action::Crash => self.end(id, "crash the kernel", kexec::crash),
            Action::Poweroff => self.end(id, "power off", pid1::power_off),
            Action::Reboot => self.end(id, "reboot", pid1::reboot),
        }
    }

    fn ping(&self) -> Result<Pong, Failure> {
        let read = |name| {
            let path = format!("proc/sys/kernel/{name}");
            self.tree.read(&path).map_err(|error| Failure::from_io(&format!("read /{path}"), &error))
        };
        Ok(Pong {
            kernel: read("osrelease")?,
            agent: env!("CARGO_PKG_VERSION").to_owned(),
            boot_id: read("random/boot_id")?,
        })
    }

    fn groups(&self) -> Result<Membership, Failure> {
        let unknown = |error: &GroupsError| Failure::new(format!("The kernel's memory groups: {error}"));
        // Looking for them takes a while, and what the kernel does not tell once it never will.
        match self.groups.get_or_init(Groups::find) {
            Ok(groups) => groups.read().map_err(|error| unknown(&error)),
            Err(error) => Err(unknown(error)),
        }
    }

    fn layout(&self) -> Result<Layout, Failure> {
        let mut layout = self.tree.layout().map_err(|error| {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            Failure::new(format!("{error}{}", cause.unwrap_or_default()))
        })?;
        layout.pending.extend(self.in_flight.reasons());
        Ok(layout)
    }

    /// Answers first, since there is no answering afterwards; an answer that then turns out wrong
    /// is followed by a second one.
    fn end(&self, id: Value, what: &str, end: fn() -> io::Error) {
        self.send(id.clone(), Ok(()));
        self.refuse(id, Failure::from_io(what, &end()));
    }

    fn refuse(&self, id: Value, failure: Failure) {
        self.send(id, Err::<(), _>(failure));
    }

    /// Sends one response as one line. A client that left does not get it, and a port that is gone
    /// is noticed where it is read.
    fn send<T: Serialize>(&self, id: Value, result: Result<T, Failure>) {
        let outcome = result.map_or_else(Outcome::Error, Outcome::Ok);
        let mut line =
            serde_json::to_vec(&Response { id, outcome }).expect("responses have string keys only");
        line.push(b'\n');
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writer.write_line(&line);
    }
}

/// The `id` in a line that is no request, or null.
fn id_of(line: &[u8]) -> Value {
    let line: Option<Value> = serde_json::from_slice(line).ok();
    line.and_then(|mut line| line.get_mut("id").map(Value::take)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
