//! The gate that vCPU threads pass before they enter the guest: open, closed, or gone for good.
//!
//! The event loop closes and opens it to pause and resume. A vCPU thread shuts it when its guest
//! asked for a reset, so that no instruction runs behind the request: whoever opens it then, be it
//! only because the pause was over, is late.

use std::time::{Duration, Instant};

use super::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// What vCPU threads may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Run,
    Wait,
    /// Like `Wait`, and nothing but `End` comes after it.
    Shut,
    End,
}

/// Threads that do not come to the gate, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} of its vCPUs do not stop")]
pub struct NotStill(pub usize);

#[derive(Debug)]
struct Inside {
    order: Order,
    /// Threads that are between [`Gate::enter`] and the next.
    running: usize,
}

/// See the module.
#[derive(Debug)]
pub struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

impl Gate {
    /// A closed gate for `threads` threads, all counted as running until they first come to it.
    pub fn closed(threads: usize) -> Self {
        Self { inside: Mutex::new(Inside { order: Order::Wait, running: threads }), changed: Condvar::new() }
    }

    /// Called by a vCPU thread before it enters the guest: while the gate is closed, or the vCPU is not `there`, it calls
    /// `settle` and waits. Returns false when the thread is to end.
    pub fn enter(&self, there: impl Fn() -> bool, settle: impl FnOnce()) -> bool {
        if self.lock().order == Order::Run && there() {
            return true;
        }
        settle();
        let mut inside = self.lock();
        inside.running -= 1;
        self.changed.notify_all();
        loop {
            match inside.order {
                Order::End => return false,
                Order::Run if there() => break,
                Order::Run | Order::Wait | Order::Shut => {
                    inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        inside.running += 1;
        true
    }

    /// Has the threads that wait look again whether their vCPU is there.
    pub fn look_again(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Lets the threads run, unless the gate is shut.
    pub fn open(&self) {
        self.change(Order::Wait, Order::Run);
    }

    /// Stops the threads when they next come to the gate.
    pub fn close(&self) {
        self.change(Order::Run, Order::Wait);
    }

    /// Stops the threads when they next come to the gate, and lets none run again.
    pub fn shut(&self) {
        // In one step: between two, somebody could open it.
        let mut inside = self.lock();
        if inside.order != Order::End {
            inside.order = Order::Shut;
            self.changed.notify_all();
        }
    }

    /// Whether no thread runs again.
    pub fn is_shut(&self) -> bool {
        matches!(self.lock().order, Order::Shut | Order::End)
    }

    /// Ends the threads when they next come to the gate.
    pub fn end(&self) {
        self.lock().order = Order::End;
        self.changed.notify_all();
    }

    /// Waits until no thread runs; calls `kick` again and again, since a thread that is kicked just
    /// before it enters the guest does not notice.
    ///
    /// # Errors
    /// [`NotStill`] when no thread has come to the gate for `patience`.
    pub fn wait_until_still(&self, patience: Duration, mut kick: impl FnMut()) -> Result<(), NotStill> {
        let mut inside = self.lock();
        let (mut running, mut since) = (inside.running, Instant::now());
        while inside.running > 0 {
            if inside.running != running {
                (running, since) = (inside.running, Instant::now());
            } else if since.elapsed() > patience {
                return Err(NotStill(running));
            }
            drop(inside);
            kick();
            inside = self.lock();
            if inside.running > 0 {
                let again = Duration::from_millis(2);
                inside = self.changed.wait_timeout(inside, again).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        Ok(())
    }

    /// A thread that counts as running ends without coming to the gate again.
    pub fn leave(&self) {
        self.lock().running -= 1;
        self.changed.notify_all();
    }

    fn change(&self, from: Order, to: Order) {
        let mut inside = self.lock();
        if inside.order == from {
            inside.order = to;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
