//! The gate that vCPU threads pass before they enter the guest: open, closed, or gone for good.
//!
//! The event loop closes it to pause or reset; a vCPU thread closes it itself when its guest asked
//! for a reset, so that no instruction runs behind the request.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What vCPU threads may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Run,
    Wait,
    End,
}

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

    /// Called by a vCPU thread before it enters the guest: waits while the gate is closed.
    /// Returns false when the thread is to end.
    pub fn enter(&self) -> bool {
        let mut inside = self.lock();
        if inside.order == Order::Run {
            return true;
        }
        inside.running -= 1;
        self.changed.notify_all();
        while inside.order == Order::Wait {
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        if inside.order == Order::End {
            return false;
        }
        inside.running += 1;
        true
    }

    /// Lets the threads run.
    pub fn open(&self) {
        self.give(Order::Run);
    }

    /// Stops the threads when they next come to the gate.
    pub fn close(&self) {
        let mut inside = self.lock();
        if inside.order == Order::Run {
            inside.order = Order::Wait;
        }
    }

    /// Ends the threads when they next come to the gate.
    pub fn end(&self) {
        self.give(Order::End);
    }

    /// Waits until no thread runs; calls `kick` again and again, since a thread that is kicked just
    /// before it enters the guest does not notice.
    pub fn wait_until_still(&self, mut kick: impl FnMut()) {
        let mut inside = self.lock();
        while inside.running > 0 {
            drop(inside);
            kick();
            inside = self.lock();
            if inside.running > 0 {
                let again = Duration::from_millis(2);
                inside = self.changed.wait_timeout(inside, again).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    fn give(&self, order: Order) {
        self.lock().order = order;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn threads_wait_run_and_end() {
        let gate = Arc::new(Gate::closed(2));
        let rounds = Arc::new(AtomicU32::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (gate, rounds) = (gate.clone(), rounds.clone());
                std::thread::spawn(move || {
                    while gate.enter() {
                        rounds.fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        gate.wait_until_still(|| {});
        assert_eq!(rounds.load(Ordering::SeqCst), 0);
        gate.open();
        while rounds.load(Ordering::SeqCst) < 10 {
            std::thread::yield_now();
        }
        gate.close();
        gate.wait_until_still(|| {});
        let still = rounds.load(Ordering::SeqCst);
        std::thread::yield_now();
        assert_eq!(rounds.load(Ordering::SeqCst), still);
        gate.end();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
