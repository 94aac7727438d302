//! Who is inside the guest, and who keeps everybody out. What makes a thread come out (a signal) is the caller's.

use std::time::Duration;

use super::super::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError};

/// Set in [`Inside::count`] while the way in is closed.
const CLOSED: usize = 1 << (usize::BITS - 1);

/// A thread that is kicked just before it enters the guest does not notice; this long after it is
/// kicked again.
const KICK_AGAIN: Duration = Duration::from_millis(1);

/// See the module.
#[derive(Debug)]
pub struct Inside {
    /// Number of threads inside the guest, and [`CLOSED`].
    count: AtomicUsize,
    /// Held by whoever has the [`Still`].
    turn: Mutex<()>,
    /// Protects nothing but the waits for `changed`: `count` changes without it, and whoever makes a
    /// change that somebody waits for passes through it before it notifies.
    waits: Mutex<()>,
    changed: Condvar,
}

impl Inside {
    /// Nobody is, and everybody may.
    pub fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            turn: Mutex::new(()),
            waits: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Goes in, once nobody keeps everybody out; it keeps the [`Pass`] until it is out again.
    pub fn enter(&self) -> Pass<'_> {
        while self.count.fetch_add(1, Ordering::SeqCst) & CLOSED != 0 {
            self.leave();
            let mut waits = lock(&self.waits);
            while self.count.load(Ordering::SeqCst) & CLOSED != 0 {
                waits = self.changed.wait(waits).unwrap_or_else(PoisonError::into_inner);
            }
        }
        Pass(self)
    }

    /// Returns once nobody is inside, and lets nobody in until the result is dropped; `kick` makes them come out, and is called
    /// again and again. Two callers take turns.
    pub fn still(&self, kick: impl Fn()) -> Still<'_> {
        let turn = lock(&self.turn);
        self.count.fetch_or(CLOSED, Ordering::SeqCst);
        while self.count.load(Ordering::SeqCst) != CLOSED {
            kick();
            let waits = lock(&self.waits);
            if self.count.load(Ordering::SeqCst) != CLOSED {
                drop(self.changed.wait_timeout(waits, KICK_AGAIN).unwrap_or_else(PoisonError::into_inner));
            }
        }
        Still { inside: self, _turn: turn }
    }

    fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::SeqCst) == CLOSED | 1 {
            self.notify();
        }
    }

    fn notify(&self) {
        drop(lock(&self.waits));
        self.changed.notify_all();
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread may be inside the guest.
#[derive(Debug)]
pub struct Pass<'a>(&'a Inside);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// No vCPU is inside the guest.
#[derive(Debug)]
#[must_use = "the guest runs on when this is dropped"]
pub struct Still<'a> {
    inside: &'a Inside,
    _turn: MutexGuard<'a, ()>,
}

impl Drop for Still<'_> {
    fn drop(&mut self) {
        self.inside.count.fetch_and(!CLOSED, Ordering::SeqCst);
        self.inside.notify();
    }
}
