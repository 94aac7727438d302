//! What the machine told, no more of it than there is room for.

use std::collections::BTreeSet;

use dimmer::ctl::what;
use dimmer::events::{Event, MachineEvent, What};

use super::seen::Told;

/// Events that are kept, and addresses of memory errors.
const KEPT: usize = 2000;

/// The latest events, and the memory errors since the guest booted.
#[derive(Debug, Default)]
pub struct Events {
    told: Vec<Told>,
    /// Where memory errors were reported to the guest.
    errors: BTreeSet<u64>,
}

impl Events {
    /// Takes in what comes next.
    pub fn add(&mut self, events: impl Iterator<Item = Event>) {
        for event in events {
            match &event.what {
                What::Machine(MachineEvent::MachineCheck { address, .. }) if self.errors.len() < KEPT => {
                    self.errors.insert(*address);
                }
                What::Machine(MachineEvent::Booting) => self.errors.clear(),
                _ => {}
            }
            let (sequence, timestamp) = (event.sequence, event.timestamp);
            self.told.push(Told { sequence, timestamp, text: what(&event.what) });
        }
        self.told.drain(..self.told.len().saturating_sub(KEPT));
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number of the latest one.
    pub fn last(&self) -> u64 {
        self.told.last().map_or(0, |event| event.sequence)
    }

    /// The latest ones, oldest first.
    pub fn told(&self) -> Vec<Told> {
        self.told.clone()
    }

    /// The blocks of `block_size` in which there were memory errors.
    pub fn poisoned(&self, block_size: u64) -> BTreeSet<u64> {
        self.errors.iter().map(|address| address / block_size.max(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn memory_errors_are_remembered_until_the_next_boot() {
        let event = |sequence, mut what: serde_json::Value| {
            what["sequence"] = json!(sequence);
            what["timestamp"] = json!({"secs": 1, "nanos": 0});
            serde_json::from_value::<Event>(what).unwrap()
        };
        let error = |sequence, address: u64| {
            event(sequence, json!({"event": "machine_check", "address": address, "severity": "ao"}))
        };
        let mut events = Events::default();
        let told = [error(1, 48 << 27), event(2, json!({"event": "booting"})), error(3, (50 << 27) + 1)];
        events.add(told.into_iter());
        assert_eq!(events.poisoned(128 << 20), [50].into());
        assert_eq!((events.last(), events.told().len()), (3, 3));
        events.clear();
        assert_eq!((events.last(), events.poisoned(128 << 20)), (0, BTreeSet::new()));
    }

    #[test]
    fn the_oldest_events_go() {
        let mut events = Events::default();
        let paused = |sequence: u64| {
            let event =
                json!({"sequence": sequence, "timestamp": {"secs": 1, "nanos": 0}, "event": "paused"});
            serde_json::from_value::<Event>(event).unwrap()
        };
        events.add((1..=KEPT as u64 + 3).map(paused));
        let told = events.told();
        assert_eq!((told.len(), told[0].sequence), (KEPT, 4));
    }
}
