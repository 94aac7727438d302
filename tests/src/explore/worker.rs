//! The part of the explorer that runs beside the guests, on the host with hardware-assisted KVM: it takes
//! scenarios, a JSON line each, and answers with what came of them, in any order.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

use dimmer_images::Kernel;
use serde::{Deserialize, Serialize};

use super::hunt::{Found, hunt};
use super::subjects::Machines;
use super::timed::Times;
use crate::oracle::mistake::Mistake;
use crate::scenario::Scenario;
use crate::vm;

/// A scenario to carry out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// What the answer is to have, too.
    pub id: u64,
    /// The kernel's name.
    pub kernel: String,
    /// The scenario.
    pub scenario: Scenario,
    /// What the oracle is to get wrong.
    pub mistake: Option<Mistake>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// The task's.
    pub id: u64,
    /// What came of it.
    pub found: Found,
    /// How long it took.
    pub times: Times,
}

/// Answers tasks from standard input on standard output, `jobs` at a time, until there are no more.
///
/// # Errors
/// When the streams fail, or a line is no task.
pub fn serve(kernels: &[Kernel], jobs: usize) -> io::Result<()> {
    let (send, tasks) = channel();
    let tasks = Mutex::new(tasks);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(|| work(&tasks, kernels))).collect();
        for line in io::stdin().lock().lines() {
            let task: Task = serde_json::from_str(&line?)?;
            send.send(task).map_err(io::Error::other)?;
        }
        drop(send);
        workers.into_iter().try_for_each(|worker| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a worker panicked")))
        })
    })
}

fn work(tasks: &Mutex<Receiver<Task>>, kernels: &[Kernel]) -> io::Result<()> {
    loop {
        let next = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = next else { return Ok(()) };
        let (found, times) = carry_out(&task, kernels);
        let mut line = serde_json::to_vec(&Answer { id: task.id, found, times })?;
        line.push(b'\n');
        io::stdout().lock().write_all(&line)?;
        io::stdout().flush()?;
    }
}

fn carry_out(task: &Task, kernels: &[Kernel]) -> (Found, Times) {
    let Some(kernel) = kernels.iter().find(|kernel| kernel.name == task.kernel) else {
        return (Found::Lost { why: format!("there is no kernel {:?}", task.kernel) }, Times::default());
    };
    let found = vm::audited(|| Ok(hunt(&Machines { kernel }, &task.scenario, task.mistake)));
    let lost = |error: Box<dyn std::error::Error>| Found::Lost { why: crate::chain(error.as_ref()) };
    found.unwrap_or_else(|error| (lost(error), Times::default()))
}
