//! Work on a thread of its own, in turns: between two of them it can be held. No vCPU waits for it.
//!
//! When there is nothing to do, the thread sleeps until the bell rings, or something of what it watches has come.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dimmer_devices::bus::lock;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::wake::{Wake, Waker};
use crate::defect;
use crate::sandbox::{self, Kind};

/// How long the thread may take to see that it is held.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be done.
pub trait Work: Send {
    /// Does some of it; returns whether there may be more.
    fn turn(&mut self) -> bool;

    /// What shows that there is more to do, when there was no more.
    fn watched(&self) -> Vec<PollFd<'_>>;

    /// How long it may be until the next turn, if there is to be one whatever shows.
    fn rest(&self) -> Option<Duration> {
        None
    }
}

/// What rings when there is something to do, by whoever knows.
#[derive(Debug)]
pub struct Bell(OwnedFd);

/// See the module.
#[derive(Debug)]
pub struct Turns {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct State {
    held: bool,
    busy: bool,
    ended: bool,
}

impl Bell {
    /// A bell.
    ///
    /// # Errors
    /// What the host says.
    pub fn new() -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?)))
    }

    /// Rings.
    pub fn ring(&self) {
        // It fails only when it has rung more often than can be counted.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn heard(&self) {
        // Nothing is there to read when it has not rung.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl Turns {
    /// Begins; a defect in the work goes to `waker`.
    ///
    /// # Errors
    /// What the host says.
    pub fn begin(
        kind: Kind,
        name: &str,
        bell: Arc<Bell>,
        waker: Waker,
        mut work: impl Work + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), bell });
        let inside = shared.clone();
        let all = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| inside.run(&mut work))) {
                inside.end();
                waker.wake(Wake::Defect(defect::words(&*panic)));
            }
        };
        let thread = sandbox::spawn(kind, name, all)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// While held, no turn begins.
    pub fn hold(&self, held: bool) {
        lock(&self.shared.state).held = held;
        self.shared.bell.ring();
    }

    /// Waits until no turn is under way, while it is held; returns whether that is so in time.
    pub fn settle(&self) -> bool {
        let state = lock(&self.shared.state);
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| state.busy);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.busy
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.bell.ring();
        // A thread whose storage does not answer is left behind; the process is about to end.
        if self.settle()
            && let Some(thread) = self.thread.take()
        {
            // It blocks on nothing but the bell and what it watches. Its panic was heard of when it came.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, work: &mut impl Work) {
        while let Some(may) = self.start() {
            let again = may && work.turn();
            self.end();
            if !again {
                if may {
                    self.wait(work.watched(), work.rest());
                } else {
                    self.wait(Vec::new(), None);
                }
            }
        }
    }

    /// Whether a turn may begin; `None` at the end.
    fn start(&self) -> Option<bool> {
        let mut state = lock(&self.state);
        state.busy = !state.held && !state.ended;
        (!state.ended).then_some(state.busy)
    }

    fn end(&self) {
        lock(&self.state).busy = false;
        self.changed.notify_all();
    }

    fn wait<'a>(&'a self, mut watched: Vec<PollFd<'a>>, rest: Option<Duration>) {
        watched.push(PollFd::new(&self.bell.0, PollFlags::IN));
        // An interruption is a reason to look again.
        let rest = rest.and_then(|rest| Timespec::try_from(rest).ok());
        let _ = poll(&mut watched, rest.as_ref());
        self.bell.heard();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Counts turns, and meets a defect in the last.
    struct Counting(Arc<AtomicUsize>, usize);

    impl Work for Counting {
        fn turn(&mut self) -> bool {
            assert_ne!(self.0.fetch_add(1, Ordering::Relaxed) + 1, self.1, "the last");
            false
        }

        fn watched(&self) -> Vec<PollFd<'_>> {
            Vec::new()
        }
    }

    fn wait_for(count: &AtomicUsize, expected: usize) {
        while count.load(Ordering::Relaxed) < expected {
            thread::yield_now();
        }
    }

    #[test]
    fn each_ring_is_a_turn_unless_it_is_held() {
        let (bell, count) = (Bell::new().unwrap(), Arc::<AtomicUsize>::default());
        let (waker, wakes, _woken) = Waker::new().unwrap();
        let turns =
            Turns::begin(Kind::Net, "count", bell.clone(), waker, Counting(count.clone(), 0)).unwrap();
        wait_for(&count, 1);
        bell.ring();
        wait_for(&count, 2);
        turns.hold(true);
        assert!(turns.settle());
        let before = count.load(Ordering::Relaxed);
        bell.ring();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(count.load(Ordering::Relaxed), before);
        turns.hold(false);
        wait_for(&count, before + 1);
        drop(turns);
        assert!(wakes.try_recv().is_err());
    }

    #[test]
    fn a_defect_is_told_and_nobody_waits_for_it() {
        let (waker, wakes, _woken) = Waker::new().unwrap();
        let turns =
            Turns::begin(Kind::Net, "defect", Bell::new().unwrap(), waker, Counting(Arc::default(), 1))
                .unwrap();
        let told = wakes.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(told, Wake::Defect(words) if words.contains("the last")));
        turns.hold(true);
        assert!(turns.settle());
    }
}
