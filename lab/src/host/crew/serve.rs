//! The worker's side of a crew.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::marker::PhantomData;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, Order};

/// Where the answer to a task goes; it may come while its seat is at work on a later one.
#[derive(Debug)]
pub struct Reply<A> {
    id: u64,
    answer: PhantomData<fn(A)>,
}

impl<A: Serialize> Reply<A> {
    /// Answers.
    ///
    /// # Errors
    /// When standard output fails.
    pub fn send(self, answer: A) -> io::Result<()> {
        let line = serde_json::to_string(&Answer { id: self.id, answer })?;
        writeln!(io::stdout().lock(), "{line}")
    }
}

/// Goes where there is hardware-assisted KVM, and answers tasks from standard input on standard output until there are no
/// more. Each seat has what `worker` makes for it.
///
/// # Errors
/// When the streams fail, or a line is no task.
pub fn serve<T, A, W>(worker: impl Fn() -> W + Sync) -> io::Result<()>
where
    T: DeserializeOwned + Send,
    A: Serialize,
    W: FnMut(T) -> A,
{
    serve_each(|| {
        let mut carry_out = worker();
        move |task, reply: Reply<A>| reply.send(carry_out(task))
    })
}

/// As [`serve`], with answers that may come later than the seat's next task.
///
/// # Errors
/// When the streams fail, or a line is no task.
pub fn serve_each<T, A, W>(worker: impl Fn() -> W + Sync) -> io::Result<()>
where
    T: DeserializeOwned + Send,
    W: FnMut(T, Reply<A>) -> io::Result<()>,
{
    crate::host::reexec_if_needed();
    let work = |orders: &Receiver<Order<T>>| -> io::Result<()> {
        let mut carry_out = worker();
        for Order { id, task, .. } in orders {
            carry_out(task, Reply { id, answer: PhantomData })?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let mut seats = BTreeMap::new();
        for line in io::stdin().lock().lines() {
            let order: Order<T> = serde_json::from_str(&line?)?;
            let (send, _) = seats.entry(order.seat).or_insert_with(|| {
                let (send, orders) = channel();
                (send, scope.spawn(move || work(&orders)))
            });
            send.send(order).map_err(|_| io::Error::other("a worker's seat has ended"))?;
        }
        let threads: Vec<_> = seats.into_values().map(|(_, thread)| thread).collect();
        let panicked = |_| Err(io::Error::other("a worker panicked"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })
}
