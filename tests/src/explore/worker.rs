//! The part of the explorer that runs beside the guests, on the host with hardware-assisted KVM: it takes
//! scenarios, a JSON line each, and answers with what came of them, in any order.

use std::io::{self, BufRead, Write};
use std::sync::mpsc::{Receiver, channel};

use dimmer_images::Kernel;
use serde::{Deserialize, Serialize};

use super::hunt::Found;
use super::kept::Seat;
use super::timed::Times;
use crate::oracle::mistake::Mistake;
use crate::scenario::Scenario;

/// A scenario to carry out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// What the answer is to have, too.
    pub id: u64,
    /// Which of the worker's guests it is for; those of one seat come one after the other.
    pub seat: usize,
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

/// Answers tasks from standard input on standard output until there are no more; those of each of `seats`
/// seats one after the other.
///
/// # Errors
/// When the streams fail, or a line is no task.
pub fn serve(kernels: &[Kernel], seats: usize) -> io::Result<()> {
    std::thread::scope(|scope| {
        let seats: Vec<_> = (0..seats)
            .map(|_| {
                let (send, tasks) = channel();
                (send, scope.spawn(move || work(&tasks, kernels)))
            })
            .collect();
        for line in io::stdin().lock().lines() {
            let task: Task = serde_json::from_str(&line?)?;
            let (send, _) = seats.get(task.seat).ok_or_else(|| io::Error::other("there is no such seat"))?;
            send.send(task).map_err(io::Error::other)?;
        }
        let threads: Vec<_> = seats.into_iter().map(|(_, thread)| thread).collect();
        let panicked = |_| Err(io::Error::other("a worker panicked"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })
}

fn work(tasks: &Receiver<Task>, kernels: &[Kernel]) -> io::Result<()> {
    let mut seat = Seat::default();
    for task in tasks {
        let (found, times) = match kernels.iter().find(|kernel| kernel.name == task.kernel) {
            Some(kernel) => seat.carry_out(&task, kernel),
            None => (Found::Lost { why: format!("there is no kernel {:?}", task.kernel) }, Times::default()),
        };
        let mut line = serde_json::to_vec(&Answer { id: task.id, found, times })?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()?;
    }
    seat.leave();
    Ok(())
}
