//! The gate and the hold under a scheduler that decides which thread goes on after each step with a lock (shuttle): orders that a
//! host's scheduler hardly ever makes. A wait that nobody ends is found as well, since a time limit ends none here.

#[path = "../gate.rs"]
#[expect(clippy::duplicate_mod, reason = "the same with other locks")]
#[expect(dead_code, reason = "not all that a gate can do is modelled")]
mod gate;

mod hold;

/// Locks that the scheduler knows of.
mod sync {
    pub use std::sync::PoisonError;

    pub use shuttle::sync::atomic::{AtomicUsize, Ordering};
    pub use shuttle::sync::{Condvar, Mutex, MutexGuard};
}

use std::time::Duration;

use gate::Gate;
use hold::inside::Inside;
use shuttle::sync::Arc;
use shuttle::thread;
use sync::{AtomicUsize, Ordering};

/// Orders that are tried of each model: half of them by chance alone, half with few changes of threads at the places that matter
/// (probabilistic concurrency testing).
const ORDERS: usize = 2_000;
/// Longer than any model takes.
const LONG: Duration = Duration::from_secs(3600);

fn all_orders(model: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(model.clone(), ORDERS / 2);
    shuttle::check_pct(model, ORDERS / 2, 3);
}

/// What a vCPU does between two looks at the gate: it is in the guest for a while.
fn be_inside(inside: &AtomicUsize) {
    inside.fetch_add(1, Ordering::SeqCst);
    thread::yield_now();
    inside.fetch_sub(1, Ordering::SeqCst);
}

/// Threads that go through the gate until it ends, and how many are in the guest.
fn vcpus(gate: &Arc<Gate>, inside: &Arc<AtomicUsize>) -> Vec<thread::JoinHandle<()>> {
    let vcpu = |_| {
        let (gate, inside) = (Arc::clone(gate), Arc::clone(inside));
        thread::spawn(move || {
            while gate.enter(|| true, || ()) {
                be_inside(&inside);
            }
        })
    };
    (0..2).map(vcpu).collect()
}

fn assert_nobody(inside: &AtomicUsize) {
    for _ in 0..3 {
        assert_eq!(inside.load(Ordering::SeqCst), 0);
        thread::yield_now();
    }
}

#[test]
fn behind_a_closed_gate_nobody_runs_and_an_end_reaches_everybody() {
    all_orders(|| {
        let (gate, inside) = (Arc::new(Gate::closed(2)), Arc::new(AtomicUsize::new(0)));
        let threads = vcpus(&gate, &inside);
        gate.wait_until_still(LONG, thread::yield_now).unwrap();
        gate.open();
        thread::yield_now();
        gate.close();
        gate.wait_until_still(LONG, thread::yield_now).unwrap();
        assert_nobody(&inside);
        gate.open();
        gate.end();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_nobody(&inside);
    });
}

#[test]
fn who_opens_a_gate_that_was_shut_is_late() {
    all_orders(|| {
        let (gate, inside) = (Arc::new(Gate::closed(2)), Arc::new(AtomicUsize::new(0)));
        let threads = vcpus(&gate, &inside);
        gate.open();
        let shuts = {
            let gate = Arc::clone(&gate);
            thread::spawn(move || gate.shut())
        };
        gate.close();
        gate.open();
        shuts.join().unwrap();
        gate.open();
        gate.wait_until_still(LONG, thread::yield_now).unwrap();
        assert_nobody(&inside);
        gate.end();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn while_the_guest_is_held_nobody_is_inside_and_afterwards_everybody_may() {
    all_orders(|| {
        let (hold, inside) = (Arc::new(Inside::new()), Arc::new(AtomicUsize::new(0)));
        let vcpu = |_| {
            let (hold, inside) = (Arc::clone(&hold), Arc::clone(&inside));
            thread::spawn(move || {
                for _ in 0..3 {
                    let pass = hold.enter();
                    be_inside(&inside);
                    drop(pass);
                }
            })
        };
        let holder = |_| {
            let (hold, inside) = (Arc::clone(&hold), Arc::clone(&inside));
            thread::spawn(move || {
                let still = hold.still(|| ());
                assert_nobody(&inside);
                drop(still);
            })
        };
        let threads: Vec<_> = (0..2).map(vcpu).chain((0..2).map(holder)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
