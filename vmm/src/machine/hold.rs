//! Holds the guest for a step: while somebody has a [`Still`], no vCPU is inside `KVM_RUN`.
//!
//! A memory slot that is cut or joined must be deleted and made anew, and a guest that runs would
//! meet the hole in between. Unlike the gate, which stops vCPU threads for long, this waits only for
//! those that are inside the guest: one that handles an exit may well be blocked on a device lock
//! that the caller has, and cannot come back into the guest anyway.

use std::io;
use std::sync::Mutex;

use dimmer_devices::bus::lock;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

mod inside;

use inside::Inside;
pub use inside::{Pass, Still};

/// See the module.
#[derive(Debug)]
pub struct Hold {
    inside: Inside,
    /// The vCPU threads that are alive.
    threads: Mutex<Vec<libc::pthread_t>>,
}

impl Hold {
    /// Lets everybody in. Takes over the signal that kicks vCPU threads, for the whole process.
    ///
    /// # Errors
    /// When the host refuses the signal handler.
    pub fn new() -> io::Result<Self> {
        register_signal_handler(SIGRTMIN(), on_kick)?;
        Ok(Self { inside: Inside::new(), threads: Mutex::default() })
    }

    /// Makes the calling thread one that is kicked, for as long as it keeps the [`Seat`].
    pub fn seat(&self) -> Seat<'_> {
        let thread = this_thread();
        lock(&self.threads).push(thread);
        Seat { hold: self, thread }
    }

    /// Called by a vCPU thread, which has a [`Seat`], right before `KVM_RUN`; it keeps the [`Pass`]
    /// until it is out again. Waits while somebody holds the guest still.
    pub fn enter(&self) -> Pass<'_> {
        self.inside.enter()
    }

    /// Returns once no thread is inside the guest, and lets none in until the result is dropped. Two
    /// callers take turns; a vCPU thread may call it without a [`Pass`]. It comes last in the order of
    /// locks: whoever has a [`Still`] takes none, nor a second one.
    pub fn still(&self) -> Still<'_> {
        self.inside.still(|| self.kick())
    }

    /// Makes every vCPU thread that is inside the guest come out once.
    #[expect(unsafe_code, reason = "sends a signal to a thread")]
    pub fn kick(&self) {
        for thread in &*lock(&self.threads) {
            // SAFETY: the thread is alive: it takes itself off the list, under its lock, before it
            // ends (`Seat::drop`).
            let failed = unsafe { libc::pthread_kill(*thread, SIGRTMIN()) };
            if failed != 0 {
                tracing::error!("cannot kick a vCPU thread: {}", io::Error::from_raw_os_error(failed));
            }
        }
    }
}

#[expect(unsafe_code, reason = "pthread_self is a foreign function")]
fn this_thread() -> libc::pthread_t {
    // SAFETY: it has no precondition and cannot fail.
    unsafe { libc::pthread_self() }
}

/// Makes a blocking `KVM_RUN` return with EINTR; there is nothing else to do.
extern "C" fn on_kick(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

/// The calling thread is one of the vCPU threads.
#[derive(Debug)]
pub struct Seat<'a> {
    hold: &'a Hold,
    thread: libc::pthread_t,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        lock(&self.hold.threads).retain(|thread| *thread != self.thread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread::JoinHandle;
    use std::time::Duration;

    /// Threads that are inside the "guest" until they are kicked: they wait for nothing, for ever.
    #[derive(Default)]
    struct Guest {
        inside: AtomicUsize,
        exits: AtomicUsize,
        end: AtomicBool,
    }

    impl Guest {
        fn run(&self, hold: &Hold) {
            let _pass = hold.enter();
            self.inside.fetch_add(1, Ordering::SeqCst);
            if !self.end.load(Ordering::SeqCst) {
                let woken = rustix::event::poll(&mut [], None);
                assert_eq!(woken, Err(rustix::io::Errno::INTR));
            }
            self.inside.fetch_sub(1, Ordering::SeqCst);
            self.exits.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn start(hold: &Arc<Hold>, guest: &Arc<Guest>, on_exit: fn(&Hold, &Guest)) -> JoinHandle<()> {
        let (hold, guest) = (hold.clone(), guest.clone());
        std::thread::spawn(move || {
            let _seat = hold.seat();
            while !guest.end.load(Ordering::SeqCst) {
                guest.run(&hold);
                on_exit(&hold, &guest);
            }
        })
    }

    fn finish(hold: &Hold, guest: &Guest, threads: Vec<JoinHandle<()>>) {
        guest.end.store(true, Ordering::SeqCst);
        for thread in threads {
            // Signals queue up: a thread that gets them faster than it handles them never gets anywhere.
            while !thread.is_finished() {
                hold.kick();
                std::thread::sleep(Duration::from_millis(1));
            }
            thread.join().unwrap();
        }
        assert_eq!(lock(&hold.threads).len(), 0);
    }

    /// What a caller does while it holds the guest.
    fn step(hold: &Hold, guest: &Guest) {
        let _still = hold.still();
        let before = guest.exits.load(Ordering::SeqCst);
        for _ in 0..10 {
            assert_eq!(guest.inside.load(Ordering::SeqCst), 0);
            std::thread::yield_now();
        }
        assert_eq!(guest.exits.load(Ordering::SeqCst), before);
    }

    #[test]
    fn nobody_is_inside_during_a_step_and_everybody_comes_back() {
        let (hold, guest) = (Arc::new(Hold::new().unwrap()), Arc::new(Guest::default()));
        let threads: Vec<_> = (0..3).map(|_| start(&hold, &guest, |_, _| {})).collect();
        for _ in 0..50 {
            while guest.inside.load(Ordering::SeqCst) < 3 {
                std::thread::yield_now();
            }
            step(&hold, &guest);
        }
        assert!(guest.exits.load(Ordering::SeqCst) >= 150);
        finish(&hold, &guest, threads);
    }

    #[test]
    fn vcpu_threads_and_others_take_turns() {
        let (hold, guest) = (Arc::new(Hold::new().unwrap()), Arc::new(Guest::default()));
        let threads: Vec<_> = (0..3).map(|_| start(&hold, &guest, step)).collect();
        for _ in 0..50 {
            step(&hold, &guest);
        }
        finish(&hold, &guest, threads);
    }

    #[test]
    fn a_thread_that_is_blocked_outside_is_not_waited_for() {
        let (hold, device) = (Arc::new(Hold::new().unwrap()), Arc::new(Mutex::new(())));
        let locked = lock(&device);
        let (sender, out) = std::sync::mpsc::channel();
        let thread = {
            let (hold, device) = (hold.clone(), device.clone());
            std::thread::spawn(move || {
                let _seat = hold.seat();
                drop(hold.enter());
                sender.send(()).unwrap();
                drop(lock(&device));
                drop(hold.enter());
            })
        };
        out.recv().unwrap();
        drop(hold.still());
        drop(locked);
        thread.join().unwrap();
    }
}
