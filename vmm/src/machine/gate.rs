//! The gate that vCPU threads pass before they enter the guest: open, closed, or gone for good.
//!
//! The event loop closes and opens it to pause and resume. A vCPU thread shuts it when its guest
//! asked for a reset, so that no instruction runs behind the request: whoever opens it then, be it
//! only because the pause was over, is late.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
        self.change(Order::Run, Order::Shut);
        self.change(Order::Wait, Order::Shut);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread::JoinHandle;

    /// Threads at a gate, what each counts, and how often they settled.
    struct Threads {
        gate: Arc<Gate>,
        rounds: Vec<Arc<AtomicU32>>,
        settled: Arc<AtomicU32>,
        handles: Vec<JoinHandle<()>>,
    }

    fn start(threads: usize) -> Threads {
        let gate = Arc::new(Gate::closed(threads));
        let settled = Arc::new(AtomicU32::new(0));
        let rounds: Vec<_> = (0..threads).map(|_| Arc::new(AtomicU32::new(0))).collect();
        let start = |rounds: &Arc<AtomicU32>| {
            let (gate, rounds, settled) = (gate.clone(), rounds.clone(), settled.clone());
            let settle = move || {
                settled.fetch_add(1, Ordering::SeqCst);
            };
            std::thread::spawn(move || {
                while gate.enter(|| true, &settle) {
                    rounds.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                }
            })
        };
        let handles = rounds.iter().map(start).collect();
        Threads { gate, rounds, settled, handles }
    }

    impl Threads {
        fn rounds(&self) -> Vec<u32> {
            self.rounds.iter().map(|rounds| rounds.load(Ordering::SeqCst)).collect()
        }

        fn assert_still(&self, settled: u32) {
            self.gate.wait_until_still(Duration::from_secs(60), || {}).unwrap();
            let still = self.rounds();
            std::thread::yield_now();
            assert_eq!(self.rounds(), still);
            assert_eq!(self.settled.load(Ordering::SeqCst), settled);
        }

        /// Each of them: one that has not come through the gate yet would not settle again.
        fn assert_running(&self) {
            let before = self.rounds();
            while self.rounds().iter().zip(&before).any(|(now, before)| *now < before + 10) {
                std::thread::yield_now();
            }
        }

        fn end(self) {
            self.gate.end();
            for thread in self.handles {
                thread.join().unwrap();
            }
        }
    }

    #[test]
    fn threads_settle_and_wait_run_and_end() {
        let threads = start(2);
        threads.assert_still(2);
        assert_eq!(threads.rounds(), [0, 0]);
        threads.gate.open();
        threads.assert_running();
        threads.gate.close();
        threads.assert_still(4);
        threads.end();
    }

    #[test]
    fn a_gate_that_was_shut_stays_so_whoever_opens_it() {
        let threads = start(2);
        threads.assert_still(2);
        threads.gate.open();
        threads.assert_running();
        threads.gate.close();
        assert!(!threads.gate.is_shut());
        threads.gate.shut();
        threads.gate.open();
        assert!(threads.gate.is_shut());
        threads.assert_still(4);
        threads.end();
    }

    #[test]
    fn a_thread_that_never_comes_is_not_waited_for_for_ever_and_one_that_leaves_not_at_all() {
        let gate = Gate::closed(1);
        assert_eq!(gate.wait_until_still(Duration::from_millis(20), || {}), Err(NotStill(1)));
        gate.leave();
        assert_eq!(gate.wait_until_still(Duration::ZERO, || {}), Ok(()));
    }
}
