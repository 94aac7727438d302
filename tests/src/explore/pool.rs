//! The explorer's side of the [worker](super::worker): it starts one wherever there is hardware-assisted
//! KVM, hands it scenarios, and starts another when that host is lost.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::hunt::Found;
use super::timed::Times;
use super::worker::{Answer, Task};

/// Those who wait for an answer, by the task's id. Gone when the worker is.
type Waiting = Arc<Mutex<Option<BTreeMap<u64, Sender<Answer>>>>>;

/// A worker, started when it is first needed.
#[derive(Debug)]
pub struct Pool {
    /// The worker's command and its arguments.
    command: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    stdin: ChildStdin,
    waiting: Waiting,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pool {
    /// A pool whose workers are this very program with `arguments`.
    ///
    /// # Errors
    /// When this program's path is not known.
    pub fn new(arguments: Vec<String>) -> io::Result<Self> {
        let program = std::env::current_exe()?.display().to_string();
        let host = [program.clone(), "host".into(), "--".into(), program];
        let command = host.into_iter().chain(arguments).collect();
        Ok(Self { command, state: Mutex::default() })
    }

    /// Has a worker carry `task` out; its `id` does not matter. Once more when the host went away
    /// meanwhile.
    pub fn carry_out(&self, task: &Task) -> Answer {
        let lost = |why: String| Answer { id: 0, found: Found::Lost { why }, times: Times::default() };
        for _ in 0..2 {
            let answer = match self.hand_over(task.clone()) {
                Ok(answer) => answer,
                Err(error) => return lost(format!("the worker does not start: {error}")),
            };
            if let Ok(answer) = answer.recv() {
                return answer;
            }
        }
        lost("the host went away, twice".to_owned())
    }

    fn hand_over(&self, mut task: Task) -> io::Result<std::sync::mpsc::Receiver<Answer>> {
        let (send, answer) = channel();
        let mut state = lock(&self.state);
        state.next += 1;
        task.id = state.next;
        let here = state.worker.take().filter(|worker| lock(&worker.waiting).is_some());
        let mut worker = here.map_or_else(|| self.start(), Ok)?;
        if let Some(waiting) = lock(&worker.waiting).as_mut() {
            waiting.insert(task.id, send);
        }
        let mut line = serde_json::to_vec(&task)?;
        line.push(b'\n');
        // A worker that went away takes those who wait with it.
        let _ = worker.stdin.write_all(&line);
        state.worker = Some(worker);
        Ok(answer)
    }

    fn start(&self) -> io::Result<Worker> {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let missing = || io::Error::other("the worker has no standard streams");
        let (stdin, stdout) =
            (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let waiting: Waiting = Arc::new(Mutex::new(Some(BTreeMap::new())));
        let own = waiting.clone();
        std::thread::spawn(move || listen(stdout, &own));
        Ok(Worker { child, stdin, waiting })
    }
}

/// Hands each answer to whom it belongs; at the end of the worker, nobody need wait any more.
fn listen(stdout: ChildStdout, waiting: &Waiting) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(answer) = serde_json::from_str::<Answer>(&line) else { break };
        let sender = lock(waiting).as_mut().and_then(|waiting| waiting.remove(&answer.id));
        // Nobody waits for an answer any more when the explorer ends.
        let _ = sender.map(|sender| sender.send(answer));
    }
    lock(waiting).take();
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
