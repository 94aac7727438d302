//! Which vCPUs are there. All that there can be have a place in KVM and a thread from the start; one that is not there runs
//! nothing, whatever the guest sends its local APIC.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use dimmer_devices::bus::lock;
use dimmer_devices::processors::Seats;

use super::gate::Gate;
use super::hold::Hold;

/// See the module.
#[derive(Debug)]
pub struct Presence {
    there: Box<[AtomicBool]>,
    hold: Arc<Hold>,
    /// Where the threads wait whose vCPU is not there.
    gate: Mutex<Option<Arc<Gate>>>,
}

impl Presence {
    /// vCPUs 0 up to `boot` are there, of `max`.
    pub fn new(boot: u32, max: u32, hold: Arc<Hold>) -> Self {
        let there = (0..max).map(|number| AtomicBool::new(number < boot)).collect();
        Self { there, hold, gate: Mutex::default() }
    }

    /// Whether the vCPU with this number is there.
    pub fn has(&self, index: usize) -> bool {
        self.there.get(index).is_some_and(|there| there.load(Ordering::SeqCst))
    }

    /// Threads wait at `gate` from now on.
    pub fn watch(&self, gate: &Arc<Gate>) {
        *lock(&self.gate) = Some(gate.clone());
    }

    fn set(&self, number: u16, there: bool) {
        if let Some(place) = self.there.get(usize::from(number)) {
            place.store(there, Ordering::SeqCst);
        }
    }
}

impl Seats for Presence {
    fn arrive(&self, number: u16) {
        self.set(number, true);
        if let Some(gate) = &*lock(&self.gate) {
            gate.look_again();
        }
    }

    fn leave(&self, number: u16) {
        self.set(number, false);
        // Who is inside the guest comes out, and who comes to its door behind this sees that it is not there.
        drop(self.hold.still());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn who_arrives_is_let_through_and_who_leaves_is_kept() {
        let presence = Arc::new(Presence::new(1, 3, Arc::new(Hold::new().unwrap())));
        let gate = Arc::new(Gate::closed(1));
        presence.watch(&gate);
        gate.open();
        assert_eq!([0, 1, 2, 3].map(|index| presence.has(index)), [true, false, false, false]);
        let (sender, waits) = std::sync::mpsc::channel();
        let rounds = Arc::new(AtomicU64::new(0));
        let thread = {
            let (presence, gate, rounds) = (presence.clone(), gate.clone(), rounds.clone());
            std::thread::spawn(move || {
                while gate.enter(|| presence.has(2), || sender.send(()).unwrap()) {
                    rounds.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                }
            })
        };
        for _ in 0..10 {
            waits.recv().unwrap();
            let before = rounds.load(Ordering::SeqCst);
            presence.arrive(2);
            while rounds.load(Ordering::SeqCst) == before {
                std::thread::yield_now();
            }
            presence.leave(2);
        }
        waits.recv().unwrap();
        gate.end();
        thread.join().unwrap();
    }
}
