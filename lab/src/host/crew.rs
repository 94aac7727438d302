//! Workers where there is hardware-assisted KVM: this very program once more, here or in each of several emulated hosts.
//!
//! A host is started for its first task and stays for all that follow. Tasks and answers are JSON lines on the worker's
//! standard streams. A host that is lost, or has nothing to tell for longer than any task takes, takes the tasks with it
//! that it was at work on: those are [`Lost`] and not carried out again, and the next task starts another host.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bound;

mod serve;

pub use serve::{Reply, serve, serve_each};

/// Tasks at a time in an emulated host, which has one processor: one waits while the other works.
pub const SEATS: usize = 2;

/// How long a task may take: several times what the longest one does on a slow machine. A host that went idle for good is
/// found by nothing else.
pub const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Why nothing came of a task: its host is gone. That says nothing about what was to be found out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host was lost: {0}")]
pub struct Lost(pub String);

/// A task on its way to a worker.
#[derive(Debug, Serialize, Deserialize)]
struct Order<T> {
    id: u64,
    /// Which of the worker's seats it is for: those of one seat are carried out one after the other.
    seat: usize,
    task: T,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
struct Answer<A> {
    id: u64,
    answer: A,
}

/// Workers, each with seats for so many tasks at a time.
#[derive(Debug)]
pub struct Crew {
    command: Vec<OsString>,
    patience: Duration,
    seats: usize,
    hosts: Vec<Mutex<Option<Worker>>>,
    next: AtomicU64,
}

/// Those who wait for an answer, by their task's id. Gone when the worker is.
type Waiting = Arc<Mutex<Option<BTreeMap<u64, Sender<Value>>>>>;

#[derive(Debug)]
struct Worker {
    stdin: ChildStdin,
    child: Arc<Mutex<Child>>,
    waiting: Waiting,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It fails only for a process that has ended already. The thread that listens to it waits for it.
        let _ = lock(&self.child).kill();
    }
}

impl Crew {
    /// So many workers that are this program with `arguments`, with so many seats each, wherever there is KVM.
    ///
    /// # Errors
    /// When this program does not know its own path.
    pub fn new(
        arguments: impl IntoIterator<Item = OsString>,
        hosts: usize,
        seats: usize,
    ) -> io::Result<Self> {
        let program = std::env::current_exe()?.into_os_string();
        let command = std::iter::once(program).chain(arguments).collect();
        Ok(Self::of(command, PATIENCE, hosts, seats))
    }

    fn of(command: Vec<OsString>, patience: Duration, hosts: usize, seats: usize) -> Self {
        let hosts = (0..hosts).map(|_| Mutex::default()).collect();
        Self { command, patience, seats, hosts, next: AtomicU64::new(0) }
    }

    /// The same, with another time in place of [`PATIENCE`].
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Seats in all; they are numbered from 0.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.hosts.len() * self.seats
    }

    /// Hosts in all.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// Has the worker that `seat` belongs to carry out `task`, and waits for what comes of it.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn carry_out<T: Serialize, A: DeserializeOwned>(&self, seat: usize, task: &T) -> Result<A, Lost> {
        self.carry_out_within(seat, task, self.patience)
    }

    /// The same, for a task that may take so long.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn carry_out_within<T: Serialize, A: DeserializeOwned>(
        &self,
        seat: usize,
        task: &T,
        patience: Duration,
    ) -> Result<A, Lost> {
        let host = &self.hosts[seat / self.seats];
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let order = Order { id, seat: seat % self.seats, task };
        let line = serde_json::to_string(&order).map_err(|error| Lost(error.to_string()))?;
        let answer = self.hand_over(&mut lock(host), id, &line);
        let answer = answer.map_err(|error| Lost(format!("it does not start: {error}")))?;
        match answer.recv_timeout(patience) {
            Ok(answer) => serde_json::from_value(answer).map_err(|error| Lost(error.to_string())),
            Err(RecvTimeoutError::Disconnected) => Err(Lost("it went away".into())),
            Err(RecvTimeoutError::Timeout) => {
                lock(host).take();
                Err(Lost(format!("it has said nothing for {} minutes", patience.as_secs() / 60)))
            }
        }
    }

    /// Has all `tasks` carried out, each on the first seat that is free, and hands over what comes of each as soon as that
    /// is known, with the task's number.
    pub fn carry_out_all<T, A, I>(&self, tasks: I, mut done: impl FnMut(usize, Result<A, Lost>))
    where
        T: Serialize,
        A: DeserializeOwned + Send,
        I: Iterator<Item = T> + Send,
    {
        let tasks = Mutex::new(tasks.enumerate());
        let next = || lock(&tasks).next();
        thread::scope(|scope| {
            let (send, results) = channel();
            for seat in 0..self.seats() {
                let (send, next) = (send.clone(), &next);
                scope.spawn(move || {
                    while let Some((number, task)) = next() {
                        // Nobody listens only when the listener has panicked, and then nothing matters any more.
                        let _ = send.send((number, self.carry_out(seat, &task)));
                    }
                });
            }
            drop(send);
            results.into_iter().for_each(|(number, result)| done(number, result));
        });
    }

    fn hand_over(&self, host: &mut Option<Worker>, id: u64, line: &str) -> io::Result<Receiver<Value>> {
        let (send, answer) = channel();
        let here = host.take().filter(|worker| lock(&worker.waiting).is_some());
        let worker = host.insert(here.map_or_else(|| self.start(), Ok)?);
        if let Some(waiting) = lock(&worker.waiting).as_mut() {
            waiting.insert(id, send);
        }
        // A worker that went away takes those who wait with it.
        let _ = writeln!(worker.stdin, "{line}");
        Ok(answer)
    }

    /// Starts a worker from a thread that lives as long as it does: it ends with that thread.
    fn start(&self) -> io::Result<Worker> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let (send, started) = channel();
        thread::spawn(move || {
            bound::bind(&mut command, Vec::new());
            let waiting: Waiting = Arc::new(Mutex::new(Some(BTreeMap::new())));
            match command.spawn() {
                Err(error) => drop(send.send(Err(error))),
                Ok(mut child) => {
                    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
                    let (stdin, stdout) = stdin.zip(stdout).expect("both are piped");
                    let child = Arc::new(Mutex::new(child));
                    let worker = Worker { stdin, child: child.clone(), waiting: waiting.clone() };
                    // Nobody waits for it only when the whole process is on its way out.
                    drop(send.send(Ok(worker)));
                    listen(BufReader::new(stdout), &waiting);
                    let _ = lock(&child).wait();
                }
            }
        });
        started.recv().unwrap_or_else(|_| Err(io::Error::other("no thread for it")))
    }
}

/// Hands each answer to whom it belongs; at the end of the worker, nobody need wait any more. Lines that are no answers are
/// what a task printed, and passed on.
fn listen(stdout: impl BufRead, waiting: &Waiting) {
    for line in stdout.lines().map_while(Result::ok) {
        let Ok(Answer { id, answer }) = serde_json::from_str::<Answer<Value>>(&line) else {
            // Whoever reads no more needs none of it.
            let _ = crate::output::say(format_args!("{line}"));
            continue;
        };
        let sender = lock(waiting).as_mut().and_then(|waiting| waiting.remove(&id));
        // Nobody waits for an answer that took too long.
        let _ = sender.map(|sender| sender.send(answer));
    }
    lock(waiting).take();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
