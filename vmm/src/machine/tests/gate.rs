//! The gate with threads of the host's; in all orders of their steps: `models.rs`.

use crate::machine::gate::{Gate, NotStill};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

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
